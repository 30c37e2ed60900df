"""The statistics and the bookkeeping of the findings script, on results made by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from benchmarks.findings import COMPARISONS, ROWS, as_markdown, paired_difference, read_results, run_row
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig


def test_paired_difference_is_that_of_a_paired_t_test() -> None:
    first, second = [81.0, 79.5, 84.2, 80.1], [76.2, 77.0, 79.9, 78.8]
    interval = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert paired_difference(first, second) == pytest.approx((3.225, interval.low, interval.high))


def test_rows_are_valid_and_comparisons_name_them() -> None:
    for changes, probes, _ in ROWS.values():
        for probe in probes:
            TrialConfig(**(LAPTOP | changes | {"probe": probe}))
    for pair in COMPARISONS.values():
        assert all(probe in ROWS[row].probes for row, probe in pair)


def write(output: Path, row: str, probe: str, seed: int, value: float, **changes: Any) -> None:
    names = ("test_clean", "test_pgd_4", "test_pgd_8", "test_pgd_16", "train_pflop", "view_passes")
    folder = output / f"{row}-{probe}-seed{seed}"
    folder.mkdir()
    config = TrialConfig(**(LAPTOP | {"probe": probe, "seed": seed} | changes)).model_dump(mode="json")
    (folder / "result.json").write_text(json.dumps({"config": config, "metrics": dict.fromkeys(names, value)}))


def test_results_of_another_config_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, "free", "central", 0, 40.0, epochs=LAPTOP["epochs"] + 1, eval_samples=100)
    with pytest.raises(
        ValueError, match=r"free-central-seed0/result\.json is of another config, by epochs, eval_samples;"
    ):
        read_results(tmp_path, [0], LAPTOP)
    write(tmp_path, "free", "robust_central", 0, 40.0, epochs=LAPTOP["epochs"] + 1)
    with pytest.raises(ValueError, match="by epochs;"):
        run_row("free", 0, LAPTOP, tmp_path)


def test_a_row_counts_once_all_of_its_seeds_are_there(tmp_path: Path) -> None:
    write(tmp_path, "free", "central", 0, 40.0)
    write(tmp_path, "free", "robust_central", 0, 50.0)
    write(tmp_path, "free", "robust_central", 1, 54.0)
    results = read_results(tmp_path, [0, 1], LAPTOP)
    assert list(results) == [("free", "robust_central")]
    write(tmp_path, "free", "central", 1, 41.0)
    table = as_markdown(read_results(tmp_path, [0, 1], LAPTOP))
    assert "| free | robust_central | 52.0 ± 2.8 |" in table
    assert "b. robust against plain probe | +11.5 [" in table and "a. adversarial" not in table
