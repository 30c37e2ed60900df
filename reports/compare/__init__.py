"""Comparison of two trials, or of one configuration from each of two studies."""
