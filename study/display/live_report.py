"""Refreshes the report of a running study about once a minute, without delaying trials or decisions."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol

from study.display.pace import pause_seconds
from study.record.journal import Event

NICENESS = 10  # gives trials precedence


class ReportBuilder(Protocol):
    """Builds a report, see ``ReportProcess``."""

    def build(self) -> str | None: ...

    def stop(self) -> None: ...


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
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
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

    The report is due once a trial has ended or was paused since the last build began, and some time has passed since
    that build ended.

    Args:
        builder: builds the report.
        on_written: called after each report, in a thread other than the driver's.
        on_failure: called in that thread with what went wrong, only for the first failure.
        pause: the pause in seconds after a build that took so many seconds.
    """

    def __init__(
        self,
        builder: ReportBuilder,
        on_written: Callable[[], None],
        on_failure: Callable[[str], None],
        pause: Callable[[float], float] = pause_seconds,
    ) -> None:
        self._builder, self._on_written, self._on_failure, self._pause = builder, on_written, on_failure, pause
        self._has_news, self._is_over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="report", daemon=True)

    def __enter__(self) -> "LiveReport":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._has_news.set()
        self._builder.stop()
        self._thread.join()

    def on_event(self, event: Event) -> None:
        """Handles an event of the journal; returns at once."""
        if event["event"] in ("finished", "paused"):
            self._has_news.set()

    def _work(self) -> None:
        has_failed = False
        while self._has_news.wait() and not self._is_over.is_set():
            self._has_news.clear()  # trials that end from now on may be missing from this report
            began = time.monotonic()
            problem = self._builder.build()
            if self._is_over.is_set():  # the build was cut short, or the final report follows at once
                return
            if problem is None:
                self._on_written()
            elif not has_failed:
                has_failed = True
                self._on_failure(problem)
            self._is_over.wait(self._pause(time.monotonic() - began))
