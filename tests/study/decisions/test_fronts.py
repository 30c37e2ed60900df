"""Points that join fronts one at a time, against fronts by definition."""

import itertools

import numpy as np
import pytest
from test_moasha import front_numbers

from study.decisions import fronts as module
from study.decisions.fronts import Fronts


@pytest.mark.parametrize("num_values", [None, 4])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_each_front_is_that_of_all_points(width: int, num_values: int | None) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        points = rng.normal(size=(25, width))
        points = points if num_values is None else rng.integers(num_values, size=(25, width)).astype(float)
        maximise = [bool(flag) for flag in rng.integers(2, size=width)]
        begun = int(rng.integers(20))
        fronts = Fronts(points[:begun], maximise)
        for number in range(begun, 25):
            ahead, own = fronts.add(tuple(points[number]))
            so_far = points[: number + 1]
            ranks = np.array(front_numbers(so_far, maximise))
            assert ahead == (ranks < ranks[-1]).sum()
            assert own.tolist() == so_far[ranks == ranks[-1]].tolist()


def test_twice_as_many_points_are_compared_about_twice_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = itertools.count()
    dominated = module._dominated

    def counting(points: module.Floats, others: module.Floats) -> np.ndarray:
        next(compared)
        return dominated(points, others)

    monkeypatch.setattr(module, "_dominated", counting)
    points = np.random.default_rng(0).normal(size=(1200, 2))
    fronts, ends = Fronts(np.zeros((0, 2)), [True, True]), []
    for point in points:
        fronts.add(tuple(point))
        ends.append(next(compared))
    assert ends[1199] < 2.5 * ends[599]
