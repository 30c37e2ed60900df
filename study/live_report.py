"""Keeps the report of a study that runs up to date, about once a minute, at the cost of no trial and no decision."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol

from reports.running import pause_seconds
from study.journal import Event

NICENESS = 10  # trials go first
ROOT = Path(__file__).resolve().parents[1]  # where the packages lie, from wherever the driver was started


class ReportBuilder(Protocol):
    """Builds a report, see ``ReportProcess``."""

    def build(self) -> str | None: ...

    def stop(self) -> None: ...


class ReportPace:
    """Says when the report is due: where a trial has ended since the last one was begun, and a pause has passed.

    Args:
        clock: seconds, as ``time.monotonic``.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_at = clock()
        self._has_news = False

    def take_note(self) -> None:
        """A trial has ended."""
        self._has_news = True

    def seconds_left(self) -> float | None:
        """Until the report is due, 0 where it is; None where nothing has ended since the last one was begun."""
        return max(0.0, self._due_at - self._clock()) if self._has_news else None

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """While the report is built, also where that fails; begins the pause."""
        began = self._clock()
        self._has_news = False  # what ends from now on may be missing in this report
        try:
            yield
        finally:
            ended = self._clock()
            self._due_at = ended + pause_seconds(ended - began)


class ReportProcess:
    """Builds the report in a process of its own, out of the journal, which it only reads.

    In the driver, even in another thread, the seconds of Python that the report of a thousand trials takes would hold
    up every decision. A process cannot, it yields to the trials, and it cannot take the driver with it.
    """

    def __init__(self, study_dir: Path) -> None:
        self._study_dir = study_dir
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def build(self) -> str | None:
        """Builds it; returns what went wrong, or None."""
        try:
            self._process = self._start()
        except OSError as error:
            return str(error)
        if self._is_stopped:
            self._process.terminate()
        said = self._process.communicate()[1].strip()
        if self._process.returncode == 0:
            return None
        for part in self._study_dir.glob(f"report/*.{self._process.pid}.part"):
            part.unlink()
        return said.splitlines()[-1] if said else f"exit status {self._process.returncode}"

    def stop(self) -> None:
        """Ends what is being built, now or later."""
        self._is_stopped = True  # first: a process that is made at this moment sees it, or is seen here
        if self._process is not None:
            self._process.terminate()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "reports.build", str(self._study_dir)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,  # Ctrl-C is for the driver, which then stops it
        )
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process


class LiveReport:
    """Follows a study's events; a context in which the report is refreshed. Nothing is written after it was left.

    Args:
        builder: builds the report.
        on_written: called after each report, in another thread than the driver's.
        on_failure: called with what went wrong, in that thread, the first time that something does.
        pace: says when.
    """

    def __init__(
        self,
        builder: ReportBuilder,
        on_written: Callable[[], None],
        on_failure: Callable[[str], None],
        pace: ReportPace | None = None,
    ) -> None:
        self._builder, self._on_written, self._on_failure = builder, on_written, on_failure
        self._pace = pace or ReportPace()
        self._wake, self._is_over, self._has_failed = threading.Event(), False, False
        self._thread = threading.Thread(target=self._work, name="report", daemon=True)

    def __enter__(self) -> "LiveReport":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._wake.set()
        self._builder.stop()
        self._thread.join()

    def on_event(self, event: Event) -> None:
        """Takes note of an event of the journal; returns at once."""
        if event["event"] == "finished":
            self._pace.take_note()
            self._wake.set()

    def _work(self) -> None:
        while True:
            self._wake.wait(self._pace.seconds_left())
            self._wake.clear()
            if self._is_over:
                return
            if self._pace.seconds_left() == 0:
                self._refresh()

    def _refresh(self) -> None:
        with self._pace.building():
            problem = self._builder.build()
        if self._is_over:  # it was cut off, or the last report follows at once
            return
        if problem is None:
            self._on_written()
        elif not self._has_failed:
            self._has_failed = True
            self._on_failure(problem)
