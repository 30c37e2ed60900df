"""The statistics and the bookkeeping of the rung predictors, on numbers made by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.rung_predictors import (
    COLUMNS,
    RUNG_PASSES,
    as_markdown,
    configurations,
    intervals,
    kendall_tau,
    rank_agreement,
    read_rows,
    write_rows,
)


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.rung_predictors.RESAMPLES", 300)


def test_configurations_go_on_after_the_rung_and_are_always_the_same() -> None:
    found = configurations(24)
    assert len({config.content_hash() for config in found}) == 24 and found == configurations(24)
    assert all(config.epochs * config.view_passes_per_image() > RUNG_PASSES for config in found)


def test_rank_agreement_is_the_mean_over_seeds() -> None:
    final = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]])
    predicted = np.array([[1.0, 4.0], [2.0, 3.0], [4.0, 2.0], [3.0, 1.0]])
    assert rank_agreement(predicted, final) == pytest.approx((4 / 6 - 1) / 2)


def test_tau_is_that_of_scipy_with_ties() -> None:
    first, second = np.random.default_rng(0).integers(5, size=(2, 40))
    assert kendall_tau(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)


@pytest.mark.usefixtures("few_resamples")
def test_intervals_find_a_known_difference_and_none_where_there_is_none() -> None:
    random = np.random.default_rng(0)
    final = random.normal(size=(30, 2))
    predicted = {
        "good": final + 0.3 * random.normal(size=final.shape),
        "as good": final + 0.3 * random.normal(size=final.shape),
        "useless": random.normal(size=final.shape),
    }
    found = intervals(predicted, final)
    expected = [stats.kendalltau(predicted["good"][:, seed], final[:, seed]).statistic for seed in (0, 1)]
    assert found["good"][0] == pytest.approx(np.mean(expected))
    assert found["useless"][1] < 0 < found["useless"][2] < found["good"][1]
    assert found["useless - good"][2] < 0
    assert found["as good - good"][1] < 0 < found["as good - good"][2]


@pytest.mark.usefixtures("few_resamples")
def test_rows_are_read_as_they_were_written_and_tabulated_if_they_have_all_seeds(tmp_path: Path) -> None:
    rows = {
        (name, seed): {column: float(number + seed) for column in COLUMNS[2:]}
        for number, name in enumerate("abcd", start=1)
        for seed in (0, 1)
    }
    rows["e", 0] = rows["a", 0]
    path = tmp_path / "new" / "rows.csv"
    assert read_rows(path) == {}
    write_rows(path, rows)
    assert read_rows(path) == rows
    table = as_markdown(rows, [0, 1])
    assert table.startswith("4 configurations, seeds [0, 1]; final accuracies 1.0 to 5.0")
    assert "| probe_pgd | +1.00 [+1.00, +1.00] |" in table and "| knn | 3.000 | 1.0 |" in table
