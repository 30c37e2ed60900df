"""Coverage of intervals for small n: known for Student's t, and known to be too low for the percentile bootstrap."""

import numpy as np

from benchmarks.interval_coverage import coverage


def test_students_interval_covers_as_it_says_and_the_percentile_bootstrap_does_not() -> None:
    percentile, expanded, student = coverage(5, draws=1500, resamples=300, rng=np.random.default_rng(0))
    assert abs(student - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 1500)
    assert percentile < 0.88 < expanded
