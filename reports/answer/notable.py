"""The configurations that a reader would choose: the best, the knee of the front, the best within a budget."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.answer.comparisons import reported_objectives, short_names
from reports.front.front_marks import front_inside, knee_of
from reports.page.figure_style import measured_text
from reports.page.recipe import recipe_text
from reports.page.rerun import rerun_command
from study.record.measures import Row, axis_scale, in_words, on_its_split, value_text
from study.record.region import Region
from study.record.trials import TrialTable, spread_of
from study.trainable import Metric

LEAST_SHARE_OF_BEST = 0.5


@dataclass(frozen=True)
class MeasuredValue:
    """A measure in words: its short and its full name, the value with interval or spread, and what these are over."""

    name: str
    full_name: str
    text: str
    over: str


@dataclass(frozen=True)
class Notable:
    """A configuration to choose, in words.

    Args:
        titles: what it is, such as 'Best robust accuracy'; several if they are one configuration.
        uid: of its first complete trial.
        recipe: the factors that tell it from the others.
        values: what it was measured in.
        probability: of being on the front.
        command: that runs it again; '' if there is none.
        config: all fields of its first trial, as YAML.
    """

    titles: tuple[str, ...]
    uid: str
    recipe: str
    values: tuple[MeasuredValue, ...]
    probability: float
    command: str
    config: str


def notable_in(table: TrialTable) -> list[Notable]:
    """The best by the headline objective, the knee, and the best within a budget, as far as the study has them.

    All of them are in the study's region of interest; where nothing is, the member of the front nearest to it.
    """
    if table.front_configurations.empty:
        return []
    frame = table.certainty[0]
    titles: dict[int, list[str]] = {}
    for title, place in _places(table, frame):
        titles.setdefault(place, []).append(title)
    return [_notable(table, frame.iloc[place].to_dict(), tuple(names)) for place, names in titles.items()]


def absent_in(table: TrialTable, notable: Sequence[Notable]) -> str:
    """Why there is no knee or nothing within a budget; '' if both are there, or no configuration at all."""
    titles = [title for one in notable for title in one.titles]
    reasons: list[str] = []
    if table.region and table.recommended.empty:
        return ""
    if titles and len(table.objectives) > 1 and not any(title.startswith("Knee") for title in titles):
        reasons.append("No knee: the front has too few members, or none lies beyond the line through its ends.")
    metric = table.headline
    if titles and metric and table.cost not in (None, metric) and not any(" within " in title for title in titles):
        useful = f" and has half of the best {in_words(metric)}" if _has_least(metric) else ""
        reasons.append(f"No member of the front costs less {in_words(table.cost)}{useful}.")
    return " ".join(reasons)


def _places(table: TrialTable, frame: pd.DataFrame) -> Iterator[tuple[str, int]]:
    """Titles with positions in ``frame``: members of the front, and of a study of one objective the second best."""
    metric, cost = table.headline, table.cost
    if metric is None or metric.name not in frame:
        return
    if table.recommended.empty:
        yield "Nearest to the region of interest", nearest_to(table.region, frame, table.objectives)
        return
    ranked = frame.reset_index(drop=True).sort_values(metric.name, ascending=not metric.maximise, kind="stable")
    best = int(ranked.index[ranked["on_front"] & ranked["is_inside"]][0])
    yield f"Best {in_words(metric).partition(',')[0]}", best
    knee = knee_of(frame, table.objectives)
    if knee is not None:
        yield "Knee: the best balance", knee
    sound = ~ranked["is_lost"] & (ranked["validity"].map(len) == 0) & ranked[metric.name].notna()
    eligible = ranked.index[sound & ranked["is_inside"]]
    if len(table.objectives) == 1 and len(eligible) > 1:
        yield "Second best", int(eligible[eligible != best][0])
    if cost is None or cost == metric:
        return
    cheaper = _best_of_the_cheaper(frame, metric, cost, best)
    if cheaper is not None:
        budget = _budget(
            frame[cost.name].iloc[cheaper], frame[cost.name].iloc[best], axis_scale(cost, frame[cost.name]).size
        )
        yield f"Best within {value_text(cost, budget)}", cheaper


def nearest_to(region: Region, frame: pd.DataFrame, objectives: Sequence[Metric]) -> int:
    """The position in ``frame`` of the member of the front that misses ``region`` by the least."""
    rows, names = np.flatnonzero(frame["on_front"]), [objective.name for objective in objectives]
    return int(rows[np.argmin(region.distances(frame[names].to_numpy(dtype=float)[rows], names))])


def _best_of_the_cheaper(frame: pd.DataFrame, metric: Metric, cost: Metric, best: int) -> int | None:
    """The best of what costs less than the ``best`` one, as a position; of equal ones, one on the front of all."""
    is_cheaper = frame[cost.name].to_numpy(dtype=float) < frame[cost.name].iloc[best]
    is_offered = front_inside(frame, [replace(cost, direction="minimize"), metric]) & is_cheaper
    rows = np.flatnonzero(is_offered & _is_useful(frame[metric.name], metric))
    gains = frame[metric.name].to_numpy(dtype=float) * (1 if metric.maximise else -1)
    return max(map(int, rows), key=lambda row: (gains[row], frame["on_front"].iloc[row]), default=None)


def _budget(cost: float, more: float, size: float) -> float:
    """A round number of the unit ``size`` from ``cost`` on that is less than ``more``; ``cost`` if none is rounder."""
    for digits in range(3 if cost > 0 else 0):
        step = size * 10.0 ** (math.floor(math.log10(cost / size)) - digits)
        budget = math.ceil(cost / step - 1e-9) * step
        if budget < more:
            return budget
    return cost


def _has_least(metric: Metric) -> bool:
    return metric.is_share and metric.maximise


def _is_useful(values: pd.Series, metric: Metric) -> npt.NDArray[np.bool_]:
    """Marks what is worth a card: of shares to be large, at least half of the best; a collapsed training is cheap."""
    if not _has_least(metric):
        return np.ones(len(values), dtype=bool)
    return (values >= LEAST_SHARE_OF_BEST * values.max()).to_numpy()


def _notable(table: TrialTable, row: Row, titles: tuple[str, ...]) -> Notable:
    names = short_names(table)
    return Notable(
        titles,
        row["uid"],
        recipe_text(table, row["uid"]),
        tuple(_value(row, metric, names[metric], table) for metric in reported_objectives(table)),
        float(row["front_probability"]),
        rerun_command(table, row["uid"]) or "",
        as_yaml(table.study.trials[row["uid"]].config),
    )


def _value(row: Row, metric: Metric, name: str, table: TrialTable) -> MeasuredValue:
    text = measured_text(row, metric)
    over = (
        f"95%, {table.examples}"
        if "[" in text
        else f"sd, {spread_of(row, metric.name)[1]} seeds"
        if "±" in text
        else ""
    )
    unit = f" ({metric.unit})" if metric.unit and not metric.is_cost else ""
    return MeasuredValue(f"{name[:1].upper()}{name[1:]}{unit}", on_its_split(metric), text, over)


def as_yaml(config: dict[str, Any]) -> str:
    """The fields of a config as YAML, one a line.

    Example:
        >>> print(as_yaml({"rate": 1e-5, "name": "a: b", "radii": [4, 8], "limit": None}))
        rate: 1.0e-05
        name: "a: b"
        radii: [4, 8]
        limit: null
    """
    return "\n".join(f"{name}: {_yaml_value(value)}" for name, value in config.items())


def _yaml_value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    is_bare = isinstance(value, float) and "e" in text and "." not in text  # YAML 1.1 reads 1e-05 as text
    return text.replace("e", ".0e") if is_bare else text
