"""Rank correlations of looks with results, on curves whose order is known."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.curve_correlations import as_markdown, correlation, looks
from trainables.recorded_table import RecordedTable, recorded_table

METRICS = {name: {"unit": "%", "split": name.partition("_")[0]} for name in ("val_clean", "test_clean")}


def table(folder: Path, steps_of_a_look: int = 5) -> RecordedTable:
    """Trials of two epochs, ten steps: on the first look all are in reverse order."""
    trials: list[dict[str, Any]] = [
        {"params": {"epochs": 2, "width": width},
         "reports": [{"steps": steps_of_a_look, "val_clean": -width}],
         "metrics": {"steps": 10, "val_clean": width, "test_clean": width**2}}
        for width in range(5)
    ]  # fmt: skip
    (folder / "t.json").write_text(json.dumps({"metrics": METRICS, "progress": "steps", "trials": trials}))
    return recorded_table(folder / "t.json")


def test_looks_are_grouped_by_length_and_epoch(tmp_path: Path) -> None:
    found = looks(table(tmp_path))
    assert list(found) == [(2, 1)] and len(found[2, 1]) == 5
    head, _, line = as_markdown(found, ("val_clean",)).splitlines()
    assert "val_clean -> test_clean" in head
    assert line == "| 2 | 1 | 5 | -1.00 [-1.00, -1.00] | -1.00 [-1.00, -1.00] |"


def test_a_look_within_an_epoch_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"an evaluation after 0\.8 epochs"):
        looks(table(tmp_path, steps_of_a_look=4))


def test_correlation_is_of_ranks() -> None:
    middle, low, high = correlation([(1, 1), (2, 100), (3, 2), (4, 1000)])
    assert middle == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    assert -1 <= low < middle < high <= 1
