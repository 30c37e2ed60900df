"""Which part of an axis is drawn, and where what lies outside it."""

import numpy as np
import numpy.typing as npt
import pytest

from reports.front.robust_axis import DrawnAxis, robust_axis

NOTHING = np.empty(0)
CLUSTER = [88.0, 90.0, 91.0, 92.0, 93.0, 94.0, 95.0]
ON_FRONT = [False] * 3 + [True] * 4


def drawn(values: list[float], is_member: list[bool], whiskers: npt.NDArray[np.float64] = NOTHING) -> DrawnAxis:
    return robust_axis(np.array(values), np.array(is_member), whiskers)


@pytest.mark.parametrize(("far", "side"), [(10.0, -1), (300.0, 1), (-np.inf, -1)])
def test_one_far_value_lies_just_inside_the_edge_and_changes_no_limit(far: float, side: int) -> None:
    alone, found = drawn(CLUSTER, ON_FRONT), drawn([*CLUSTER, far], [*ON_FRONT, False])
    assert found.limits == alone.limits and alone.beyond.tolist() == [0] * 7
    assert found.beyond.tolist() == [0] * 7 + [side]
    low, high = found.limits
    edge = low if side < 0 else high
    assert low < found.coordinates[-1] < high and abs(found.coordinates[-1] - edge) < 0.03 * (high - low)
    assert found.coordinates[:-1].tolist() == CLUSTER


def test_a_far_member_of_the_front_is_in_place_and_so_is_what_lies_as_far_as_the_front_is_long() -> None:
    found = drawn([*CLUSTER, 10.0], [*ON_FRONT, True])
    assert found.beyond.tolist() == [0] * 8 and found.limits[0] < 10
    assert drawn([*CLUSTER, 60.0], [*ON_FRONT, False]).beyond[-1] == -1
    front = [True] * 2 + [False] * 6  # of 88 and 90 in the first, of 60 and 90 in the second
    assert drawn([60.0, *CLUSTER[1:], 40.0, 89.0], [*front, False]).beyond.tolist() == [0] * 9


def test_values_that_would_hardly_lengthen_the_axis_are_drawn() -> None:
    assert drawn([*CLUSTER, 85.0], [*ON_FRONT, False]).beyond.tolist() == [0] * 8


def test_no_value_is_an_outlier_where_many_lie_far_away() -> None:
    values, members = [*CLUSTER, 10.0, 11.0, 12.0, 13.0], [*ON_FRONT, *[False] * 4]
    assert drawn(values, members).beyond.tolist() == [0] * 11


def test_there_is_room_for_whiskers() -> None:
    low, high = drawn(CLUSTER, ON_FRONT, np.array([80.0, np.nan, 99.0])).limits
    assert low < 80 and high > 99


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 3.0], [np.nan], [np.nan, 0.0]])
def test_limits_are_always_a_range(values: list[float]) -> None:
    found = drawn(values, [False] * len(values))
    low, high = found.limits
    assert np.isfinite([low, high]).all() and low < high and not found.beyond.any()
    assert np.array_equal(found.coordinates, np.array(values), equal_nan=True)
