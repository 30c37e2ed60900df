"""Comparison of each of the paper's numbers with ours: means over seeds, differences with intervals, relative costs."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from scipy import stats

from reports.page.figure_style import short_percent, value_text
from reports.paper.paper_rows import ACCURACIES, ITEMS, MINUTES, PaperRow, inconsistencies, printed_row, rows_of
from study.record.configuration_frame import spread_of
from study.record.measures import images_behind, interval_of
from study.record.trials import TrialTable
from study.spec import Params
from trainables.trial_config import TrialConfig

NOT_RUN = "not run"
RELATIVE_COSTS = ("view_passes", "train_pflop")


@dataclass(frozen=True)
class RowPair:
    """A configuration, with its row in the paper and its row of our means over seeds; either may be None."""

    params: Params
    setting: TrialConfig
    printed: PaperRow | None
    ours: Mapping[Any, Any] | None

    @property
    def name(self) -> str:
        """The factor values, as the study names them."""
        return ", ".join(value_text(value) for value in self.params.values())

    def minutes(self) -> float | None:
        """The training time printed in the paper, in minutes; None if it prints none."""
        return self.printed.values.get(MINUTES) if self.printed else None


@dataclass(frozen=True)
class Comparison:
    """One number of the paper and the corresponding number of ours; NaN if there is none.

    ``difference`` is ours minus the paper's in percentage points, ``factor`` is ours over the paper's for relative
    costs. ``interval_over`` says what [low, high] covers: ``seeds`` or ``images``.
    """

    row: str
    measure: str
    paper: float = math.nan
    ours: float = math.nan
    ours_sd: float = math.nan
    ours_seeds: int = 0
    ours_images: int | None = None
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    interval_over: str = ""
    factor: float = math.nan
    paper_text: str = "–"
    ours_text: str = NOT_RUN
    note: str = ""


def pairs_of(table: TrialTable, item: str, dataset: str) -> Iterator[RowPair]:
    """Each row of the item, in the order of its space; ``dataset`` is one of the paper's names."""
    number = ITEMS[item]
    assert number is not None
    ours = {row["configuration"]: row for row in table.configurations.to_dict("records")}
    for params, setting in rows_of(item, table.study.spec.get("preset", "paper")):
        printed = printed_row(number, dataset, setting)
        yield RowPair(params, setting, printed, ours.get(configuration_of(params)))


def accuracies(pairs: list[RowPair], table: TrialTable) -> list[Comparison]:
    """A comparison of every accuracy that the paper prints for the item, for every row."""
    names = [name for name in ACCURACIES if any(pair.printed and name in pair.printed.values for pair in pairs)]
    return [_accuracy(pair, name, table) for pair in pairs for name in names]


def _accuracy(pair: RowPair, name: str, table: TrialTable) -> Comparison:
    measure, printed = f"test_{name}", pair.printed.values.get(name, math.nan) if pair.printed else math.nan
    clashes = inconsistencies(pair.printed).get(name) if pair.printed else None
    notes = [f"the paper: {clashes}"] if clashes else []
    found = Comparison(
        pair.name, measure, printed, paper_text=f"{printed:g}" if math.isfinite(printed) else "–",
        note="; ".join(notes + _states(table, pair)),
    )  # fmt: skip
    if pair.ours is None or not math.isfinite(pair.ours.get(measure, math.nan)):
        return found if pair.ours is None else replace(found, ours_text="not measured")
    mean, (spread, seeds) = float(pair.ours[measure]), spread_of(pair.ours, measure)
    interval = seed_interval(mean, spread, seeds) if seeds > 1 else interval_of(pair.ours, measure)
    low, high = interval if interval and math.isfinite(printed) else (math.nan, math.nan)
    return replace(
        found,
        ours=mean,
        ours_sd=spread,
        ours_seeds=seeds,
        ours_images=images_behind(pair.ours, measure),
        difference=mean - printed,
        low=low - printed,
        high=high - printed,
        interval_over=("seeds" if seeds > 1 else "images") if math.isfinite(low) else "",
        ours_text=short_percent(pair.ours, measure),
    )


def relative_costs(pairs: list[RowPair]) -> list[Comparison]:
    """The paper's minutes and our counted costs, each relative to one row, if possible one for which both are known."""
    timed = [pair for pair in pairs if pair.minutes() is not None]
    found = []
    for cost in RELATIVE_COSTS if timed else ():
        reference = next((pair for pair in timed if _cost(pair, cost) is not None), timed[0])
        found += [_relative_cost(pair, reference, cost) for pair in timed]
    return found


def _relative_cost(pair: RowPair, reference: RowPair, cost: str) -> Comparison:
    minutes, of_reference = pair.minutes(), reference.minutes()
    assert minutes is not None and of_reference is not None
    paper = minutes / of_reference
    found = Comparison(
        pair.name, f"{cost}_ratio", paper, paper_text=f"× {paper:.3g}",
        note=f"{minutes:g} min; 1 is {reference.name}",
    )  # fmt: skip
    ours, base = _cost(pair, cost), _cost(reference, cost)
    if ours is None or base is None:
        return found
    seeds = spread_of(pair.ours or {}, cost)[1]
    ratio = ours / base
    return replace(found, ours=ratio, ours_seeds=seeds, factor=ratio / paper, ours_text=f"× {ratio:.3g}")


def _cost(pair: RowPair, cost: str) -> float | None:
    value = pair.ours.get(cost, math.nan) if pair.ours is not None else math.nan
    return float(value) if math.isfinite(value) and value > 0 else None


def _states(table: TrialTable, pair: RowPair) -> list[str]:
    """Caveats about our number, or reasons for its absence: trials that are not complete, and failed checks."""
    trials = table.frame[table.frame["configuration"] == configuration_of(pair.params)]
    states = trials.loc[trials["state"] != "complete", "state"].value_counts(sort=False)
    notes = [f"{count} trials {state}" if count > 1 else f"1 trial {state}" for state, count in states.items()]
    return notes + [f"⚠ {warning}" for warning in (pair.ours or {}).get("validity", [])]


def seed_interval(mean: float, spread: float, seeds: int) -> tuple[float, float]:
    """The 95% prediction interval for one further seed, from the t distribution: (low, high).

    The paper prints one number per run. If its run differs from ours only in the seed, its number lies in this interval
    with a probability of 95%; to allow for the paper's own seed, the interval is wider than that of the mean.

    Args:
        mean, spread: mean and sample standard deviation over the seeds.
        seeds: the number of seeds, at least 2.
    """
    if seeds < 2:
        raise ValueError(f"an interval over seeds needs at least two of them: {seeds=}")
    half = float(stats.t.ppf(0.975, seeds - 1)) * spread * math.sqrt(1 + 1 / seeds)
    return mean - half, mean + half


def configuration_of(params: Params) -> str:
    """The key by which trials with these factor values are grouped."""
    return json.dumps(params, sort_keys=True)  # as TrialRecord.configuration
