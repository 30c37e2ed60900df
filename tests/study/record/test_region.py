"""Regions of interest: what is inside, how far outside the rest is, and that nothing inside is beaten from outside."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from study.record.front import front_inside, front_of, nearest_to_region, nondominated
from study.record.front_probability import front_probabilities
from study.record.region import region_in
from study.record.seed_noise import SeedNoise
from study.record.trials import tabulate

NewStudy = Callable[..., Any]
NAMES = ["val_clean", "val_pgd_8", "train_pflop"]
BOUNDED = [
    {"name": "val_clean", "direction": "maximize", "at_least": 80, "at_most": None},
    {"name": "val_pgd_8", "direction": "maximize"},
    {"name": "train_pflop", "direction": "minimize", "at_least": None, "at_most": 2.0},
]


def test_misses_are_shares_of_the_bound() -> None:
    region = region_in(BOUNDED)
    assert str(region) == "val_clean >= 80, train_pflop <= 2"
    assert region.misses({"val_clean": 60.0, "train_pflop": 3.0}) == {"val_clean": 0.25, "train_pflop": 0.5}
    assert region.misses({"val_clean": 100.0, "train_pflop": None}) == {"val_clean": -0.25}
    points = np.array([[60.0, 0, 3.0], [80.0, 0, 2.0], [100.0, 0, 1.0], [math.nan, 0, 1.0]])
    assert region.distances(points, NAMES)[:3].tolist() == [0.75, 0.0, 0.0]
    assert region.holds(points, NAMES).tolist() == [False, True, True, False]


def test_a_bound_of_zero_is_missed_by_what_is_short() -> None:
    assert region_in([{"name": "gain", "direction": "maximize", "at_least": 0}]).misses({"gain": -0.5}) == {"gain": 0.5}


def test_journals_without_bounds_have_no_region() -> None:
    region = region_in([{"name": "val_clean", "direction": "maximize"}])
    assert not region and region.holds(np.array([[1.0], [math.nan]]), ["val_clean"]).tolist() == [True, True]


def test_the_front_of_what_is_inside_is_what_is_inside_of_the_front() -> None:
    points = np.random.default_rng(0).uniform([60, 20, 0.1], [100, 90, 5], size=(300, 3))
    region, maximise = region_in(BOUNDED), [True, True, False]
    inside = region.holds(points, NAMES)
    assert 10 < inside.sum() < 200
    front = nondominated(points, maximise)
    of_inside = np.zeros(len(points), dtype=bool)
    of_inside[inside] = nondominated(points[inside], maximise)
    assert (of_inside == (front & inside)).all() and (front & ~inside).any()


def test_members_outside_stay_on_the_front_but_are_not_recommended(new_study: NewStudy) -> None:
    study = new_study(objectives=BOUNDED)
    for number, numbers in enumerate([(90.0, 30.0, 1.5), (70.0, 60.0, 1.0), (85.0, 50.0, 4.0), (84.0, 40.0, 2.0)]):
        study.complete(*numbers, {"num_views": 2 ** (number + 1)})
    record = study.read()
    front = front_of(record)
    assert [one.uid for one in front] == ["t000", "t001", "t002", "t003"]
    assert [one.uid for one in front_inside(record, front)] == ["t000", "t003"]
    table = tabulate(record)
    assert table.front_configurations["uid"].tolist() == ["t000", "t001", "t002", "t003"]
    assert table.recommended["uid"].tolist() == ["t000", "t003"]
    chances = dict(zip(table.configurations["uid"], table.certainty[0]["front_probability"], strict=True))
    assert chances["t002"] == 0, "its cost has no noise, so it is never inside"
    assert chances["t001"] < 0.02 < 0.5 < chances["t003"], "70% of 144 images are not 80%"


def test_the_nearest_is_named_where_nothing_is_inside(new_study: NewStudy) -> None:
    study = new_study(objectives=BOUNDED)
    for number, numbers in enumerate([(70.0, 60.0, 1.0), (85.0, 50.0, 2.2), (60.0, 20.0, 0.1)]):
        study.complete(*numbers, {"num_views": 2 ** (number + 1)})
    record = study.read()
    front = front_of(record)
    assert front_inside(record, front) == []
    nearest = nearest_to_region(record, front)
    assert nearest is not None and nearest.uid == "t001", "10% beyond one bound, not 12.5% short of the other"
    assert nearest_to_region(record, []) is None


def test_the_probability_is_that_of_being_inside_as_well() -> None:
    """Alone on the front, half a standard deviation inside, and as much outside."""
    noise = SeedNoise(np.diag([4.0, 0.0]), 10)
    for mean, expected in ((81.0, norm.cdf(0.5)), (79.0, norm.cdf(-0.5))):
        found = front_probabilities(
            np.array([[mean, 1.0]]),
            np.array([1]),
            noise,
            np.zeros((1, 2)),
            [True, True],
            num_replicates=20_000,
            is_inside=lambda drawn: region_in(BOUNDED[:1]).holds(drawn, NAMES[:2]),
        )
        assert found[0] == pytest.approx(expected, abs=0.012)


def test_a_counted_cost_at_its_bound_is_inside(new_study: NewStudy) -> None:
    bound = 0.1
    assert np.exp(np.log(bound)) > bound
    study = new_study(objectives=[BOUNDED[0], BOUNDED[2] | {"at_most": bound}])
    study.complete(99.0, 50.0, bound, {"num_views": 2}, val_n=100_000)
    assert tabulate(study.read()).certainty[0]["front_probability"].tolist() == [1.0]
