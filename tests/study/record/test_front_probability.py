"""Probabilities of front membership against closed forms."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from study.record.front_probability import as_drawn, front_probabilities
from study.record.seed_noise import SeedNoise, example_variance, pooled_seed_noise
from study.record.trials import tabulate
from study.trainable import Metric

NewStudy = Callable[..., Any]
BOTH = [True, True]
NO_EXAMPLES = np.zeros((2, 2))


def test_the_pooled_covariance_by_hand() -> None:
    values = np.array([[1.0, 10.0], [3.0, 14.0], [5.0, 0.0], [8.0, 0.0], [11.0, 3.0], [50.0, 50.0]])
    noise = pooled_seed_noise(values, np.array([0, 0, 1, 1, 1, 2]))
    # 0: deviations (-1, -2), (1, 2); 1: (-3, -1), (0, -1), (3, 2); three degrees of freedom, 2 adds none.
    assert noise.degrees_of_freedom == 3
    assert noise.covariance == pytest.approx(np.array([[2 + 18, 4 + 9], [4 + 9, 8 + 6]]) / 3)


def test_one_seed_each_tells_nothing_of_the_noise() -> None:
    noise = pooled_seed_noise(np.array([[1.0], [5.0]]), np.array([0, 1]))
    assert noise.degrees_of_freedom == 0 and noise.covariance == pytest.approx(0)


def test_variance_of_examples() -> None:
    assert example_variance(50.0, 100) == pytest.approx(25.0)  # 50 % of 100 images: 5 points
    none, all_of_them = example_variance(0.0, 100), example_variance(100.0, 100)
    assert 0 < none < 5 and all_of_them == pytest.approx(none)
    assert example_variance(50.0, None) == 0


def chance(difference: float, *variances: float) -> float:
    return float(norm.cdf(difference / math.sqrt(sum(variances))))


def test_seed_noise_of_one_objective_is_the_normal_probability() -> None:
    # Equal in the second objective, which has no noise: the better one in the first is alone on the front.
    means, seeds = np.array([[71.0, 30.0], [70.0, 30.0]]), np.array([1, 4])
    noise = SeedNoise(np.diag([4.0, 0.0]), 10)
    found = front_probabilities(means, seeds, noise, NO_EXAMPLES, BOTH, num_replicates=20_000)
    assert found == pytest.approx([chance(1, 4, 1), chance(-1, 4, 1)], abs=0.012)
    assert found.sum() == pytest.approx(1)


def test_more_seeds_do_not_shrink_the_noise_of_the_images() -> None:
    means, images = np.array([[71.0, 30.0], [70.0, 30.0]]), np.array([[3.0, 0.0], [3.0, 0.0]])
    noise = SeedNoise(np.zeros((2, 2)), 0)
    found = front_probabilities(means, np.array([9, 9]), noise, images, BOTH, num_replicates=20_000)
    assert found[0] == pytest.approx(chance(1, 3, 3), abs=0.012)


def test_objectives_of_a_seed_move_together() -> None:
    # Perfectly correlated noise: b stays below a in both or above in both, so one of them is always alone.
    means, noise = np.array([[71.0, 31.0], [70.0, 30.0]]), SeedNoise(np.full((2, 2), 4.0), 10)
    found = front_probabilities(means, np.array([1, 1]), noise, NO_EXAMPLES, BOTH, num_replicates=20_000)
    assert found == pytest.approx([chance(1, 4, 4), chance(-1, 4, 4)], abs=0.012)


def test_without_noise_it_is_the_front_and_minimised_objectives_count() -> None:
    means = np.array([[70.0, 1.0], [60.0, 2.0], [80.0, 3.0]])
    noise = SeedNoise(np.zeros((2, 2)), 0)
    found = front_probabilities(means, np.ones(3, dtype=int), noise, np.zeros((3, 2)), [True, False])
    assert found.tolist() == [1, 0, 1]


def test_the_same_seed_gives_the_same_numbers() -> None:
    means, noise = np.array([[71.0, 30.0], [70.0, 31.0]]), SeedNoise(np.diag([4.0, 4.0]), 10)
    first, again, other = (front_probabilities(means, np.array([1, 1]), noise, NO_EXAMPLES, BOTH, s) for s in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_costs_are_drawn_as_logarithms_and_accuracies_as_they_are() -> None:
    metrics = [Metric("accuracy", kind="share"), Metric("compute", "minimize", kind="cost"), Metric("loss", "minimize")]
    drawn = as_drawn(np.array([[50.0, 1.0, 1.0], [60.0, math.e, math.e]]), metrics)
    assert drawn.tolist() == [[50.0, 0.0, 1.0], [60.0, 1.0, math.e]]
    assert as_drawn(np.array([[1.0], [0.0]]), metrics[1:2]).tolist() == [[1.0], [0.0]]  # free: it has no logarithm


def test_a_study_knows_its_noise_and_leaves_out_what_is_in_doubt(new_study: NewStudy) -> None:
    study = new_study()
    for seed, clean in enumerate((70.0, 74.0)):
        study.complete(clean, 40.0, 2.0, {"num_views": 4}, seed=seed)
    study.complete(99.0, 99.0, 1.0, {"num_views": 8}, validity=["masked"])
    study.complete(20.0, 10.0, 9.0, {"num_views": 16})
    frame, noise = tabulate(study.read()).certainty
    assert noise is not None and noise.degrees_of_freedom == 1
    assert noise.covariance[0, 0] == pytest.approx(8) and noise.covariance[2, 2] == pytest.approx(0)
    assert frame["front_probability"].tolist() == [1, 0, 0]


def test_the_front_of_one_objective_has_probabilities_too(new_study: NewStudy) -> None:
    study = new_study(objectives=[{"name": "loss", "direction": "minimize"}])
    for views, losses in ((2, (1.0, 1.2)), (4, (1.1, 1.3)), (8, (9.0, 9.2))):
        for seed, loss in enumerate(losses):
            study.complete(70.0, 40.0, 2.0, {"num_views": views}, seed=seed, loss=loss)
    frame, noise = tabulate(study.read()).certainty
    assert noise is not None and noise.covariance == pytest.approx(np.array([[0.02]]))
    # The variance of the difference of two means over two seeds is 0.02.
    assert frame["front_probability"].tolist() == pytest.approx([chance(0.1, 0.02), chance(-0.1, 0.02), 0], abs=0.05)
