"""What the evaluation's attack does to a trial: attacked images, accuracy against the radius."""
