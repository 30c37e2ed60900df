"""The statistics of the comparison of schedules, on results that were made up."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.cooldown import SEEDS, interval, table, verdict


def result(schedule: str, seed: int, clean: float, robust: float) -> dict[str, Any]:
    accuracies = {f"{split}_{name}": value for split in ("val", "test")
                  for name, value in (("clean", clean), ("pgd_8", robust))}  # fmt: skip
    return {"data": "digits", "schedule": schedule, "seed": seed} | accuracies


def test_the_interval_is_that_of_two_one_sided_tests() -> None:
    differences = np.array([0.4, -0.6, 1.1, 0.2, -0.3, math.nan])
    mean, low, high = interval(differences)
    kept = differences[:5]
    assert mean == pytest.approx(kept.mean())
    for bound, alternative in ((low, "greater"), (high, "less")):
        assert stats.ttest_1samp(kept, bound, alternative=alternative).pvalue == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-1.9, 1.9, "equivalent"), (-1.9, 2.1, "undecided"), (0.1, 3.0, "better"), (-3.0, -0.1, "worse"),
     (0.1, 1.9, "equivalent")],
)  # fmt: skip
def test_verdicts(low: float, high: float, said: str) -> None:
    assert verdict(low, high, 2.0) == said


def test_pairs_are_of_equal_seeds() -> None:
    results = [result("cosine", seed, 70.0 + seed, 70.0) for seed in SEEDS]
    results += [result("cooldown 0.3", seed, 69.5 + seed, 75.0 + seed % 2) for seed in SEEDS if seed != 5]
    clean, robust = (row for row in table(results) if row.startswith("| digits |"))
    assert "| cooldown 0.3 | cosine | clean | 83.9 | 83.4 | -0.5 [-0.5, -0.5] | 19 | equivalent |" in clean
    assert robust.endswith("better |")
