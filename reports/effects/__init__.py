"""What mattered: effects of factors, importance, the search space, early stopping."""
