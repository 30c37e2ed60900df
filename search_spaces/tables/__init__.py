"""Searches on recorded tables: nothing is trained, so that searches can be tried in a minute."""
