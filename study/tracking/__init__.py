"""MLflow: the projection of a journal into runs, and reading them back."""
