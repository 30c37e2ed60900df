"""What study.verify checks: the journal by itself, and everything derived from it."""
