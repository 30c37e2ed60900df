"""What a study's question is answered from, and what it says: the arms of its comparison, or what it asks about.

Without either, it is whichever of its matched pairs stand out most.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reports.answer.paired import PairedDifference, Verdict, paired_difference, pairs_needed, verdict_of
from reports.answer.sides import Sides, sides_of_arms, sides_of_exchange, sides_of_factor
from reports.effects.matched_pairs import MatchedTrials
from study.record.measures import SPLIT_WORDS, examples_behind, in_words, on_split
from study.record.trials import TrialTable
from study.spec import Comparison
from study.trainable import Metric, Trainable

POINT, SHARE_OF_VALUE = 1.0, 0.01  # the smallest difference of interest, unless a study names its own


@dataclass(frozen=True)
class Compared:
    """Two sides of a study, compared in everything that it is judged by.

    Args:
        first, second: in words; differences are ``second`` minus ``first``.
        given: what both have in common by plan, in words; may be empty.
        metric: what the verdict is about.
        difference: of ``metric``, as ``MatchedTrials.differences`` has it.
        others: the further measures with their differences.
        margin: the smallest difference of interest, in the unit of ``difference``.
        margin_text: the same in words.
        is_planned: whether the study asks for it, rather than that it is the clearest of those that there are.
    """

    first: str
    second: str
    given: str
    metric: Metric
    difference: PairedDifference
    others: tuple[tuple[Metric, PairedDifference], ...]
    margin: float
    margin_text: str
    is_planned: bool

    @property
    def verdict(self) -> Verdict:
        """What the difference of ``metric`` decides."""
        return verdict_of(self.difference, self.margin, maximise=self.metric.maximise)

    @property
    def more_pairs(self) -> int | None:
        """How many more pairs would decide, if mean and spread stayed; None if that is not known."""
        needed = pairs_needed(self.difference, self.margin)
        return None if needed is None else max(1, needed - self.difference.pairs)


def compared_in(table: TrialTable) -> list[Compared]:
    """The comparisons that answer the question; none if no two trials match."""
    metrics = reported_objectives(table)
    if not metrics or table.trusted.empty:
        return []
    comparison = comparison_of(table)
    if comparison is not None:
        return _of_arms(table, comparison, metrics)
    if table.study.spec.get("design", {}).get("kind") == "Ablation":
        ends = {side: dict.fromkeys(table.factors, side) for side in ("from", "to")}
        return [*_of_arms(table, Comparison(arms=ends), metrics), *_clearest(table, _any_sides(table, metrics))]
    asks = list(table.study.spec.get("asks") or ())
    if not asks:
        return _clearest(table, _any_sides(table, metrics))
    return [one for sides in _asked_sides(table, asks, metrics) for one in _clearest(table, sides, is_planned=True)]


def comparison_of(table: TrialTable) -> Comparison | None:
    """The comparison that the study was given, if any."""
    plain = table.study.spec.get("compares")
    return Comparison.model_validate(plain) if plain else None


def reported_objectives(table: TrialTable) -> list[Metric]:
    """The headline, then the other objectives, on test where they are measured there, then the cost."""
    chosen = [metric for metric in (table.headline, *table.objectives, table.cost) if metric is not None]
    found = [table.metric(on_split(metric, "test")) for metric in chosen]
    reported = [twin if twin in table.measured else metric for twin, metric in zip(found, chosen, strict=True)]
    return [metric for metric in dict.fromkeys(reported) if metric in table.measured]


def _of_arms(table: TrialTable, comparison: Comparison, metrics: Sequence[Metric]) -> list[Compared]:
    return [_compared(table, sides, is_planned=True) for sides in sides_of_arms(table, comparison, metrics)]


def _any_sides(table: TrialTable, metrics: Sequence[Metric]) -> list[Sides]:
    """All matched pairs: by one factor, and of the traded exchange."""
    traded = (table.trainable or Trainable).traded
    trials = MatchedTrials(table, _with_selection(table, metrics))
    found = sides_of_exchange(table, traded, _with_selection(table, metrics)) if traded else []
    return [*found, *(sides for name in table.factors for sides in sides_of_factor(trials, name))]


def _asked_sides(table: TrialTable, asks: Sequence[str], metrics: Sequence[Metric]) -> Iterator[list[Sides]]:
    """For each factor asked about its matched pairs; two traded factors are asked about together."""
    traded = (table.trainable or Trainable).traded
    trials, left = MatchedTrials(table, _with_selection(table, metrics)), list(asks)
    if traded is not None and set(traded) <= set(asks):
        exchange = sides_of_exchange(table, traded, _with_selection(table, metrics))
        if exchange:
            yield exchange
            left = [name for name in asks if name not in traded]
    yield from (sides_of_factor(trials, name) for name in left if name in table.factors)


def _with_selection(table: TrialTable, metrics: Sequence[Metric]) -> list[Metric]:
    """The metrics, and what trials are selected on."""
    return list(dict.fromkeys([*metrics, *(one for one in (table.headline,) if one in table.measured)]))


def _clearest(table: TrialTable, found: Sequence[Sides], *, is_planned: bool = False) -> list[Compared]:
    """Of ``found``, that whose difference stands out most from its interval; none if there are no two pairs.

    It is looked for in what trials are selected on, and told with an interval that allows for the looking.
    """
    by = table.headline if table.headline in table.measured else reported_objectives(table)[0]
    differences = [paired_difference(sides.differences(by)) for sides in found]
    enough = [place for place, one in enumerate(differences) if one.pairs >= (1 if is_planned else 2)]
    if not enough:
        return []
    chosen = max(enough, key=lambda place: _clarity(differences[place]))
    is_worse = (differences[chosen].mean < 0) == by.maximise
    sides = found[chosen].turned() if is_worse and not is_planned else found[chosen]  # told as what is better
    return [_compared(table, sides, looked_at=len(found), is_planned=is_planned)]


def _clarity(found: PairedDifference) -> float:
    """How far the mean is from 0, in half widths of its interval; -1 without one."""
    if math.isnan(found.low):
        return -1.0
    reach = (found.high - found.low) / 2
    return abs(found.mean) / reach if reach > 0 else (math.inf if found.mean else 0.0)


def _compared(table: TrialTable, sides: Sides, *, looked_at: int = 1, is_planned: bool = False) -> Compared:
    """Two sides in every reported measure."""
    metric, *others = reported_objectives(table)
    found = {
        one: paired_difference(sides.differences(one), looked_at=looked_at, least_spread=_resolution(table, one))
        for one in (metric, *others)
    }
    margin, text = _margin(table, metric)
    rest = tuple((one, found[one]) for one in others)
    return Compared(sides.first, sides.second, sides.given, metric, found[metric], rest, margin, text, is_planned)


def short_names(table: TrialTable) -> dict[Metric, str]:
    """The reported measures in a few words; in full where two would be called the same."""
    metrics = reported_objectives(table)
    short = {one: f"{SPLIT_WORDS.get(one.split, '')} {in_words(one).partition(',')[0]}".strip() for one in metrics}
    full = {one: f"{SPLIT_WORDS.get(one.split, '')} {in_words(one)}".strip() for one in metrics}
    named = list(short.values())
    return {one: short[one] if named.count(short[one]) == 1 else full[one] for one in metrics}


def _resolution(table: TrialTable, metric: Metric) -> float:
    """The spread that rounding to counts of examples gives the difference of two shares."""
    counts = [examples_behind(row, metric) for row in table.configurations.to_dict("records")]
    known = [count for count in counts if count]
    return 100 / max(known) / math.sqrt(6) if metric.is_share and known else 0.0


def _margin(table: TrialTable, metric: Metric) -> tuple[float, str]:
    """The smallest difference of interest in ``metric``, and the same in words."""
    given = table.study.spec.get("smallest_difference")
    if metric.is_cost:
        share = math.log1p(SHARE_OF_VALUE) if given is None else math.log1p(given)
        return share, f"{100 * math.expm1(share):.3g}%"
    if metric.is_share or metric.unit == "%":
        points = POINT if given is None else given
        return points, f"{points:g} point{'' if points == 1 else 's'}"
    if given is not None:
        return given, f"{given:g} {metric.unit}".strip()
    size = float(np.nanmean(np.abs(table.configurations[metric.name].to_numpy(dtype=float))))
    return SHARE_OF_VALUE * size, f"{SHARE_OF_VALUE:.0%} of its mean"
