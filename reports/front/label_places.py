"""Places for the labels of marks, so that they cover neither marks nor each other at any width of the figure."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Offset = tuple[float, float]  # right and up from the mark to the middle of its label, in pixels
CHARACTER_WIDTH, LINE_HEIGHT, PAD = 6.6, 14.0, 2.0  # pixels of a label in the font of 11
MARK_RADIUS = 7.0
DISTANCES = (12.0, 22.0, 36.0, 54.0, 76.0)  # from the mark to its label, nearest first
ANGLES = tuple(math.radians(degrees) for degrees in (90, 60, 120, 0, 180, -60, -120, -90, 30, 150, -30, -150))
Placed = tuple[Floats, Floats]  # the box of a label and points of its leader
NEAR = 250.0  # pixels from a mark to what its label may meet
# What is worse: a label over another, its leader or the edge; over a mark; a leader over a mark; a label over a line.
OVER_LABEL, OVER_MARK, THROUGH_MARK, OVER_STROKE = 1000.0, 6.0, 2.0, 2.0
FAR = 0.15  # a pixel more between mark and label
LEADER = np.linspace(0.25, 0.9, 5)  # points of the line between mark and label at which it is looked at


def label_places(
    labelled: Floats, marks: Floats, strokes: Floats, texts: Sequence[str], sizes: Sequence[tuple[float, float]]
) -> list[Offset | None]:
    """One offset for each label, good at all ``sizes`` of the plot; None where each would cover another label.

    Labels are placed one after the other, each at the first of the least bad places around its mark.

    Args:
        labelled: positions of the marks with a label, in shares of the plot's width and height (labels, 2).
        marks: of all marks (marks, 2).
        strokes: points along lines that are better not written upon (points, 2).
        texts: of the labels, lines separated by '<br>'.
        sizes: widths and heights of the plot in pixels.

    Example:
        >>> middle = np.array([[0.5, 0.5]])
        >>> label_places(middle, middle, np.empty((0, 2)), ["t1"], [(300, 300)])
        [(0.0, 21.0)]
    """
    plots = [np.array(size, dtype=float) for size in sizes]
    placed: list[list[Placed]] = [[] for _ in plots]  # at each size
    found: list[Offset | None] = []
    for position, text in zip(labelled, texts, strict=True):
        offsets, half = _candidates(text)
        badness = FAR * np.repeat(DISTANCES, len(ANGLES))
        for plot, others in zip(plots, placed, strict=True):
            badness += _badness(position * plot, offsets, half, marks * plot, strokes * plot, others, plot)
        best = int(np.argmin(badness))
        if badness[best] >= OVER_LABEL:
            found.append(None)
            continue
        found.append((float(offsets[best, 0]), float(offsets[best, 1])))
        for plot, others in zip(plots, placed, strict=True):
            others.append((_boxes(position * plot + offsets[best], half), _leaders(position * plot, offsets[best])))
    return found


def _candidates(text: str) -> tuple[Floats, Floats]:
    """Offsets of a label's middle from its mark (candidates, 2), and half its width and height."""
    lines = text.split("<br>")
    half = np.array([CHARACTER_WIDTH * max(map(len, lines)), LINE_HEIGHT * len(lines)]) / 2 + PAD
    offsets = [
        [math.cos(angle) * (distance + half[0]), math.sin(angle) * (distance + half[1])]
        for distance in DISTANCES
        for angle in ANGLES
    ]
    return np.array(offsets, dtype=np.float64).round(), half


def _badness(
    mark: Floats, offsets: Floats, half: Floats, marks: Floats, strokes: Floats, others: list[Placed], plot: Floats
) -> Floats:
    """How bad each candidate is at one size of the plot."""
    boxes, leaders = _boxes(mark + offsets, half), _leaders(mark, offsets)
    distance = np.abs(marks - mark).max(axis=1)
    near = marks[(distance > 1) & (distance < NEAR)]
    bad: Floats = OVER_LABEL * np.any((boxes[:, :2] < 0) | (boxes[:, 2:] > plot), axis=1)
    bad += OVER_MARK * _inside(near, boxes, MARK_RADIUS).sum(axis=1)
    bad += OVER_STROKE * _inside(strokes[np.abs(strokes - mark).max(axis=1) < NEAR], boxes, 0.0).sum(axis=1)
    close = np.abs(leaders[:, :, None, :] - near).max(axis=3) < MARK_RADIUS  # candidates, points, marks
    bad += THROUGH_MARK * close.any(axis=1).sum(axis=1)
    for box, leader in others:
        bad += OVER_LABEL * np.all((boxes[:, :2] < box[2:]) & (boxes[:, 2:] > box[:2]), axis=1)
        bad += OVER_LABEL * _inside(leader, boxes, 0.0).any(axis=1)
        bad += OVER_LABEL * np.all((leaders > box[:2]) & (leaders < box[2:]), axis=2).any(axis=1)
    return bad


def _boxes(middles: Floats, half: Floats) -> Floats:
    """Left, bottom, right and top (..., 4)."""
    return np.concatenate([middles - half, middles + half], axis=-1)


def _leaders(mark: Floats, offsets: Floats) -> Floats:
    """Points of the lines from the mark to the labels (..., points, 2)."""
    return mark + LEADER[:, None] * offsets[..., None, :]


def _inside(points: Floats, boxes: Floats, margin: float) -> npt.NDArray[np.bool_]:
    """Which points lie in which boxes, or closer than ``margin`` (boxes, points)."""
    low, high = boxes[:, None, :2] - margin, boxes[:, None, 2:] + margin
    return np.asarray(((points > low) & (points < high)).all(axis=2))
