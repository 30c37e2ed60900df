"""What a person sees while a study runs: progress in the terminal, tables, the live report."""
