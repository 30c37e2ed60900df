"""A metric as an axis: its values, whiskers, title and ticks in a readable unit, on validation or on test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reports.page.figure_style import log_axis_ticks, plain_numbers
from study.record.measures import SPLIT_WORDS, Scale, axis_scale, on_its_split, on_split
from study.record.trials import TrialTable, whisker_of
from study.trainable import Metric

Lengths = list[float | None]


@dataclass(frozen=True)
class Axis:
    """A metric in the unit of ``scale``; ``values`` are those that the axis is made for, in the metric's own unit."""

    table: TrialTable
    metric: Metric
    values: pd.Series
    scale: Scale

    def series(self, rows: pd.DataFrame, split: str) -> pd.Series:
        """The values of ``rows`` on a split, in the metric's own unit; NaN where they are not known."""
        name = on_split(self.metric, split)
        return rows[name] if name in rows else pd.Series(math.nan, index=rows.index)

    def at(self, rows: pd.DataFrame, split: str) -> list[float | None]:
        """The values of ``rows`` on a split, in the axis's unit."""
        return plain_numbers(self.series(rows, split) / self.scale.size)

    def whiskers(self, rows: pd.DataFrame, split: str) -> tuple[Lengths, Lengths]:
        """The lengths of the whiskers of ``rows`` (down, up), in the axis's unit."""
        metric = self.table.metric(on_split(self.metric, split))
        reach = [whisker_of(row, metric) or (math.nan, math.nan) for row in rows.to_dict("records")]
        down, up = np.array(reach, dtype=float).reshape(-1, 2).T / self.scale.size
        return plain_numbers(down), plain_numbers(up)

    def title(self, split: str) -> str:
        """The metric in words with its unit and, if it has one, its split."""
        if self.metric.is_cost:
            return self.scale.label
        return on_its_split(self.table.metric(on_split(self.metric, split)))

    def long_title(self, split: str) -> str:
        """``title`` over two lines where it has two parts, for a vertical axis."""
        return self.title(split).replace(", ", ",<br>", 1)

    @property
    def kind(self) -> dict[str, Any]:
        """Settings of a logarithmic axis if there is to be one."""
        return {"type": "log", **log_axis_ticks(self.values / self.scale.size)} if self.scale.is_log else {}


def axis_of(table: TrialTable, metric: Metric, values: pd.Series) -> Axis:
    """The axis of ``metric`` that suits ``values``."""
    return Axis(table, metric, values, axis_scale(metric, values))


def splits_of(table: TrialTable, metrics: Sequence[Metric]) -> list[str]:
    """The splits on which all ``metrics`` can be drawn, first that of the selection; one if they have no twins."""
    names = {split: [on_split(metric, split) for metric in metrics] for split in SPLIT_WORDS}
    measured = [split for split in SPLIT_WORDS if set(names[split]) <= set(table.configurations)] or ["val"]
    own = {metric.split for metric in metrics}
    measured.sort(key=lambda split: split not in own)
    return measured[:1] if names["val"] == names["test"] else measured


def measured_in(table: TrialTable, metrics: Sequence[Metric]) -> pd.DataFrame:
    """The configurations that have finite values of all ``metrics``, with their probability of being on the front."""
    frame = table.certainty[0]
    values = frame.reindex(columns=[metric.name for metric in metrics]).to_numpy(dtype=float)
    return frame[np.isfinite(values).all(axis=1)].reset_index(drop=True)


def drawable_pairs(table: TrialTable, objectives: Sequence[Metric]) -> list[tuple[Metric, Metric]]:
    """Every two objectives of which some configuration has both, with costs on the horizontal axis."""
    pairs = []
    for index, first in enumerate(objectives):
        for second in objectives[index + 1 :]:
            pair = (second, first) if second.is_cost else (first, second)
            if not measured_in(table, pair).empty:
                pairs.append(pair)
    return pairs
