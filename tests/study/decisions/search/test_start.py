"""What is run before there are results."""

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from study.decisions.search.space import Space
from study.decisions.search.start import NUM_POINTS, NUM_SPREAD, start
from study.spec import Factor, Search, StudySpec
from trainables.trial_config import TrialConfig

FACTORS = (
    Factor(name="adversary", distribution=CategoricalDistribution(["none", "free", "pgd"])),
    Factor(name="pgd_steps", distribution=IntDistribution(2, 20), when={"adversary": ("pgd",)}),
    Factor(name="epochs", distribution=IntDistribution(1, 64, log=True)),
    Factor(name="learning_rate", distribution=FloatDistribution(0.01, 1.0, log=True)),
)


def space_of(*factors: Factor) -> Space:
    spec = StudySpec(name="x", question="?", base=TrialConfig(), factors=factors, design=Search(trials=3))
    return Space(spec, 0)


def started(seed: int, known_cost: str | None, *factors: Factor) -> tuple[int, list[dict[str, Any]]]:
    number, points = start(space_of(*(factors or FACTORS)), seed, known_cost)
    return number, [point.params for point in points]


def test_each_level_is_tried_where_it_is_cheapest() -> None:
    number, points = started(0, "train_pflop")
    assert number == 3
    assert [point["adversary"] for point in points[:3]] == ["none", "free", "pgd"]
    assert [point["epochs"] for point in points[:3]] == [1, 1, 1]
    assert points[2]["pgd_steps"] == 2
    assert len({point["learning_rate"] for point in points[:3]}) == 3  # has no influence on the cost


def test_without_levels_the_cheapest_config_is_the_first() -> None:
    number, points = started(0, "train_pflop", *FACTORS[2:])
    assert number == 1 and points[0]["epochs"] == 1


def test_without_known_costs_the_points_are_about_the_middle() -> None:
    number, points = started(0, None)
    assert number == NUM_SPREAD and len(points) == NUM_POINTS
    assert all(2 <= point["epochs"] <= 20 for point in points)
    assert {point["adversary"] for point in points} == {"none", "free", "pgd"}


@pytest.mark.parametrize("known_cost", ["train_pflop", None])
def test_the_points_follow_from_the_seed(known_cost: str | None) -> None:
    assert started(1, known_cost) == started(1, known_cost)
    assert started(1, known_cost) != started(2, known_cost)
