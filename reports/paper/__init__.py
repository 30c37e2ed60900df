"""A study beside the table of the paper that it reproduces."""
