"""Tables as search problems: two objectives, factors as places in a grid, and quality as ranks within the table.

Every search is given the same space. The values of a numeric hyperparameter are a grid that is even, in logarithms or
not, so the factor is the place in it: an integer from 0 to the number of values less one, *ordered*. Anything else is
a category, *unordered*. The objectives are the table's headline (accuracy or loss) and the logarithm of the training
time, which spans five orders of magnitude.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import moocore
import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution, IntDistribution

from study.spec import Factor, NoStopping, Search, StudySpec
from study.trainable import Metric
from trainables.recorded_table import RecordedTable
from trainables.table_files import Curve, Key, Table, read_table

Floats = npt.NDArray[np.float64]
Place = dict[str, int]  # factor -> the place of its value
LOG_TIME = Metric("log_train_seconds", "minimize", "decimal logarithm of the training time in s")


@dataclass(frozen=True)
class Dimension:
    """A factor: its name, the number of its values, and whether they have an order."""

    name: str
    size: int
    is_ordered: bool


@dataclass(frozen=True)
class SearchProblem:
    """A table to search.

    Args:
        name: of the table.
        dimensions: its factors.
        directions: ``maximize`` or ``minimize`` for each objective.
        values: (repetitions, rows, objectives); the rows are all combinations of the factors, the last varies fastest.
        seconds: (repetitions, rows), the recorded training time.
    """

    name: str
    dimensions: Sequence[Dimension]
    directions: Sequence[str]
    values: Floats
    seconds: Floats

    @property
    def num_repetitions(self) -> int:
        """How many seeds every row was trained with."""
        return len(self.values)

    def row(self, place: Place) -> int:
        """The number of a row.

        Raises:
            ValueError: if a factor is missing or outside of its values.
        """
        for dimension in self.dimensions:
            at = place.get(dimension.name)
            if not isinstance(at, int) or not 0 <= at < dimension.size:
                raise ValueError(f"{dimension.name} must be an integer from 0 to {dimension.size - 1}: {at!r}")
        shape = [dimension.size for dimension in self.dimensions]
        return int(np.ravel_multi_index([place[dimension.name] for dimension in self.dimensions], shape))

    def place(self, row: int) -> Place:
        """The factors of a row."""
        at = np.unravel_index(row, [dimension.size for dimension in self.dimensions])
        return {dimension.name: int(i) for dimension, i in zip(self.dimensions, at, strict=True)}

    @cached_property
    def ranks(self) -> Floats:
        """(repetitions, rows, objectives): the share of the other rows that are strictly better, from 0 to 1."""
        return np.stack([_ranks(values, self.directions) for values in self.values])

    def hypervolume(self, repetition: int, rows: Sequence[int]) -> float:
        """The part of the unit square of ranks that ``rows`` dominate; no monotone change of an objective alters it."""
        return dominated(self.ranks[repetition][list(rows)])

    @cached_property
    def whole(self) -> list[float]:
        """The hypervolume of all rows, for each repetition."""
        return [dominated(ranks) for ranks in self.ranks]


def dominated(ranks: Floats) -> float:
    """Hypervolume of ``ranks`` (rows, objectives), to be minimised, against the corner of ones."""
    return float(moocore.hypervolume(ranks, ref=np.ones(ranks.shape[1]))) if len(ranks) else 0.0


def _ranks(values: Floats, directions: Sequence[str]) -> Floats:
    columns = []
    for column, direction in zip(values.T, directions, strict=True):
        loss = -column if direction == "maximize" else column
        columns.append(np.searchsorted(np.sort(loss), loss, side="left") / max(1, len(loss) - 1))
    return np.stack(columns, axis=1)


class PlacedTable(RecordedTable):
    """A recorded table whose hyperparameters are the places of the values; for our own engine."""

    def __init__(self, table: Table) -> None:
        super().__init__(_placed(table))
        self.path = f"{__name__}:{table.name}"
        self.config.trainable = self.path  # type: ignore[attr-defined]
        self.dimensions = [Dimension(name, len(v), _is_ordered(v)) for name, v in table.choices.items()]
        self.objectives = (table.metrics[0].name, LOG_TIME.name)

    def spec(self, sampler: str, trials: int) -> StudySpec:
        """A search of the table by one of our samplers."""
        factors = [
            Factor(
                name=d.name,
                distribution=IntDistribution(0, d.size - 1)
                if d.is_ordered
                else CategoricalDistribution(list(range(d.size))),
            )
            for d in self.dimensions
        ]
        return StudySpec(
            name="search",
            question="Which configurations trade quality for training time best?",
            base=self.config(),
            factors=tuple(factors),
            objectives=(self.objectives[0], "train_seconds"),  # the same over ranks, and known to be a cost
            design=Search(trials=trials, sampler=sampler),
            stopping=NoStopping(),
        )

    def problem(self) -> SearchProblem:
        """The table in arrays.

        Raises:
            ValueError: if it lacks a combination.
        """
        results: list[list[list[float]]] = []
        for key in itertools.product(*(range(dimension.size) for dimension in self.dimensions)):
            repetitions = self.table.repetitions(key)
            if not repetitions or (results and len(repetitions) != len(results[0])):
                raise ValueError(f"{self.table.name}: every combination must be recorded, equally often: not so {key}")
            results.append([[curve[-1][name] for name in (*self.objectives, "train_seconds")] for curve in repetitions])
        array = np.array(results).transpose(1, 0, 2)
        directions = [next(m.direction for m in self.table.metrics if m.name == name) for name in self.objectives]
        return SearchProblem(self.table.name, self.dimensions, directions, array[:, :, :2], array[:, :, 2])


def _placed(table: Table) -> Table:
    values = list(table.choices.values())

    def repetitions(key: Key) -> list[Curve]:
        curves = table.repetitions(tuple(of[at] for of, at in zip(values, key, strict=True)))
        return [[*curve[:-1], _with_log_time(curve[-1])] for curve in curves]

    choices = {name: tuple(range(len(of))) for name, of in table.choices.items()}
    return replace(table, choices=choices, metrics=[*table.metrics, LOG_TIME], repetitions=repetitions)


def _with_log_time(result: dict[str, Any]) -> dict[str, Any]:
    return result | {LOG_TIME.name: math.log10(result["train_seconds"])}


def _is_ordered(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


@cache
def placed_table(name: str) -> PlacedTable:
    """The table of that name (``trainables.table_files.TABLES``) or file."""
    return PlacedTable(read_table(name))


@cache
def search_problem(name: str) -> SearchProblem:
    """The table of that name or file as arrays; a second or two for a large one."""
    return placed_table(name).problem()


def __getattr__(name: str) -> PlacedTable:
    """A table by its name, as configs of the engine name their trainable."""
    if "/" not in name:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return placed_table(name)
