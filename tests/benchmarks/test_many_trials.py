"""The table of a driver's cost from samples whose answer is known."""

import pytest

from benchmarks.many_trials import Sample, summarise


def samples(last: int, cpu_seconds: float, later: float) -> list[Sample]:
    """One trial every two seconds: ``cpu_seconds`` each, from the 200th on ``later``; 100 MiB and one more each 100."""
    return [
        Sample(n, 2.0 * n, cpu_seconds * min(n, 200) + later * max(0, n - 200), 100 + n / 100)
        for n in range(1, last + 1)
    ]


def test_cost_is_of_the_trials_before_each_mark() -> None:
    _, _, *rows = summarise(samples(1000, 0.010, 0.025))
    assert rows == [
        "| 100 | 10 ms | 1.00 | 2.00 s | 101 MiB |",
        "| 300 | 25 ms | 2.50 | 2.00 s | 103 MiB |",
        "| 1000 | 25 ms | 2.50 | 2.00 s | 110 MiB |",
    ]


def test_a_mark_that_was_not_reached_has_no_row() -> None:
    assert len(summarise(samples(299, 0.01, 0.01))) == 3


def test_too_few_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer trials than 100"):
        summarise(samples(99, 0.01, 0.01))
