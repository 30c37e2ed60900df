"""Comparison of each of the paper's numbers with ours: means over seeds, differences with intervals, relative costs."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reports.page.figure_style import factor_text, measured_text
from reports.paper.paper_names import paper_name
from reports.paper.paper_rows import (
    ACCURACIES,
    DATASETS,
    MINUTES,
    PaperRow,
    inconsistencies,
    paper_rows,
    printed_anywhere,
    printed_row,
    rows_of,
)
from study.record.intervals import t_975
from study.record.measures import examples_behind, interval_of
from study.record.trials import TrialTable, spread_of
from study.spec import Params
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import TrialConfig

NOT_RUN = "not run"
RELATIVE_COSTS = ("view_passes", "train_pflop")


@dataclass(frozen=True)
class RowPair:
    """A configuration, with its row in the paper (None if it has none) and our means over seeds (empty if not run)."""

    params: Params
    setting: TrialConfig
    printed: PaperRow | None
    ours: Mapping[Any, Any]

    @property
    def name(self) -> str:
        """The factor values, as the study names them."""
        return ", ".join(factor_text(value) for value in self.params.values())

    @property
    def printed_name(self) -> str:
        """The row's name as the paper writes it; the study's name if the paper has no such row."""
        printed = self.printed
        if printed is None:
            return self.name
        return paper_name(
            printed, [r for r in paper_rows() if (r.table, r.dataset) == (printed.table, printed.dataset)]
        )

    @property
    def configuration(self) -> str:
        """The factor values as ``TrialRecord.configuration`` has them."""
        return json.dumps(self.params, sort_keys=True)

    def prints(self, name: str) -> float:
        """A number that the paper prints for it; NaN if it prints none."""
        return self.printed.values.get(name, math.nan) if self.printed else math.nan

    def cost(self, name: str) -> float:
        """A cost that we measured; NaN if it is not known or not positive."""
        value = float(self.ours.get(name, math.nan))
        return value if value > 0 else math.nan


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

    def without_difference(self) -> "Comparison":
        """The two numbers alone, where they cannot be compared."""
        return replace(
            self, difference=math.nan, low=math.nan, high=math.nan, interval_over="", factor=math.nan
        )  # fmt: skip


def pairs_of(table: TrialTable, item: str, number: int, dataset: str) -> Iterator[RowPair]:
    """Each row of an item, which reproduces table ``number``, in the order of its space.

    Args:
        dataset: one of the paper's names.
    """
    ours = {row["configuration"]: row for row in table.configurations.to_dict("records")}
    for params, setting in rows_of(item, table.study.spec.get("preset", "paper")):
        pair = RowPair(params, setting, printed_row(number, dataset, setting), {})
        yield replace(pair, ours=ours.get(pair.configuration, {}))


def pairs_of_any(table: TrialTable) -> tuple[str, list[RowPair]]:
    """The paper's data set, and each configuration of a study that trains a recipe which the paper prints for it.

    The data set is the study's if the paper has it and such a recipe, else CIFAR-10.
    """
    if table.trainable is not ROBUST_SSL:
        return "cifar10", []
    rows = table.configurations.to_dict("records")
    configs = {row["uid"]: ROBUST_SSL.recorded(table.study.trials[row["uid"]].config) for row in rows}
    own = DATASETS.get(table.study.spec["base"]["dataset"])
    for dataset in ([own] if own else []) + ["cifar10"]:
        pairs = [
            RowPair(json.loads(row["configuration"]), found[1], found[0], row)
            for row in rows
            if (found := printed_anywhere(dataset, configs[row["uid"]]))
        ]
        if pairs:
            return dataset, pairs
    return "cifar10", []


def accuracies(pairs: Sequence[RowPair], table: TrialTable) -> list[Comparison]:
    """A comparison of every accuracy that the paper prints for the item, for every row."""
    names = [name for name in ACCURACIES if any(math.isfinite(pair.prints(name)) for pair in pairs)]
    return [_accuracy(pair, name, table) for pair in pairs for name in names]


def _accuracy(pair: RowPair, name: str, table: TrialTable) -> Comparison:
    metric, printed = table.metric(f"test_{name}"), pair.prints(name)
    clashes = inconsistencies(pair.printed).get(name) if pair.printed else None
    note = "; ".join([*([f"the paper: {clashes}"] if clashes else []), *_states(table, pair)])
    paper_text = f"{printed:g}" if math.isfinite(printed) else "–"
    mean = float(pair.ours.get(metric.name, math.nan))
    if not math.isfinite(mean):
        ours_text = "not measured" if pair.ours else NOT_RUN
        return Comparison(pair.name, metric.name, printed, paper_text=paper_text, ours_text=ours_text, note=note)
    spread, seeds = spread_of(pair.ours, metric.name)
    interval = seed_interval(mean, spread, seeds) if seeds > 1 else interval_of(pair.ours, metric)
    low, high = interval if interval and math.isfinite(printed) else (math.nan, math.nan)
    return Comparison(
        pair.name, metric.name, printed, mean, spread, seeds, examples_behind(pair.ours, metric),
        difference=mean - printed,
        low=low - printed,
        high=high - printed,
        interval_over=("seeds" if seeds > 1 else "images") if math.isfinite(low) else "",
        paper_text=paper_text,
        ours_text=measured_text(pair.ours, metric),
        note=note,
    )  # fmt: skip


def relative_costs(pairs: Sequence[RowPair]) -> Iterator[Comparison]:
    """The paper's minutes and our counted costs, each relative to one row, if possible one for which both are known."""
    timed = [pair for pair in pairs if math.isfinite(pair.prints(MINUTES))]
    for cost in RELATIVE_COSTS if timed else ():
        reference = next((pair for pair in timed if math.isfinite(pair.cost(cost))), timed[0])
        for pair in timed:
            paper = pair.prints(MINUTES) / reference.prints(MINUTES)
            ours = pair.cost(cost) / reference.cost(cost)
            yield Comparison(
                pair.name, f"{cost}_ratio", paper, ours, factor=ours / paper,
                ours_seeds=spread_of(pair.ours, cost)[1] if math.isfinite(ours) else 0,
                paper_text=f"× {paper:.3g}",
                ours_text=f"× {ours:.3g}" if math.isfinite(ours) else NOT_RUN,
                note=f"{pair.prints(MINUTES):g} min; 1 is {reference.name}",
            )  # fmt: skip


def _states(table: TrialTable, pair: RowPair) -> list[str]:
    """Caveats about our number, or reasons for its absence: trials that are not complete, and failed checks."""
    trials = table.frame[table.frame["configuration"] == pair.configuration]
    states = trials.loc[trials["state"] != "complete", "state"].value_counts(sort=False)
    notes = [f"{count} trials {state}" if count > 1 else f"1 trial {state}" for state, count in states.items()]
    return notes + [f"⚠ {warning}" for warning in pair.ours.get("validity", [])]


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
    half = t_975(seeds - 1) * spread * math.sqrt(1 + 1 / seeds)
    return mean - half, mean + half
