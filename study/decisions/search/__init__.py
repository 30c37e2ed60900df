"""The search by a model of what is not known: expected hypervolume improvement for the cost that is known."""
