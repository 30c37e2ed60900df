"""Expected hypervolume improvement against closed forms and Monte Carlo."""

import math

import moocore
import numpy as np
import numpy.typing as npt
import pytest

from study.decisions.search.improvement import Gaussian, Nodes, expected_improvement

Floats = npt.NDArray[np.float64]


def monte_carlo(mean: Floats, deviation: Floats, front: Floats, reference: Floats, draws: int = 4000) -> float:
    """The mean growth of the hypervolume, and nothing of the decomposition that is tested."""
    sampled = mean + deviation * np.random.default_rng(0).normal(size=(draws, len(mean)))
    before = moocore.hypervolume(front, ref=reference)
    after = [moocore.hypervolume(np.vstack([front, one]), ref=reference) for one in sampled]
    return float(np.mean(after) - before)


def test_with_one_objective_it_is_the_expected_improvement() -> None:
    """Jones, Schonlau and Welch (1998), equation 15: (best - mean) cdf + deviation density."""
    mean, deviation, best = np.array([0.3, -0.2, 2.0]), np.array([0.5, 0.1, 1.0]), 0.1
    z = (best - mean) / deviation
    cdf = np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in z])
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    found = expected_improvement([Gaussian(mean, deviation)], 3, np.array([[best], [0.7]]), np.array([5.0]))
    np.testing.assert_allclose(found, (best - mean) * cdf + deviation * density, rtol=1e-10)


@pytest.mark.parametrize("num_objectives", [2, 3, 4])
def test_it_is_what_monte_carlo_says(num_objectives: int) -> None:
    rng = np.random.default_rng(num_objectives)
    front, reference = rng.random((7, num_objectives)), np.full(num_objectives, 1.1)
    mean, deviation = rng.random((3, num_objectives)) * 0.8, rng.uniform(0.05, 0.3, (3, num_objectives))
    deviation[1, 0] = 0.0  # known before training
    marginals = [Gaussian(mean[:, axis], deviation[:, axis]) for axis in range(num_objectives)]
    found = expected_improvement(marginals, 3, front, reference)
    expected = [monte_carlo(mean[row], deviation[row], front, reference) for row in range(3)]
    np.testing.assert_allclose(found, expected, rtol=0.1, atol=3e-3)


def test_of_known_points_it_is_the_growth_of_the_hypervolume() -> None:
    front, reference = np.array([[0.2, 0.6, 0.5], [0.5, 0.3, 0.4], [0.7, 0.1, 0.9]]), np.ones(3)
    candidates = np.random.default_rng(0).random((20, 3)) * 1.2
    marginals = [Gaussian(column, np.zeros(20)) for column in candidates.T]
    before = moocore.hypervolume(front, ref=reference)
    expected = [moocore.hypervolume(np.vstack([front, one]), ref=reference) - before for one in candidates]
    np.testing.assert_allclose(expected_improvement(marginals, 20, front, reference), expected, atol=1e-12)
    assert max(expected) > 0.01 and min(expected) == 0


def test_nodes_are_a_distribution_of_their_values() -> None:
    """Two equally likely values: the mean of the growths by each."""
    front, reference = np.array([[0.5, 0.5]]), np.ones(2)
    either = Nodes(np.array([[0.2, 0.8]]), np.array([0.5, 0.5]))
    found = expected_improvement([either, Gaussian(np.array([0.3]), np.zeros(1))], 1, front, reference)
    np.testing.assert_allclose(found, [0.5 * (0.8 * 0.7 - 0.25) + 0.5 * (0.2 * 0.2)])


def test_without_a_front_all_that_is_better_than_the_reference_counts() -> None:
    marginals = [Gaussian(np.array([0.25]), np.zeros(1)), Gaussian(np.array([0.5]), np.zeros(1))]
    np.testing.assert_allclose(expected_improvement(marginals, 1, np.zeros((0, 2)), np.ones(2)), [0.75 * 0.5])


def test_candidates_are_independent_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    front, marginals = rng.random((5, 2)), [Gaussian(rng.random(9), rng.random(9)) for _ in range(2)]
    whole = expected_improvement(marginals, 9, front, np.ones(2))
    monkeypatch.setattr("study.decisions.search.improvement.MAX_CELLS", 1)  # one at a time
    np.testing.assert_allclose(expected_improvement(marginals, 9, front, np.ones(2)), whole)
