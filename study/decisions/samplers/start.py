"""How samplers begin."""

NUM_STARTUP_TRIALS = 8  # at random, before a model of the results is used
