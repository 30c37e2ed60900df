"""Labels beside their marks: none over another, at any width."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from reports.front.label_places import CHARACTER_WIDTH, LINE_HEIGHT, Offset, label_places

SIZES = [(278.0, 380.0), (500.0, 380.0), (1104.0, 380.0)]
NO_LINES = np.empty((0, 2))
Box = tuple[float, float, float, float]


def box(position: npt.NDArray[np.float64], offset: Offset, text: str, size: tuple[float, float]) -> Box:
    """Left, bottom, right and top of a label in pixels."""
    lines = text.split("<br>")
    x, y = position[0] * size[0] + offset[0], position[1] * size[1] + offset[1]
    half_width, half_height = CHARACTER_WIDTH * max(map(len, lines)) / 2, LINE_HEIGHT * len(lines) / 2
    return x - half_width, y - half_height, x + half_width, y + half_height


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.02, 0.1, 0.4])
def test_labels_of_a_cluster_never_overlap_and_stay_inside(seed: int, spread: float) -> None:
    generator = np.random.default_rng(seed)
    marks = np.clip(0.6 + spread * generator.standard_normal((30, 2)), 0.02, 0.98)
    texts = [f"t{index:04d}" + "<br>≤ 200" * (index % 2) for index in range(10)]
    places = label_places(marks[:10], marks, NO_LINES, texts, SIZES)
    assert sum(place is not None for place in places) >= 6
    for size in SIZES:
        boxes = [box(m, p, t, size) for m, p, t in zip(marks, places, texts, strict=False) if p is not None]
        assert not any(overlap(one, other) for one, other in itertools.combinations(boxes, 2))
        assert all(b[0] >= 0 and b[1] >= 0 and b[2] <= size[0] and b[3] <= size[1] for b in boxes)


def test_the_same_marks_have_the_same_places() -> None:
    marks = np.random.default_rng(1).random((12, 2))
    places = [label_places(marks, marks, NO_LINES, ["t0001"] * 12, SIZES) for _ in range(2)]
    assert places[0] == places[1]


def test_a_label_avoids_marks_and_lines() -> None:
    mark = np.array([[0.5, 0.5]])
    ((_, alone),) = label_places(mark, mark, NO_LINES, ["t1"], [(400.0, 400.0)])
    assert alone > 0, "above its mark"
    above = np.array([[0.5, 0.5], [0.5, 0.5 + alone / 400]])
    ((_, beside),) = label_places(mark, above, NO_LINES, ["t1"], [(400.0, 400.0)])
    upward = np.column_stack([np.full(50, 0.5), np.linspace(0.5, 1, 50)])
    ((right, _),) = label_places(mark, mark, upward, ["t1"], [(400.0, 400.0)])
    assert beside != alone and right != 0


def test_a_label_without_a_place_is_left_out() -> None:
    marks = np.full((40, 2), 0.5)
    places = label_places(marks, marks, NO_LINES, ["a long label of a mark"] * 40, [(200.0, 60.0)])
    assert places[0] is not None and places[-1] is None
    assert label_places(np.empty((0, 2)), marks, NO_LINES, [], SIZES) == []
