"""What a record tells the models."""

from typing import Any

import pytest
from optuna.distributions import IntDistribution

from study.decisions.search.results import Row, as_results, bounded, rows_of, unit_of
from study.decisions.search.space import Point, Space
from study.record.configurations import Configuration
from study.record.journal import State, TrialRecord
from study.spec import Factor, Search, StudySpec
from study.trainable import Metric
from trainables.trial_config import TrialConfig

ACCURACY, PFLOP = Metric("val_clean"), Metric("train_pflop", "minimize", kind="cost")
SPEC = StudySpec(
    name="x",
    question="?",
    base=TrialConfig(),
    factors=(Factor(name="epochs", distribution=IntDistribution(1, 200)),),
    design=Search(trials=3),
)
SPACE = Space(SPEC, 0)


def point(epochs: int) -> Point:
    return SPACE.point({"epochs": epochs})


def told(*trials: tuple[State, dict[str, Any]], reports: Any = (), num_seeds: int = 1) -> list[Row]:
    records = [
        TrialRecord(f"t{seed}", seed, {"epochs": 8}, {"seed": seed}, state=state, metrics=metrics)
        for seed, (state, metrics) in enumerate(trials)
    ]
    records[0].reports = list(reports)
    configuration = Configuration(tuple(records), num_seeds)
    share = lambda point, report: report["milestone"] / 8  # noqa: E731
    return rows_of(configuration, point(8), [ACCURACY, PFLOP], ["val_clean"], share)


def test_a_result_is_the_mean_over_seeds_that_are_complete() -> None:
    first, second = ({"val_clean": value, "train_pflop": 2.0} for value in (70.0, 80.0))
    (row,) = told(("complete", first), ("complete", second), ("running", {}), num_seeds=3)
    assert row.values == {"val_clean": 75.0, "train_pflop": 2.0} and not row.is_interim


@pytest.mark.parametrize(
    ("state", "metrics"),
    [
        ("failed", {}),
        ("complete", {"val_clean": 99.0, "validity": ["broken"]}),
        ("complete", {"val_clean": None}),
        ("complete", {"train_pflop": 1.0}),
    ],
)
def test_what_cannot_be_trusted_is_a_failure_without_values(state: State, metrics: dict[str, Any]) -> None:
    (row,) = told((state, metrics), reports=[{"milestone": 2, "val_clean": 60.0}])
    assert row.is_failure and not row.values


@pytest.mark.parametrize("state", ["stopped", "running", "complete"])
def test_reports_count_however_a_trial_goes_on(state: State) -> None:
    """Costs are in reports as if they grew evenly."""
    reports = [{"milestone": 2, "val_clean": 60.0, "train_pflop": 1.0}, {"milestone": 4, "val_clean": None}]
    rows = told((state, {"val_clean": 70.0} if state == "complete" else {}), reports=reports)
    interim = [(row.share, row.values) for row in rows if row.is_interim]
    assert interim == [(0.25, {"val_clean": 60.0, "train_pflop": 4.0}), (0.5, {})]
    assert len(rows) == (3 if state == "complete" else 2)


def test_reports_are_raised_by_what_complete_trials_gained_from_there() -> None:
    rows = [
        Row(point(1), {"val_clean": 80.0}),
        Row(point(1), {"val_clean": 60.0}, share=0.25, is_interim=True),
        Row(point(1), {"val_clean": 70.0}, share=0.5, is_interim=True),
        Row(point(2), {"val_clean": 50.0}, share=0.25, is_interim=True),
        Row(point(3), {}, is_failure=True),
    ]
    found = as_results(rows, ACCURACY)
    at_a_quarter = (1 * 20 + 0.5 * 10) / 1.5
    at_half = (0.5 * 20 + 1 * 10) / 1.5
    assert found == pytest.approx([80.0, 60.0 + at_a_quarter, 70.0 + at_half, 50.0 + at_a_quarter, None])


def test_without_complete_trials_reports_are_as_they_are() -> None:
    rows = [Row(point(2), {"val_clean": 50.0}, share=0.25, is_interim=True)]
    assert as_results(rows, ACCURACY) == [50.0]


def test_of_too_many_rows_results_and_last_reports_are_kept() -> None:
    rows = []
    for epochs in range(1, 5):
        rows += [Row(point(epochs), {}, share, is_interim=True) for share in (0.1, 0.2)]
        rows += [Row(point(epochs), {})] if epochs < 3 else []
    kept = bounded(rows, limit=5)
    assert [(row.point.params["epochs"], row.share) for row in kept] == [
        (1, 1.0),
        (2, 1.0),
        (3, 0.2),
        (4, 0.1),
        (4, 0.2),
    ]


def test_the_unit_of_a_known_cost_follows_from_results() -> None:
    rows = [Row(point(epochs), {"train_pflop": 7 * point(epochs).known["train_pflop"]}) for epochs in (1, 5)]
    assert unit_of("train_pflop", rows) == pytest.approx(7)
    assert unit_of("train_pflop", []) is None
