"""How measured quantities are presented: labels with units, cost units, numbers with intervals."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from study.record.intervals import wilson_95

ACCURACY = re.compile(r"(?P<split>val|test)_(?:clean|(?P<attack>pgd|aa)_(?P<radius>\d+(?:\.\d+)?))")

# Cost measure -> (its name in words, its units from large to small: size in the unit of the measure, name).
COSTS: dict[str, tuple[str, list[tuple[float, str]]]] = {
    "train_pflop": ("training compute", [(1e3, "EFLOP"), (1, "PFLOP"), (1e-3, "TFLOP"), (1e-6, "GFLOP")]),
    "train_seconds": ("training time", [(3600, "h"), (60, "min"), (1, "s")]),
    "view_passes": ("training view passes", [(1e9, "billion"), (1e6, "million"), (1e3, "thousand"), (1, "")]),
}
SPLIT_WORDS = {"val": "validation", "test": "test"}


@dataclass(frozen=True)
class Objective:
    """One objective of a study: a metric's name, and whether larger values are better."""

    name: str
    maximise: bool


@dataclass(frozen=True)
class CostScale:
    """A cost measure with a unit that suits a group of its values."""

    name: str
    size: float  # of the unit, in the unit of the measure
    unit: str
    is_log: bool  # the values span more than a factor of 10

    @property
    def label(self) -> str:
        """The name of the measure, with its unit."""
        return f"{COSTS[self.name][0]} ({self.unit})" if self.unit else COSTS[self.name][0]


def objectives_of(spec: Mapping[str, Any]) -> list[Objective]:
    """The objectives in the plain data of a StudySpec."""
    return [Objective(item["name"], item["direction"] == "maximize") for item in spec.get("objectives", [])]


def cost_scale(name: str, values: Iterable[float]) -> CostScale:
    """Chooses the unit by the median of the finite positive ``values``; a log axis if they span over a factor of 10."""
    positive = sorted(value for value in values if math.isfinite(value) and value > 0)
    units = COSTS[name][1]
    if not positive:
        return CostScale(name, *_unit_for(1.0, units), is_log=False)
    size, unit = _unit_for(positive[len(positive) // 2], units)
    return CostScale(name, size, unit, is_log=positive[-1] > 10 * positive[0])


def _unit_for(value: float, units: list[tuple[float, str]]) -> tuple[float, str]:
    return next((unit for unit in units if unit[0] <= value), units[-1])


def format_cost(name: str, value: float) -> str:
    """A single cost in a suitable unit; '–' if it is not known. View passes are written in full."""
    if not math.isfinite(value):
        return "–"
    if name == "view_passes":
        return f"{value:,.0f}"
    size, unit = _unit_for(value, COSTS[name][1])
    return f"{short_number(value / size)} {unit}"


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


def is_accuracy(name: str) -> bool:
    """Whether ``name`` is an accuracy in percent, on either split."""
    return ACCURACY.fullmatch(name) is not None


def on_split(name: str, split: str) -> str:
    """The same accuracy on split 'val' or 'test'; other measures are returned unchanged."""
    return f"{split}_{name.split('_', 1)[1]}" if is_accuracy(name) else name


def label(name: str, pgd_steps: int | None) -> str:
    """An accuracy in words, with its unit but without its split; ``pgd_steps`` is None if trials differ in it."""
    match = ACCURACY.fullmatch(name)
    if match is None:
        return name
    if match["attack"] is None:
        return "clean accuracy (%)"
    pgd = "PGD" if pgd_steps is None else f"PGD-{pgd_steps}"
    return f"robust accuracy, {'AutoAttack' if match['attack'] == 'aa' else pgd} at {match['radius']}/255 (%)"


def short_label(name: str) -> str:
    """A short column heading for wide tables: 'val PGD 8/255 (%)'."""
    match = ACCURACY.fullmatch(name)
    if match is None:
        return COSTS[name][0] if name in COSTS else name
    if match["attack"] is None:
        return f"{match['split']} clean (%)"
    return f"{match['split']} {'AutoAttack' if match['attack'] == 'aa' else 'PGD'} {match['radius']}/255 (%)"


def split_of(name: str) -> str:
    """'validation' or 'test' for an accuracy, else ''."""
    match = ACCURACY.fullmatch(name)
    return SPLIT_WORDS[match["split"]] if match else ""


def images_behind(row: Mapping[str, Any], name: str) -> int | None:
    """How many images the accuracy ``name`` of a trial's row was measured on; None if unknown."""
    match = ACCURACY.fullmatch(name)
    if match is None:
        return None
    count = row.get("test_aa_n" if match["attack"] == "aa" else f"{match['split']}_n", math.nan)
    return int(count) if math.isfinite(count) and count >= 1 else None


def images_text(rows: Iterable[Mapping[Any, Any]], names: Sequence[str]) -> str:
    """The numbers of images behind accuracies, for a caption: 'Images: test n = 360, AutoAttack n = 50 to 100.'

    Args:
        rows: of trials or configurations; those without the accuracy do not count.
        names: measures; the result is '' if none of them is an accuracy with a known number of images.
    """
    counts: dict[str, set[int]] = {}
    for row, name in product(rows, names):
        count = images_behind(row, name)
        if count is not None and math.isfinite(row.get(name, math.nan)):
            counts.setdefault("AutoAttack" if "_aa_" in name else split_of(name), set()).add(count)
    spans = {kind: dict.fromkeys(f"{count:,}" for count in (min(found), max(found))) for kind, found in counts.items()}
    return f"Images: {', '.join(f'{kind} n = ' + ' to '.join(span) for kind, span in spans.items())}." if spans else ""


def interval_of(row: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """The Wilson 95% interval of one accuracy of a trial's row; None if the value or number of images is missing."""
    num_images, value = images_behind(row, name), row.get(name, math.nan)
    return wilson_95(value, num_images) if num_images and 0 <= value <= 100 else None
