"""Front membership on cases that were worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from study.record.front import front_mask
from study.record.measures import Objective

CLEAN, ROBUST = Objective("val_clean", maximise=True), Objective("val_pgd_8", maximise=True)
COST = Objective("train_pflop", maximise=False)


def trials(*rows: tuple[float, float, float], states: list[str] | None = None) -> pd.DataFrame:
    """Trials with clean accuracy, robust accuracy and cost."""
    frame = pd.DataFrame(rows, columns=["val_clean", "val_pgd_8", "train_pflop"], dtype=float)
    return frame.assign(state=states or "complete", validity=[[]] * len(frame))


def members(frame: pd.DataFrame, *objectives: Objective) -> list[int]:
    """The numbers of the rows on the front."""
    return [int(number) for number in np.flatnonzero(front_mask(frame, objectives))]


def test_two_maximised_objectives() -> None:
    frame = trials((90, 20, 1), (80, 40, 1), (70, 30, 1), (60, 50, 1))
    assert members(frame, CLEAN, ROBUST) == [0, 1, 3]


def test_a_minimised_objective_keeps_the_cheap_trial() -> None:
    frame = trials((90, 20, 5), (80, 20, 1), (80, 20, 6))
    assert members(frame, CLEAN, COST) == [0, 1]
    assert members(frame, CLEAN, Objective("train_pflop", maximise=True)) == [0, 2]


def test_one_objective() -> None:
    assert members(trials((90, 20, 5), (80, 20, 1)), COST) == [1]


@pytest.mark.parametrize("state", ["stopped", "failed", "running", "proposed"])
def test_a_trial_that_is_not_complete_neither_joins_nor_dominates(state: str) -> None:
    frame = trials((99, 99, 0.1), (80, 40, 1), states=[state, "complete"])
    assert members(frame, CLEAN, ROBUST, COST) == [1]


def test_a_trial_whose_checks_failed_neither_joins_nor_dominates() -> None:
    frame = trials((99, 99, 0.1), (80, 40, 1))
    frame["validity"] = [["the attack looks broken"], []]
    assert members(frame, CLEAN, ROBUST, COST) == [1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_non_finite_objective_excludes(value: float) -> None:
    frame = trials((99, 99, value), (80, 40, 1))
    assert members(frame, CLEAN, ROBUST, COST) == [1]
    assert members(frame, CLEAN, ROBUST) == [0]


def test_equal_trials_are_all_kept() -> None:
    frame = trials((80, 40, 1), (80, 40, 1), (70, 30, 2))
    assert members(frame, CLEAN, ROBUST, COST) == [0, 1]


def test_an_objective_that_was_never_measured_leaves_no_front() -> None:
    assert members(trials((80, 40, 1)), CLEAN, Objective("val_pgd_2", maximise=True)) == []


def test_no_trials() -> None:
    assert members(trials(), CLEAN, ROBUST) == []


def test_no_objectives_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one objective"):
        front_mask(trials((80, 40, 1)), [])


def test_against_the_definition() -> None:
    values = np.random.default_rng(0).integers(0, 6, size=(60, 3)).astype(float)
    frame = trials(*map(tuple, values.tolist()))
    gains = values * np.array([1, 1, -1])
    dominated = [any((other >= own).all() and (other > own).any() for other in gains) for own in gains]
    assert members(frame, CLEAN, ROBUST, COST) == [number for number, is_out in enumerate(dominated) if not is_out]
