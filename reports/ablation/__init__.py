"""Executed ablations: the greedy path and the effect of each difference alone."""
