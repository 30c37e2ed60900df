"""What a study does next: which configs are run, when trials stop, what is run again. Functions of the record."""
