"""Searches by others, a script each, run by the Python that has the package; they import nothing of this project."""
