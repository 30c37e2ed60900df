"""Scales on which results are modelled and traded."""

import numpy as np
import pytest

from study.decisions.search.scores import Ranks, Scores


@pytest.mark.parametrize("kind", ["logarithms", "normal scores", "standardised"])
def test_scores_are_standardised_and_in_the_order_of_the_results(kind: str) -> None:
    values = np.exp(np.random.default_rng(0).normal(size=50) * 2)
    scores = Scores(values, kind)(values)  # type: ignore[arg-type]
    assert scores.mean() == pytest.approx(0, abs=1e-9) and scores.std() == pytest.approx(1)
    assert (np.argsort(scores) == np.argsort(values)).all()


def test_an_increasing_change_of_a_metric_leaves_its_normal_scores() -> None:
    values = np.array([3.0, 1.0, 2.0, 2.0, 9.0])
    np.testing.assert_allclose(
        Scores(values, "normal scores")(values), Scores(np.exp(values), "normal scores")(np.exp(values))
    )


def test_costs_are_found_again_from_their_scores() -> None:
    costs = np.array([1.0, 10.0, 300.0])
    scores = Scores(costs, "logarithms")
    np.testing.assert_allclose(scores.size(scores(costs)), costs)
    np.testing.assert_allclose(scores.size(scores(np.array([1e6]))), 1e6)  # beyond all results


def test_of_equal_results_nothing_is_divided_by_zero() -> None:
    for kind in ("logarithms", "normal scores", "standardised"):
        assert np.isfinite(Scores(np.full(4, 7.0), kind)(np.full(4, 7.0))).all()  # type: ignore[arg-type]


def test_ranks_are_the_distribution_function_of_the_space() -> None:
    """Means from N(0, 1) with a deviation of 1 are together N(0, 2)."""
    means = np.random.default_rng(0).normal(size=4000)
    ranks = Ranks(means, np.ones(4000), np.zeros(0))
    np.testing.assert_allclose(ranks(np.array([-2.0, 0.0, 1.0])), [0.0786, 0.5, 0.7602], atol=0.02)


def test_ranks_of_known_values_are_the_share_below() -> None:
    ranks = Ranks(np.array([4.0, 1.0, 2.0, 2.0]), np.zeros(4), np.zeros(0))
    np.testing.assert_allclose(ranks(np.array([0.0, 1.0, 2.0, 4.0, 5.0])), [0, 0.125, 0.5, 0.875, 1], atol=1e-6)
