"""What a study answers: matched comparisons and their verdicts, notable configurations, the head of its report."""
