"""Two objectives as the axes of a figure: values, whiskers and titles in readable units."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reports.page.figure_style import plain_numbers
from study.record.configuration_frame import whisker_of
from study.record.journal import TrialRecord
from study.record.measures import COSTS, SPLIT_WORDS, CostScale, Objective, is_accuracy, label, on_split
from study.record.trials import TrialTable


@dataclass(frozen=True)
class Pair:
    """Two objectives as axes, with the scales of the costs among them."""

    table: TrialTable
    x: Objective
    y: Objective
    scales: dict[str, CostScale]

    def value(self, rows: pd.DataFrame, name: str, split: str) -> list[float | None]:
        """The values of a measure on a split, in the axis's unit."""
        column = on_split(name, split)
        values = rows[column] if column in rows else pd.Series(math.nan, index=rows.index)
        return plain_numbers(values / self.scales[name].size if name in self.scales else values)

    def whiskers(self, rows: pd.DataFrame, name: str, split: str) -> tuple[list[float | None], list[float | None]]:
        """The lengths of a measure's whiskers (down, up), in the axis's unit."""
        size = self.scales[name].size if name in self.scales else 1.0
        reach = [whisker_of(row, on_split(name, split)) or (math.nan, math.nan) for row in rows.to_dict("records")]
        down, up = zip(*reach, strict=True) if reach else ((), ())
        return plain_numbers(value / size for value in down), plain_numbers(value / size for value in up)

    def title(self, name: str, split: str) -> str:
        """An axis title with unit and, for accuracies, the split."""
        if name in self.scales:
            return self.scales[name].label
        return f"{SPLIT_WORDS[split]} {label(name, self.table.pgd_steps)}" if is_accuracy(name) else name

    def at(self, rows: pd.DataFrame, split: str) -> dict[str, Any]:
        """The coordinates of ``rows``, as properties of a Plotly trace."""
        return {"x": self.value(rows, self.x.name, split), "y": self.value(rows, self.y.name, split)}

    def titles(self, split: str) -> dict[str, Any]:
        """Both axis titles, as properties of a Plotly layout."""
        y_title = self.title(self.y.name, split).replace("accuracy, ", "accuracy,<br>")
        return {"xaxis.title.text": self.title(self.x.name, split), "yaxis.title.text": y_title}

    def last_report(self, trial: TrialRecord) -> tuple[float, float] | None:
        """Both measures of a trial's last report, in the axes' units; None if either is missing."""
        report = trial.reports[-1] if trial.reports else {}
        values = [report.get(name) for name in (self.x.name, self.y.name)]
        if any(value is None for value in values):
            return None
        sizes = [self.scales[name].size if name in self.scales else 1.0 for name in (self.x.name, self.y.name)]
        return float(values[0] or 0.0) / sizes[0], float(values[1] or 0.0) / sizes[1]


def measured_in(table: TrialTable, x: Objective, y: Objective) -> pd.DataFrame:
    """The configurations that have finite values of both objectives, with their probability of being on the front."""
    frame = table.certainty[0]
    values = frame.reindex(columns=[x.name, y.name]).to_numpy(dtype=float)
    return frame[np.isfinite(values).all(axis=1)].reset_index(drop=True)


def drawable_pairs(table: TrialTable, objectives: Sequence[Objective]) -> list[tuple[Objective, Objective]]:
    """Every two objectives of which some configuration has both, with costs on the horizontal axis."""
    pairs = []
    for index, first in enumerate(objectives):
        for second in objectives[index + 1 :]:
            pair = (second, first) if second.name in COSTS else (first, second)
            if not measured_in(table, *pair).empty:
                pairs.append(pair)
    return pairs
