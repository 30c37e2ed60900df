"""What happened in a study: its journal, and the trials, configurations, measures and fronts that follow from it."""
