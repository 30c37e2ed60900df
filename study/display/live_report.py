"""Refreshes the report of a running study about once a minute, without delaying trials or decisions."""

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

from study.display.pace import pause_seconds
from study.record.journal import Event

NICENESS = 10  # gives trials precedence
ROOT = Path(__file__).resolve().parents[2]  # the folder of the packages, wherever the driver was started


class ReportBuilder(Protocol):
    """Builds a report, see ``ReportProcess``."""

    def build(self) -> str | None: ...

    def stop(self) -> None: ...


class ReportPace:
    """Determines when the report is due: a trial has ended since the last build began, and a pause has passed.

    Args:
        clock: returns seconds, like ``time.monotonic``.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_at = clock()
        self._has_news = False

    def take_note(self) -> None:
        """Notes that a trial has ended."""
        self._has_news = True

    def seconds_left(self) -> float | None:
        """Seconds until the report is due, 0 if it is; None if no trial has ended since the last build began."""
        return max(0.0, self._due_at - self._clock()) if self._has_news else None

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """The context in which the report is built; the pause begins on exit, even if the build fails."""
        began = self._clock()
        self._has_news = False  # trials that end from now on may be missing from this report
        try:
            yield
        finally:
            ended = self._clock()
            self._due_at = ended + pause_seconds(ended - began)


class ReportProcess:
    """Builds the report in a separate process, from the journal, which it only reads.

    In the driver, even in another thread, the seconds of Python that the report of a thousand trials takes would delay
    every decision. A separate process delays none, yields to the trials, and cannot crash the driver.
    """

    def __init__(self, study_dir: Path) -> None:
        self._study_dir = study_dir
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def build(self) -> str | None:
        """Builds the report; returns what went wrong, or None."""
        try:
            self._process = self._start()
        except OSError as error:
            return str(error)
        if self._is_stopped:
            self._process.terminate()
        said = self._process.communicate()[1].strip()
        if self._process.returncode == 0:
            return None
        for unfinished in self._study_dir.glob(f"report/*.{self._process.pid}.tmp"):
            unfinished.unlink()
        return said.splitlines()[-1] if said else f"exit status {self._process.returncode}"

    def stop(self) -> None:
        """Terminates the current build and any later one."""
        self._is_stopped = True  # set first: a process started at this moment either sees the flag or is seen here
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
            process_group=0,  # Ctrl-C goes only to the driver, which then stops this process
        )
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process


class LiveReport:
    """Follows a study's events; a context manager that refreshes the report. Nothing is written after it exits.

    Args:
        builder: builds the report.
        on_written: called after each report, in a thread other than the driver's.
        on_failure: called in that thread with what went wrong, only for the first failure.
        pace: determines when the report is due.
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
        """Handles an event of the journal; returns at once."""
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
        if self._is_over:  # the build was cut short, or the final report follows at once
            return
        if problem is None:
            self._on_written()
        elif not self._has_failed:
            self._has_failed = True
            self._on_failure(problem)
