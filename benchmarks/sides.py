"""Two sides of a comparison, each in its own process, taking turns and timed from outside."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

Jobs = Mapping[str, Callable[..., Any]]


class Side:
    """The process that ``side`` starts: it does one of its jobs when asked to, and nothing in between."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def do(self, job: str, *arguments: Any) -> Any:
        """Runs ``job`` there and returns its result; arguments and result are pickled.

        Raises:
            EOFError: if the job failed; its process has printed why.
        """
        self._connection.send((job, arguments))
        return self._connection.recv()


@contextmanager
def side(make_jobs: Callable[..., AbstractContextManager[Jobs]], *arguments: Any) -> Iterator[Side]:
    """A separate process, with its own memory, in which the jobs of ``make_jobs(*arguments)`` can be run.

    It uses as many threads as this process.
    """
    context = multiprocessing.get_context("spawn")
    connection, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, torch.get_num_threads(), make_jobs, arguments))
    process.start()
    theirs.close()  # so that the end of the process is noticed here
    try:
        yield Side(connection)
    finally:
        connection.close()
        process.join()


def _serve(
    connection: Connection,
    num_threads: int,
    make_jobs: Callable[..., AbstractContextManager[Jobs]],
    arguments: tuple[Any, ...],
) -> None:
    torch.set_num_threads(num_threads)
    with make_jobs(*arguments) as jobs:
        while True:
            try:
                job, job_arguments = connection.recv()
            except EOFError:
                return
            connection.send(jobs[job](*job_arguments))


@dataclass(frozen=True)
class Comparison:
    """Seconds of two sides that took turns, and what each of them returned last."""

    ours: list[float]
    plain: list[float]
    results: dict[str, Any] = field(default_factory=dict)  # 'ours', 'plain'

    def per(self, count: int) -> "Comparison":
        """The same comparison for one of ``count`` equal parts."""
        return Comparison([s / count for s in self.ours], [s / count for s in self.plain], self.results)

    def describe(self) -> str:
        """Medians and the ratio of medians, with the quartiles of the ratios of neighbouring runs."""
        ratios = np.array(self.plain) / np.array(self.ours)
        low, high = np.quantile(ratios, [0.25, 0.75])
        ours, plain = float(np.median(self.ours)), float(np.median(self.plain))
        told = f"ours {format_seconds(ours)}, plain {format_seconds(plain)}: {plain / ours:.2f}x"
        return f"{told} (quartiles {low:.2f} to {high:.2f})"


def take_turns(ours: Callable[[], Any], plain: Callable[[], Any], repeats: int, *, warm_up: bool = True) -> Comparison:
    """Runs both sides in turn, ``repeats`` times each, timed, after an untimed run of each if ``warm_up``."""
    steps = {"ours": ours, "plain": plain}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    results = {name: step() for name, step in steps.items()} if warm_up else {}
    for turn in range(repeats):
        for name in steps if turn % 2 == 0 else reversed(steps):
            started = time.perf_counter()
            results[name] = steps[name]()
            seconds[name].append(time.perf_counter() - started)
    return Comparison(seconds["ours"], seconds["plain"], results)


def format_seconds(seconds: float) -> str:
    """Seconds, or milliseconds with three digits."""
    if seconds == 0:
        return "–"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:#.3g} ms".replace(". ms", " ms")
