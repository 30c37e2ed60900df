"""How measured quantities are presented: labels with units, numbers in suitable units, intervals over examples.

All functions take the ``Metric`` that a trainable declares; none of them knows a metric by its name.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from study.record.intervals import wilson_95
from study.trainable import Metric

SPLIT_WORDS = {"val": "validation", "test": "test"}
Row = Mapping[Any, Any]


@dataclass(frozen=True)
class Scale:
    """An axis for a metric: a unit that suits a group of its values.

    ``size`` is the unit in the metric's own unit; ``is_log``: the values are costs over more than a factor of 10.
    """

    size: float
    label: str
    is_log: bool


def axis_scale(metric: Metric, values: Iterable[float]) -> Scale:
    """An axis for ``metric``: costs in a unit that suits the median, as logarithms over more than a factor of 10."""
    if not metric.is_cost:
        return Scale(1.0, with_unit(metric), is_log=False)
    positive = sorted(value for value in values if math.isfinite(value) and value > 0)
    size, unit = _unit_for(metric, positive[len(positive) // 2] if positive else 1.0)
    label = f"{in_words(metric)} ({unit})" if unit else in_words(metric)
    return Scale(size, label, is_log=bool(positive) and positive[-1] > 10 * positive[0])


def _unit_for(metric: Metric, value: float) -> tuple[float, str]:
    units = metric.units or ((1.0, metric.unit),)
    return next((unit for unit in units if unit[0] <= value), units[-1])


def in_words(metric: Metric) -> str:
    """The metric in words, without unit and split."""
    return metric.label or metric.name


def with_unit(metric: Metric) -> str:
    """The metric in words with its unit, without its split."""
    return f"{in_words(metric)} ({metric.unit})" if metric.unit else in_words(metric)


def on_its_split(metric: Metric) -> str:
    """The metric in words with unit and split, for a column: 'test clean accuracy (%)'."""
    return f"{SPLIT_WORDS[metric.split]} {with_unit(metric)}" if metric.split else with_unit(metric)


def short_label(metric: Metric) -> str:
    """A heading for wide tables: 'val robust accuracy, PGD-20 at 8/255 (%)' as 'val PGD-20 at 8/255 (%)'."""
    words = in_words(metric)
    _, comma, specific = words.partition(", ")
    words = (specific if comma else words.removesuffix(" accuracy")) if metric.is_share else words
    text = f"{metric.split} {words}".strip()
    return f"{text} ({metric.unit})" if metric.unit else text


def points_label(metric: Metric) -> str:
    """``short_label`` of a difference: in points for percentages."""
    return short_label(metric).replace("(%)", "(points)")


def value_text(metric: Metric, value: float | None) -> str:
    """A value in a suitable unit: '45.2' (%), '161 GFLOP', '0.123'; '–' if it is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    if metric.is_share:
        return f"{value:.1f}"
    if not metric.is_cost:
        return f"{value:.4g}"
    if float(value).is_integer() and any(size == 1 and not unit for size, unit in metric.units):
        return f"{value:,.0f}"  # a count is written in full
    size, unit = _unit_for(metric, value)
    return f"{short_number(value / size)} {unit}".strip()


def difference_text(metric: Metric, mean: float, low: float = math.nan, high: float = math.nan) -> str:
    """A change with its interval: '+3.1 [+2.4, +3.8]'; for a cost, whose logarithm is given, '× 2.00 [1.90, 2.10]'."""
    if not math.isfinite(mean):
        return "–"
    if metric.is_cost:
        is_exact = math.isclose(low, high, abs_tol=1e-9)  # counted, not measured
        interval = "" if math.isnan(low) or is_exact else f" [{math.exp(low):.2f}, {math.exp(high):.2f}]"
        return f"× {math.exp(mean):.2f}{interval}"
    interval = "" if math.isnan(low) else f" [{_signed(metric, low)}, {_signed(metric, high)}]"
    return f"{_signed(metric, mean)}{interval}"


def _signed(metric: Metric, number: float) -> str:
    text = f"{number:+.1f}" if metric.is_share else f"{number:+.3g}"
    return "+0.0" if text == "-0.0" else text


def short_number(value: float) -> str:
    """Three significant digits; from 1000 to below 1e7 the whole number, without an exponent."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten within [low, high]; only powers of ten if there would be more than eight."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1,)):
        ticks = [digit * 10.0**exponent for exponent in exponents for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 8:
            break
    return ticks


def on_split(metric: Metric, split: str) -> str:
    """The name of the same metric on split 'val' or 'test'; its own name if it is on neither, or has no twin there."""
    return metric.twin if metric.split and metric.split != split and metric.twin else metric.name


def examples_behind(row: Row, metric: Metric) -> int | None:
    """Over how many examples a row's value was measured; None if that is not known."""
    count = row.get(metric.count, math.nan) if metric.count else math.nan
    return int(count) if count is not None and math.isfinite(count) and count >= 1 else None


def interval_of(row: Row, metric: Metric) -> tuple[float, float] | None:
    """The Wilson 95% interval of a share in a row; None if the value or the number of examples is missing."""
    count, value = examples_behind(row, metric), row.get(metric.name, math.nan)
    return wilson_95(value, count) if metric.is_share and count and 0 <= value <= 100 else None


def examples_text(rows: Iterable[Row], metrics: Sequence[Metric], noun: str) -> str:
    """The numbers of examples behind shares, for a caption: 'Images: validation n = 360, test n = 50 to 100.'

    Args:
        rows: of trials or configurations; those without a value do not count.
        metrics: the result is '' if none of them is a share with a known number of examples.
        noun: what is counted, such as 'images'.
    """
    counts: dict[str, set[int]] = {}
    for row, metric in product(list(rows), metrics):
        count = examples_behind(row, metric)
        if count is not None and math.isfinite(row.get(metric.name, math.nan)):
            counts.setdefault(metric.count, set()).add(count)
    words = {metric.count: _kind_words(metric, metrics) for metric in reversed(metrics)}
    spans = {kind: dict.fromkeys(f"{count:,}" for count in (min(found), max(found))) for kind, found in counts.items()}
    texts = [f"{words[kind]} n = {' to '.join(span)}".strip() for kind, span in spans.items()]
    return f"{noun.capitalize()}: {', '.join(texts)}." if texts else ""


def _kind_words(metric: Metric, metrics: Sequence[Metric]) -> str:
    """What distinguishes a count from the others: the split, or what is special to the metrics that have it."""
    shared = [other for other in metrics if other.split == metric.split and other.count != metric.count]
    own = [other for other in metrics if other.count == metric.count]
    if shared and len(own) < len(shared):
        return in_words(metric).partition(", ")[2].partition(" ")[0] or in_words(metric)
    return SPLIT_WORDS.get(metric.split, in_words(metric))
