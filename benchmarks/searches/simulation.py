"""A search on a simulated clock: several workers, each busy for as long as its trial was recorded to train."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.searches.tables import Floats, Place, SearchProblem

WORKERS = 4


class AskedSearch(Protocol):
    """What proposes trials and is told how they end."""

    def ask(self, number: int) -> Place | None:
        """The factors of trial ``number``; None if nothing is left to try."""

    def tell(self, number: int, values: Sequence[float]) -> None:
        """The objectives of a trial that has ended."""


@dataclass(frozen=True)
class Completion:
    """A trial that ended.

    Args:
        number: of the trial, in the order of the starts.
        row: what it tried.
        compute: seconds that all workers have trained by now, unfinished trials included.
    """

    number: int
    row: int
    compute: float


def simulate(
    search: AskedSearch, problem: SearchProblem, repetition: int, trials: int, workers: int = WORKERS
) -> Iterator[Completion]:
    """The trials of a search in the order in which they end; a search that is not asked further ends them all the same.

    A worker that becomes free is given the next proposal at once: proposing takes no time. Trials that end at the same
    moment do so in the order in which they began.
    """
    running: list[tuple[float, int, float, int]] = []  # end, number, start, row
    clock, spent, started = 0.0, 0.0, 0
    while True:
        while len(running) < workers and started < trials and (place := search.ask(started)) is not None:
            row = problem.row(place)
            heapq.heappush(running, (clock + problem.seconds[repetition, row], started, clock, row))
            started += 1
        if not running:
            return
        clock, number, begun, row = heapq.heappop(running)
        spent += clock - begun
        search.tell(number, problem.values[repetition, row].tolist())
        yield Completion(number, row, spent + sum(clock - start for _, _, start, _ in running))


@dataclass
class RecordedSearch:
    """A search that was run before: the rows that it tried, in the order of the starts."""

    problem: SearchProblem
    rows: Sequence[int]

    def ask(self, number: int) -> Place | None:
        """As recorded."""
        return self.problem.place(self.rows[number]) if number < len(self.rows) else None

    def tell(self, number: int, values: Sequence[float]) -> None:
        """Nothing is learned."""


@dataclass(frozen=True)
class Curve:
    """What a run had found after each trial that ended: compute in s, and hypervolume over ranks in [0, 1]."""

    compute: list[float]
    hypervolume: list[float]


class Judged:
    """The hypervolume of a run, as its trials end."""

    def __init__(self, problem: SearchProblem, repetition: int) -> None:
        self._ranks: Floats = problem.ranks[repetition]
        self._front: list[tuple[float, float]] = []  # first rank up, second down

    def add(self, row: int) -> float:
        """The hypervolume with one more row."""
        first, second = (float(rank) for rank in self._ranks[row])
        if not any(a <= first and b <= second for a, b in self._front):
            kept = [(a, b) for a, b in self._front if not (first <= a and second <= b)]
            self._front = sorted([*kept, (first, second)])
        ends = [a for a, _ in self._front[1:]] + [1.0]
        return sum((end - a) * (1 - b) for (a, b), end in zip(self._front, ends, strict=True))


def curve_of(problem: SearchProblem, repetition: int, rows: Sequence[int], workers: int = WORKERS) -> Curve:
    """The curve of a run that tried ``rows``."""
    judged = Judged(problem, repetition)
    ended = [*simulate(RecordedSearch(problem, rows), problem, repetition, len(rows), workers)]
    return Curve([completion.compute for completion in ended], [judged.add(completion.row) for completion in ended])
