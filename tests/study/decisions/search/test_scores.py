"""Scales on which results are modelled and traded."""

import numpy as np
import pytest

from study.decisions.search.scores import Ranks, Scores


@pytest.mark.parametrize("kind", ["logarithms", "powers"])
def test_scores_are_standardised_and_in_the_order_of_the_results(kind: str) -> None:
    values = np.exp(np.random.default_rng(0).normal(size=50) * 2)
    scores = Scores(values, kind)(values)  # type: ignore[arg-type]
    assert scores.mean() == pytest.approx(0, abs=1e-9) and scores.std() == pytest.approx(1)
    assert (np.argsort(scores) == np.argsort(values)).all()


def test_a_few_very_bad_results_do_not_make_all_others_alike() -> None:
    values = np.array([0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 1e3])
    scores = Scores(values, "powers")(values)
    assert scores[6] - scores[0] > 0.5 * (scores[7] - scores[0])
    plain = (values - values.mean()) / values.std()
    assert plain[6] - plain[0] < 0.01 * (plain[7] - plain[0])


def test_results_that_fit_no_power_are_standardised() -> None:
    values = np.array([3.0, 1.0, 5.0])
    np.testing.assert_allclose(Scores(values, "powers")(values), (values - 3) / values.std())


def test_costs_are_found_again_from_their_scores() -> None:
    costs = np.array([1.0, 10.0, 300.0])
    scores = Scores(costs, "logarithms")
    np.testing.assert_allclose(scores.size(scores(costs)), costs)
    np.testing.assert_allclose(scores.size(scores(np.array([1e6]))), 1e6)  # beyond all results


def test_of_equal_results_nothing_is_divided_by_zero() -> None:
    for kind in ("logarithms", "powers"):
        assert np.isfinite(Scores(np.full(4, 7.0), kind)(np.full(4, 7.0))).all()  # type: ignore[arg-type]


def test_ranks_are_the_distribution_function_of_the_space() -> None:
    """Means from N(0, 1) with a deviation of 1 are together N(0, 2); a tenth of the scale is even from end to end."""
    means = np.random.default_rng(0).normal(size=4000)
    scores = np.array([-2.0, 0.0, 1.0])
    even = (scores - (means.min() - 4)) / (np.ptp(means) + 8)
    expected = 0.9 * np.array([0.0786, 0.5, 0.7602]) + 0.1 * even
    np.testing.assert_allclose(Ranks(means, np.ones(4000), np.zeros(0))(scores), expected, atol=0.02)


def test_ranks_of_known_values_are_the_share_below() -> None:
    ranks = Ranks(np.array([4.0, 1.0, 2.0, 2.0]), np.zeros(4), np.zeros(0))
    found = ranks(np.array([0.0, 1.0, 2.0, 4.0, 5.0]))
    np.testing.assert_allclose(found, [0, 0.9 * 0.125, 0.9 * 0.5 + 0.1 / 3, 0.9 * 0.875 + 0.1, 1], atol=1e-6)


def test_beyond_the_best_of_the_space_better_is_better() -> None:
    ranks = Ranks(np.array([0.0, 1.0]), np.full(2, 0.01), np.array([-3.0]))
    assert ranks(np.array([-3.0])) < ranks(np.array([-2.0])) < ranks(np.array([-1.0]))
