"""The replay of searches, on a table whose answers are known."""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.search_efficiency import (
    METRICS,
    SPACE,
    Strategy,
    Table,
    as_markdown,
    compute_to,
    least_compute,
    load_table,
    median_interval,
    record_table,
    searched,
)
from study.record.journal import Journal
from study.spec import MoAsha, NoStopping, PausingMoAsha, RayAsha
from study.spec.choices import enumerate_grid
from study.spec.load_space import load_space
from study.trainable import Context, Final, Interim
from trainables.trial_config import TrialConfig

NUM_TRAIN_IMAGES = 1000


def cost(config: TrialConfig) -> float:
    return config.epochs * config.view_passes_per_image() / 1000


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """More views and epochs are better in every way, and dearer; bad trials show it at the first rung."""
    spec = load_space(SPACE).with_preset("laptop")
    trials: list[dict[str, Any]] = []
    for params in enumerate_grid(spec):
        config = spec.config(params, seed=0)
        good = config.num_views * config.epochs
        numbers = {"val_clean": 50.0 + good / 10, "val_pgd_8": 20.0 + good / 10, "train_seconds": 1.0}
        total = config.epochs * NUM_TRAIN_IMAGES * config.view_passes_per_image()
        milestones = [m for k in range(5) if (m := 24 * NUM_TRAIN_IMAGES * 3**k) < total]
        steps = [numbers | {"view_passes": m, "train_pflop": cost(config) * m / total} for m in [*milestones, total]]
        trials.append({"params": params, "reports": steps[:-1], "metrics": steps[-1]})
    path = tmp_path_factory.mktemp("table") / "table.json"
    path.write_text(
        json.dumps({"metrics": METRICS, "progress": "view_passes", "scale": NUM_TRAIN_IMAGES, "trials": trials})
    )
    found = load_table(path)
    assert len(found.results) == 72
    return found


@pytest.mark.parametrize("workers", [1, 4])
def test_a_search_without_stopping_finds_all_for_the_price_of_all(table: Table, workers: int) -> None:
    curve = searched(table, Strategy("random", "none"), 24, 0, workers)
    whole = sum(metrics["train_pflop"] for metrics in table.results)
    assert len(curve) == 72
    assert curve[-1] == (pytest.approx(whole), 0.0, pytest.approx(1.0))
    assert all(a[0] < b[0] or workers > 1 for a, b in pairwise(curve))
    assert all(a[-1] <= b[-1] + 1e-12 for a, b in pairwise(curve))
    assert math.isinf(compute_to(curve, 1.1)) and compute_to(curve, 0.5) <= compute_to(curve, 0.9)
    until = searched(table, Strategy("random", "none"), 24, 0, workers, until=0.9)
    assert until == curve[: len(until)] and until[-2][-1] < 0.9 <= until[-1][-1]


@pytest.mark.parametrize("rule", ["moasha:3", "pausing:3"])
def test_stopping_costs_less_and_counts_what_was_stopped(table: Table, rule: str) -> None:
    strategy = Strategy("random", rule)
    curve = searched(table, strategy, 24, 0, 4)
    whole = sum(metrics["train_pflop"] for metrics in table.results)
    assert len(curve) < 72 and curve[-1][0] < whole
    assert curve == searched(table, strategy, 24, 0, 4)
    assert curve != searched(table, strategy, 24, 1, 4)


def test_a_rule_is_said_in_a_word() -> None:
    assert Strategy("tpe", "none").stopping(6) == NoStopping()
    assert Strategy("tpe", "moasha:2").stopping(6) == MoAsha(first_rung=6, eta=2)
    assert Strategy("tpe", "pausing:3").stopping(6) == PausingMoAsha(first_rung=6, eta=3)
    assert Strategy("tpe", "asha:4").stopping(6) == RayAsha(first_rung=6, eta=4)


def test_hypervolume_is_one_for_the_whole_table_and_larger_for_more(table: Table) -> None:
    points = [table.objectives(metrics) for metrics in table.results]
    assert 0 < table.hypervolume(points[20:30]) < table.hypervolume(points) == table.total_hypervolume < 1
    assert table.hypervolume([]) == 0
    squared = [[a**2, *rest] for a, *rest in points]
    other = Table(table.spec, table.trainable)
    other.__dict__["_everything"] = np.array(squared)
    assert other.hypervolume(squared[20:30]) == pytest.approx(table.hypervolume(points[20:30])), "over ranks"


def test_nobody_needs_less_than_who_knows_the_table(table: Table) -> None:
    whole = sum(metrics["train_pflop"] for metrics in table.results)
    least = [least_compute(table, share) for share in (0.5, 0.9, 1.0)]
    assert 0 < least[0] <= least[1] < least[2] <= whole
    curves = [searched(table, Strategy("random", "none"), 24, seed, 4) for seed in range(5)]
    assert all(compute_to(curve, 0.9) > least[1] for curve in curves)


def test_ratios_are_of_equal_seeds_and_to_no_rungs(table: Table) -> None:
    curves = {
        Strategy("random", "none"): {0: [(1.0, 1.0, 0.95)], 1: [(2.0, 0.0, 0.95)], 2: [(2.0, 0.0, 0.5)]},
        Strategy("random", "moasha:2"): {1: [(1.0, 3.0, 0.95)]},
    }
    none, stopped = as_markdown(curves, whole=4.0).splitlines()[2:]
    assert none.startswith("| random | none | 3 | 50.0% [25.0, inf] |  | 50.0% [50.0, inf] |")
    assert stopped.startswith(
        "| random | moasha:2 | 1 | 25.0% [25.0, 25.0] | 0.50 [0.50, 0.50] | 100.0% [100.0, 100.0] | 2.00"
    )


def test_median_interval_contains_the_median_and_copes_with_infinity() -> None:
    middle, low, high = median_interval([1.0, 2.0, 3.0, 4.0, math.inf])
    assert low <= middle == 3.0 <= high
    assert median_interval([7.0] * 5) == (7.0, 7.0, 7.0)


def test_a_table_is_recorded_from_a_study_and_read_again(tmp_path: Path) -> None:
    spec = load_space(SPACE).with_preset("laptop")
    journal = Journal(tmp_path / "study")
    journal.write("created", study="s", spec=spec.model_dump(mode="json"), environment={"revision": "abc"})
    params = enumerate_grid(spec)[-1]
    config = spec.config(params, seed=0)
    numbers = {"val_clean": 1.0, "val_pgd_8": 2.0, "view_passes": 24000, "train_pflop": 3.0, "train_seconds": 4.0}
    journal.write("proposed", uid="t0000", number=0, params=params, config=config.model_dump(mode="json"))
    journal.write("reported", uid="t0000", metrics=numbers | {"milestone": 24000})
    with pytest.raises(ValueError, match="t0000 is proposed"):
        record_table(tmp_path / "study", tmp_path / "table.json")
    result = numbers | {"view_passes": 48000}
    journal.write("finished", uid="t0000", state="complete", metrics=result)
    journal.close()
    record_table(tmp_path / "study", tmp_path / "table.json")
    table = load_table(tmp_path / "table.json")
    assert table.trainable.scale(None) == 1000
    config = table.spec.config(params, seed=0)
    reports = [*table.trainable.run(config, None, Context(folder=tmp_path, milestones=[24000]))]
    interim = next(report for report in reports if isinstance(report, Interim))
    assert interim.metrics["val_clean"] == 1.0
    assert isinstance(reports[-1], Final) and reports[-1].metrics["train_pflop"] == 3.0
    assert json.loads((tmp_path / "table.json").read_text())["environment"] == {"revision": "abc"}
