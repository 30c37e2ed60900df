"""Multi-objective ASHA against brute force: fronts by definition, the epsilon-net by its recursive definition."""

import math
import time

import numpy as np
import pytest

from study.decisions.moasha import MultiObjectiveAsha, epsilon_net, rank

SEEDS = range(40)


def draw_points(seed: int, num_values: int | None = None) -> tuple[np.ndarray, list[bool]]:
    """Random points (n, d) and directions; ``num_values`` makes a grid, so that ties are common."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 25)), int(rng.integers(2, 4)))
    points = rng.normal(size=shape) if num_values is None else rng.integers(num_values, size=shape).astype(float)
    return points, [bool(flag) for flag in rng.integers(2, size=shape[1])]


def dominates(one: np.ndarray, other: np.ndarray, maximise: list[bool]) -> bool:
    sign = np.where(maximise, 1, -1)
    return bool((sign * one >= sign * other).all() and (sign * one > sign * other).any())


def front_numbers(points: np.ndarray, maximise: list[bool]) -> list[int]:
    """By definition: take away what nothing left dominates, again and again."""
    fronts = [-1] * len(points)
    left = set(range(len(points)))
    number = 0
    while left:
        front = {i for i in left if not any(dominates(points[j], points[i], maximise) for j in left)}
        for index in front:
            fronts[index] = number
        left -= front
        number += 1
    return fronts


def net_by_definition(points: np.ndarray, maximise: list[bool]) -> list[int]:
    """Nearest to the ideal first, then always the one whose nearest taken one is farthest; plain Python."""
    spans = [max(column) - min(column) for column in points.T]
    lows = [min(column) for column in points.T]
    scaled = [[(v - low) / (span or 1) for v, low, span in zip(p, lows, spans, strict=True)] for p in points]
    ideal = [1.0 if more and span else 0.0 for more, span in zip(maximise, spans, strict=True)]
    order = [min(range(len(points)), key=lambda i: math.dist(scaled[i], ideal))]
    while len(order) < len(points):
        left = [i for i in range(len(points)) if i not in order]
        order.append(max(left, key=lambda i: min(math.dist(scaled[i], scaled[j]) for j in order)))
    return order


def rank_by_definition(points: np.ndarray, maximise: list[bool]) -> list[int]:
    fronts = front_numbers(points, maximise)
    order: list[int] = []
    for number in range(max(fronts) + 1):
        rows = [index for index, front in enumerate(fronts) if front == number]
        order += [rows[index] for index in net_by_definition(points[rows], maximise)]
    return order


@pytest.mark.parametrize("num_values", [None, 4])
def test_nothing_in_a_better_front_ranks_behind_a_worse_one(num_values: int | None) -> None:
    for seed in SEEDS:
        points, maximise = draw_points(seed, num_values)
        order = rank(points, maximise)
        assert sorted(order) == list(range(len(points)))
        fronts = front_numbers(points, maximise)
        placed = [fronts[index] for index in order]
        assert placed == sorted(placed)


def test_the_epsilon_net_takes_the_ideal_first_and_then_the_farthest() -> None:
    for seed in SEEDS:
        for num_values in (None, 2):  # with two values most points are equal to others
            points, maximise = draw_points(seed, num_values)
            assert epsilon_net(points, maximise) == net_by_definition(points, maximise)


def test_the_epsilon_net_of_very_many_equal_points_takes_no_time() -> None:
    """Trials that learn nothing all report the accuracy of guessing, and there may be thousands of them."""
    points = np.tile([[10.0, 10.0], [20.0, 5.0]], (10_000, 1))
    started = time.perf_counter()
    assert epsilon_net(points, [True, True])[:2] == [0, 1]
    assert time.perf_counter() - started < 2


def test_the_epsilon_net_of_a_known_front() -> None:
    # On a line from (0, 4) to (4, 0): the middle is nearest to the ideal, then the ends, then the quarters.
    points = np.array([[float(x), 4.0 - x] for x in range(5)])
    assert epsilon_net(points, [True, True]) == [2, 0, 4, 1, 3]
    # A constant objective does not count.
    assert epsilon_net(np.array([[1.0, 7.0], [3.0, 7.0], [2.0, 7.0]]), [True, False]) == [1, 0, 2]


def test_ranking_is_invariant_under_scale_and_order_of_the_objectives() -> None:
    for seed in SEEDS:
        points, maximise = draw_points(seed)
        order = rank(points, maximise)
        rng = np.random.default_rng(seed + 1000)
        scale, shift = rng.uniform(0.1, 50, points.shape[1]), rng.normal(size=points.shape[1]) * 10
        assert rank(points * scale + shift, maximise) == order
        columns = rng.permutation(points.shape[1])
        assert rank(points[:, columns], [maximise[column] for column in columns]) == order


def test_minimising_is_maximising_the_negative() -> None:
    for seed in SEEDS:
        points, maximise = draw_points(seed)
        assert rank(points, maximise) == rank(np.where(maximise, points, -points), [True] * len(maximise))


@pytest.mark.parametrize("eta", [2, 3, 4])
def test_a_trial_is_kept_exactly_where_it_is_among_the_best_so_far(eta: int) -> None:
    for seed in SEEDS:
        points, maximise = draw_points(seed)
        asha = MultiObjectiveAsha(eta, maximise)
        for last in range(len(points)):
            arrived = points[: last + 1]
            best = rank_by_definition(arrived, maximise)[: math.ceil(len(arrived) / eta)]
            kept = len(arrived) < eta or last in best
            assert asha.decide(f"t{last}", 10, points[last]) == kept
            place, count = asha.standing(f"t{last}", 10)
            assert (place, count) == (rank_by_definition(arrived, maximise).index(last) + 1, last + 1)


def test_a_point_that_dominates_its_rung_is_kept() -> None:
    for seed in SEEDS:
        points, maximise = draw_points(seed, num_values=5)
        asha = MultiObjectiveAsha(3, maximise)
        for index, point in enumerate(points):
            asha.decide(f"t{index}", 10, point)
        best = np.where(maximise, points.max(axis=0), points.min(axis=0)) + np.where(maximise, 0.5, -0.5)
        assert asha.decide("best", 10, best)
        assert asha.standing("best", 10) == (1, len(points) + 1)


@pytest.mark.parametrize("missing", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_finite_stops_and_leaves_no_trace_in_the_rung(missing: float | None) -> None:
    asha = MultiObjectiveAsha(2, [True, True])
    assert not asha.decide("bad", 10, [missing, 90.0]), "not even as the first of its rung"
    assert asha.decide("first", 10, [1.0, 1.0])
    assert not asha.decide("worse", 10, [90.0, missing])
    assert asha.standing("first", 10) == (1, 1)
    assert list(asha.rungs[10].vectors) == ["first"]


def test_asking_again_gives_the_first_answer() -> None:
    for seed in SEEDS:
        points, maximise = draw_points(seed)
        asha = MultiObjectiveAsha(2, maximise)
        answers = [asha.decide(f"t{index}", 10, point) for index, point in enumerate(points)]
        assert [asha.decide(f"t{index}", 10, point) for index, point in enumerate(points)] == answers
        assert [asha.decide(f"t{index}", 10, -point) for index, point in enumerate(points)] == answers
        assert len(asha.rungs[10].vectors) == len(points)


def test_rungs_are_apart() -> None:
    asha = MultiObjectiveAsha(2, [True, True])
    assert asha.decide("good", 10, [9.0, 9.0])
    assert not asha.decide("bad", 10, [1.0, 1.0])
    assert asha.decide("bad", 20, [1.0, 1.0]), "the first at a rung is the best there"


@pytest.mark.parametrize("num_values", [None, 3])
def test_restored_rungs_decide_as_those_that_were_there(num_values: int | None) -> None:
    for seed in SEEDS:
        points, maximise = draw_points(seed, num_values)
        rng = np.random.default_rng(seed)
        values = [[None if rng.random() < 0.05 else float(value) for value in point] for point in points]
        asha, restored = MultiObjectiveAsha(3, maximise), MultiObjectiveAsha(3, maximise)
        half = len(points) // 2
        for index in range(half):
            kept = asha.decide(f"t{index}", 10, values[index])
            restored.restore(f"t{index}", 10, values[index], kept)
        assert restored.rungs == asha.rungs
        for index in range(len(points)):
            assert restored.decide(f"t{index}", 10, values[index]) == asha.decide(f"t{index}", 10, values[index])
        assert restored.rungs == asha.rungs


def test_a_restored_decision_stands_against_the_numbers() -> None:
    asha = MultiObjectiveAsha(2, [True, True])
    asha.decide("good", 10, [9.0, 9.0])
    asha.restore("reference", 10, [0.0, 0.0], kept=True)
    assert asha.decide("reference", 10, [0.0, 0.0])
    asha.decide("between", 10, [1.0, 1.0])
    assert asha.standing("between", 10) == (2, 3), "it counts among the others"


def test_comparing_among_some_is_as_if_the_others_were_not_there() -> None:
    for seed in SEEDS:
        points, maximise = draw_points(seed)
        asha, alone = MultiObjectiveAsha(3, maximise), MultiObjectiveAsha(3, maximise)
        some = {f"t{index}" for index in range(0, len(points), 2)}
        for index, point in enumerate(points[:-1]):
            asha.decide(f"t{index}", 10, point)
            if f"t{index}" in some:
                alone.decide(f"t{index}", 10, point)
        assert asha.decide("last", 10, points[-1], some) == alone.decide("last", 10, points[-1], some)
        assert asha.standing("last", 10) == alone.standing("last", 10)


def test_comparing_among_some_does_not_depend_on_who_came_first() -> None:
    """Accuracies of few images are often equal, and distances to the ideal point too."""
    for seed in SEEDS:
        draw = np.random.default_rng(seed)
        points = {f"t{index}": [float(value), 8.0 - value] for index, value in enumerate(draw.integers(0, 9, size=12))}
        standings = []
        for _ in range(10):
            asha = MultiObjectiveAsha(3, [True, True])
            for uid in draw.permutation([uid for uid in points if uid != "t5"]):
                asha.decide(str(uid), 10, points[str(uid)])
            asha.decide("t5", 10, points["t5"], set(points))
            standings.append(asha.standing("t5", 10))
        assert len(set(standings)) == 1
