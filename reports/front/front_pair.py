"""Two objectives as the axes of a figure: where the configurations are drawn, on each split, and their labels."""

import html
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.front.axis import Axis, Flags, Floats, axis_of, measured_in, splits_of
from reports.front.front_labels import HIDDEN, along, front_labels, label_texts
from reports.front.front_layout import upright_title
from reports.front.front_marks import front_in
from reports.front.robust_axis import DrawnAxis
from study.record.trials import TrialTable
from study.trainable import Metric

PLOT_HEIGHT = 380
MAX_FAR_LABELS = 8


@dataclass(frozen=True)
class Pair:
    """Two objectives as axes, the configurations that have both, and the splits to switch between, selection first."""

    table: TrialTable
    rows: pd.DataFrame
    x: Axis
    y: Axis
    splits: list[str]

    @cached_property
    def is_member(self) -> Flags:
        """Marks the rows on the front of these two objectives; one that is only cheap may lie beyond the axes."""
        return front_in(self.rows, [self.x.metric, self.y.metric])

    @cached_property
    def drawn(self) -> dict[str, tuple[DrawnAxis, DrawnAxis]]:
        """Where the rows are drawn on each split."""
        return {
            split: (self.x.drawn(self.rows, self.is_member, split), self.y.drawn(self.rows, self.is_member, split))
            for split in self.splits
        }

    @cached_property
    def corners(self) -> Floats:
        """The corners of the front of these two alone, as selected (corners, 2), in coordinates."""
        x, y = self.x.metric, self.y.metric
        rows = self.rows[front_in(self.rows, [x, y])].sort_values([x.name, y.name])
        return np.column_stack([axis.coordinates(rows, self.splits[0]) for axis in (self.x, self.y)])

    def layout(self, split: str) -> dict[str, Any]:
        """What the layout has on a split: titles, the ends of the axes, and as many annotations as on any split."""
        x, y = self.drawn[split]
        texts = {one: label_texts(self.rows, self.x, self.y) | self._far_texts(one) for one in self.splits}
        labels = front_labels(x, y, texts[split], self._strokes(split), PLOT_HEIGHT)
        unused = max(map(len, texts.values())) - len(labels)
        return {
            "xaxis.title.text": self.x.title(split),
            "xaxis.range": list(x.limits),
            "yaxis.range": list(y.limits),
            "annotations": [upright_title(self.y.title(split)), *labels, *[HIDDEN] * unused],
        }

    def _far_texts(self, split: str) -> dict[int, str]:
        """Position of a configuration beyond the axes -> its values there, of the first ones; members are named."""
        axes = list(zip((self.x, self.y), self.drawn[split], strict=True))
        away = np.flatnonzero(np.any([drawn.beyond != 0 for _, drawn in axes], axis=0))
        texts = {}
        for row in map(int, away[:MAX_FAR_LABELS]):
            outside = [axis for axis, drawn in axes if drawn.beyond[row]]
            values = [axis.series(self.rows, split).iloc[row] / axis.scale.size for axis in outside]
            name = f"{html.escape(self.rows['uid'].iloc[row])}: " if self.rows["on_front"].iloc[row] else ""
            texts[row] = name + ", ".join(f"{value:.3g}" for value in values)
        return texts

    def _strokes(self, split: str) -> Floats:
        """Points along the whiskers of the front and, where it is drawn, the staircase."""
        x, y = (drawn.coordinates for drawn in self.drawn[split])
        whiskers = [np.array([[low, y], [high, y]]) for low, high in [self.x.whisker_ends(self.rows, split)]]
        whiskers += [np.array([[x, low], [x, high]]) for low, high in [self.y.whisker_ends(self.rows, split)]]
        is_front = self.rows["on_front"].to_numpy(dtype=bool)
        pieces = [ends[:, :, is_front].transpose(2, 0, 1) for ends in whiskers]
        if split == self.splits[0]:
            pieces.append(_steps(self.corners, self.x.metric.maximise))
        return along(np.concatenate(pieces))


def pair_of(table: TrialTable, x: Metric, y: Metric) -> Pair:
    """The configurations that have both ``x`` and ``y``, on axes that suit them."""
    rows = measured_in(table, (x, y))
    return Pair(table, rows, axis_of(table, x, rows[x.name]), axis_of(table, y, rows[y.name]), splits_of(table, (x, y)))


def _steps(corners: Floats, is_upright_first: bool) -> npt.NDArray[np.float64]:
    """The straight pieces of a staircase, as their ends (pieces, 2, 2)."""
    start, end = corners[:-1], corners[1:]
    bends = np.column_stack([start[:, 0], end[:, 1]] if is_upright_first else [end[:, 0], start[:, 1]])
    return np.concatenate([np.stack([start, bends], axis=1), np.stack([bends, end], axis=1)])
