"""What one trial shows in the terminal: how far it is, and its numbers in the units of studies and reports."""

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from study.record.measures import in_words, interval_of, value_text
from study.trainable import Metric
from trainables.evaluation.check_table import LIMITS, PREFIX

SECONDS_BETWEEN = {True: 0.2, False: 5.0}  # between two states of progress, in a terminal and elsewhere
WIDTH = 28  # of names


class ProgressLine:
    """Says what is under way: on one line of a terminal that is rewritten, elsewhere on a new line now and then.

    A context manager, which leaves no line behind in a terminal.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._shown_at, self._what = time.monotonic(), ""

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *exception: object) -> None:
        self._clear()

    def show(self, what: str, share: float, detail: str = "") -> None:
        """Says that ``share`` of ``what`` is done, unless it said so of the same a moment ago."""
        if what == self._what and time.monotonic() - self._shown_at < SECONDS_BETWEEN[self._is_terminal]:
            return
        self._shown_at, self._what = time.monotonic(), what
        line = f"  {what} {share:4.0%}" + (f", {detail}" if detail else "")
        if self._is_terminal:
            self._clear()
            print(line[: shutil.get_terminal_size().columns - 1], end="", file=self._stream, flush=True)
        else:
            print(line, file=self._stream, flush=True)

    def _clear(self) -> None:
        if self._is_terminal:
            print("\r\x1b[K", end="", file=self._stream, flush=True)


def print_metrics(metrics: Mapping[str, Any], described: Sequence[Metric]) -> None:
    """Prints a trial's metrics: those that are ``described`` with units and intervals, then the others."""
    shown = {metric.name: metric for metric in described if metric.name in metrics}
    for metric in shown.values():
        interval = interval_of(metrics, metric)
        value = value_text(metric, metrics[metric.name]) + (f" {metric.unit}" if metric.unit else "")
        name = in_words(metric) if metric.is_cost else metric.name
        print(f"  {name:{WIDTH}} {value}" + (f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else ""))
    limits = metrics.get(LIMITS, {})
    for name, value in metrics.items():
        if name not in shown and name != LIMITS:
            limit = limits.get(name.removeprefix(PREFIX))
            text = f"{value:.4g}" if isinstance(value, float) else f"{value}"
            print(f"  {name:{WIDTH}} {text}" + ("" if limit is None else f" (limit {limit:.4g})"))
