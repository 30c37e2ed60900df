"""Front membership on cases that were worked out by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from study.record.configurations import measured_configurations
from study.record.front import comparable_means, front_of, nondominated
from study.record.metrics import objectives_of
from study.record.trials import tabulate

NewStudy = Callable[..., Any]
CLEAN, ROBUST, COST = 0, 1, 2  # columns of the rows below
MAXIMISE = (True, True, False)


def members(rows: list[tuple[float, float, float]], *columns: int, maximise: tuple[bool, ...] = MAXIMISE) -> list[int]:
    """The numbers of the rows (clean accuracy, robust accuracy, cost) on the front of some columns."""
    values = np.array(rows, dtype=float).reshape(-1, 3)[:, list(columns)]
    return np.flatnonzero(nondominated(values, [maximise[column] for column in columns])).tolist()


def test_two_maximised_objectives() -> None:
    assert members([(90, 20, 1), (80, 40, 1), (70, 30, 1), (60, 50, 1)], CLEAN, ROBUST) == [0, 1, 3]


def test_a_minimised_objective_keeps_the_cheap_trial() -> None:
    rows = [(90.0, 20.0, 5.0), (80.0, 20.0, 1.0), (80.0, 20.0, 6.0)]
    assert members(rows, CLEAN, COST) == [0, 1]
    assert members(rows, CLEAN, COST, maximise=(True, True, True)) == [0, 2]


def test_one_objective() -> None:
    assert members([(90, 20, 5), (80, 20, 1)], COST) == [1]
    assert members([(90, 20, 5), (80, 20, 1), (90, 0, 0), (math.inf, 0, 0)], CLEAN) == [0, 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_non_finite_objective_excludes(value: float) -> None:
    rows = [(99, 99, value), (80.0, 40.0, 1.0)]
    assert members(rows, CLEAN, ROBUST, COST) == [1]
    assert members(rows, CLEAN, ROBUST) == [0]


def test_equal_trials_are_all_kept() -> None:
    assert members([(80, 40, 1), (80, 40, 1), (70, 30, 2)], CLEAN, ROBUST, COST) == [0, 1]


def test_no_trials() -> None:
    assert members([], CLEAN, ROBUST) == members([], COST) == []


def test_against_the_definition() -> None:
    values = np.random.default_rng(0).integers(0, 6, size=(60, 3)).astype(float)
    gains = values * np.array([1, 1, -1])
    dominated = [any((other >= own).all() and (other > own).any() for other in gains) for own in gains]
    found = members([tuple(row) for row in values.tolist()], CLEAN, ROBUST, COST)
    assert found == [number for number, is_out in enumerate(dominated) if not is_out]


@pytest.mark.parametrize("state", ["stopped", "failed", "running", "proposed"])
def test_a_trial_that_is_not_complete_neither_joins_nor_dominates(new_study: NewStudy, state: str) -> None:
    study = new_study()
    better = {"val_clean": 99.0, "val_pgd_8": 99.0, "train_pflop": 0.1}
    if state == "proposed":
        study.journal.write("proposed", uid="waiting", number=9, params={"num_views": 2}, config={"seed": 0})
    elif state == "running":
        study.start(num_views=2)
    else:
        study.finish(study.start(num_views=2), state, better)
    uid = study.complete(80.0, 40.0, 1.0, {"num_views": 4})
    assert [one.uid for one in front_of(study.read())] == [uid]


def test_a_trial_whose_checks_failed_neither_joins_nor_dominates(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(99.0, 99.0, 0.1, {"num_views": 2}, validity=["the attack looks broken"])
    uid = study.complete(80.0, 40.0, 1.0, {"num_views": 4})
    assert [one.uid for one in front_of(study.read())] == [uid]


def test_an_objective_that_was_never_measured_leaves_no_front(new_study: NewStudy) -> None:
    study = new_study(objectives=[{"name": "val_pgd_2", "direction": "maximize"}])
    study.complete(80.0, 40.0, 1.0)
    assert front_of(study.read()) == []


def test_without_objectives_there_is_no_front(new_study: NewStudy) -> None:
    study = new_study(objectives=[])
    study.complete(80.0, 40.0, 1.0)
    assert front_of(study.read()) == []


def test_means_of_lost_doubtful_and_constrained_configurations_are_not_compared(new_study: NewStudy) -> None:
    study = new_study(constraints=[{"name": "train_pflop", "at_most": 2.0}])
    study.complete(90.0, 60.0, 1.0, {"num_views": 2}, seed=0)
    study.complete(80.0, 50.0, 2.0, {"num_views": 2}, seed=1)
    study.complete(90.0, 60.0, 5.0, {"num_views": 4})
    study.complete(90.0, 60.0, 1.0, {"num_views": 8}, validity=["masked"])
    study.complete(90.0, 60.0, 1.0, {"num_views": 16}, seed=0)
    study.finish(study.start(num_views=16, seed=1), "failed", reason="diverged")
    record = study.read()
    found = comparable_means(measured_configurations(record), objectives_of(record), record)
    assert found[0].tolist() == [85.0, 55.0, 1.5] and np.isnan(found[1:]).all() and len(found) == 4


def test_a_constraint_is_judged_by_the_seeds_that_have_its_metric(new_study: Callable[..., Any]) -> None:
    study = new_study(constraints=[{"name": "train_seconds", "at_most": 1.0}], seeds=[0, 1])
    for seed, seconds in ((0, 5.0), (1, None)):
        study.complete(90.0, 40.0, 1.0, {"num_views": 4}, seed=seed, train_seconds=seconds)
    table = tabulate(study.read())
    assert not table.configurations["on_front"].any()
    assert table.configurations["validity"].iloc[0] == ["breaks the constraint train_seconds <= 1: 5"]


def test_metrics_called_like_columns_are_left_out(new_study: Callable[..., Any]) -> None:
    study = new_study()
    study.complete(90.0, 40.0, 1.0, {"num_views": 4}, number=7.0, num_seeds=13.0, adversary=3.0)
    table = tabulate(study.read())
    assert table.frame["number"].tolist() == [0] and table.configurations["num_seeds"].tolist() == [1]
    assert table.frame.columns.is_unique and table.configurations.columns.is_unique
