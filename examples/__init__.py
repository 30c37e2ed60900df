"""Small studies of one's own training, each run by the command in its first lines."""
