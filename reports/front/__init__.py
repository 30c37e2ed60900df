"""Fronts: their figures and tables, how they grew, what a share of the seeds attains."""
