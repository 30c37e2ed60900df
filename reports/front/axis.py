"""A metric as an axis: its values, whiskers, title and ticks in a readable unit, on validation or on test."""

import html
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.front.robust_axis import DrawnAxis, robust_axis
from reports.page.figure_style import log_axis_ticks, plain_numbers
from study.record.measures import SPLIT_WORDS, Scale, axis_scale, on_its_split, on_split
from study.record.trials import TrialTable, whisker_of
from study.trainable import Metric

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
MAX_TICKS = 5  # with a label, on a logarithmic axis
TITLE_WIDTH = 47  # characters in a line, as many as fit on a phone


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

    def coordinates(self, rows: pd.DataFrame, split: str) -> Floats:
        """The values of ``rows`` on a split as coordinates of the axis: in its unit, as log10 if it is logarithmic."""
        return self._on_axis(self.series(rows, split).to_numpy(dtype=float) / self.scale.size)

    def in_unit(self, coordinates: Floats) -> list[float | None]:
        """Coordinates as numbers in the axis's unit, as a trace has them."""
        return plain_numbers(10.0**coordinates if self.scale.is_log else coordinates)

    def whiskers(self, rows: pd.DataFrame, split: str) -> tuple[Floats, Floats]:
        """The lengths of the whiskers of ``rows`` (down, up), in the axis's unit; NaN where there is none."""
        metric = self.table.metric(on_split(self.metric, split))
        reach = [whisker_of(row, metric) or (math.nan, math.nan) for row in rows.to_dict("records")]
        down, up = np.array(reach, dtype=float).reshape(-1, 2).T / self.scale.size
        return down, up

    def whisker_ends(self, rows: pd.DataFrame, split: str) -> tuple[Floats, Floats]:
        """The lower and upper ends of the whiskers of ``rows`` as coordinates."""
        values = self.series(rows, split).to_numpy(dtype=float) / self.scale.size
        down, up = self.whiskers(rows, split)
        return self._on_axis(values - down), self._on_axis(values + up)

    def drawn(self, rows: pd.DataFrame, is_member: Flags, split: str) -> DrawnAxis:
        """Where ``rows`` are drawn on a split, with room for the whiskers of the members of the front."""
        ends = np.concatenate(self.whisker_ends(rows[is_member], split))
        return robust_axis(self.coordinates(rows, split), is_member, ends)

    def _on_axis(self, values: Floats) -> Floats:
        if not self.scale.is_log:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(values)

    def title(self, split: str) -> str:
        """The metric in words with its unit and, if it has one, its split, over as many lines as a phone needs."""
        metric = self.table.metric(on_split(self.metric, split))
        words = self.scale.label if self.metric.is_cost else on_its_split(metric)
        return "<br>".join(html.escape(line) for line in title_lines(words))

    @property
    def kind(self) -> dict[str, Any]:
        """Settings of a logarithmic axis if there is to be one."""
        if not self.scale.is_log:
            return {}
        ticks = log_axis_ticks(self.values / self.scale.size)
        every = 1 + len(ticks["ticktext"]) // (MAX_TICKS + 1)
        texts = [text if place % every == 0 else "" for place, text in enumerate(ticks["ticktext"])]
        return {"type": "log", **ticks, "ticktext": texts, "tickangle": 0}


def axis_of(table: TrialTable, metric: Metric, values: pd.Series) -> Axis:
    """The axis of ``metric`` that suits ``values``."""
    return Axis(table, metric, values, axis_scale(metric, values))


def title_lines(words: str) -> list[str]:
    """A title in lines for a narrow figure, broken where it has two parts.

    Example:
        >>> title_lines("test robust accuracy, PGD-20 (cross-entropy and margin) at 8/255 (%)")
        ['test robust accuracy,', 'PGD-20 (cross-entropy and margin) at 8/255 (%)']
    """
    if len(words) <= TITLE_WIDTH:
        return [words]
    first, comma, rest = words.partition(", ")
    return [line for part in (first + comma.strip(), rest) for line in textwrap.wrap(part, TITLE_WIDTH)]


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
