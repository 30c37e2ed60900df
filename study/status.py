"""Shows what a study is doing, from a different terminal than the one that runs it.

    python -m study.status runs/tradeoff --watch

Everything shown comes from the journal, which is only read; beside a long one, ``study.record.summary`` is kept.
Exit status: 0, or 2 if the folder holds no study.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from study.display.running import running_table, running_trials
from study.display.trial_tables import LINES_BESIDES, clock, front_table, rows_that_fit
from study.record.front import front_of
from study.record.journal import SETTLED, StudyRecord, has_driver, read_study
from study.record.ledger import ledger
from study.record.plateau import front_gain
from study.record.summary import read_for_status

WATCH_SECONDS = 2.0
PLAIN_WIDTH = 1000  # line width in a file or a pipe, so that nothing is wrapped or cut


@dataclass(frozen=True)
class StudyStatus:
    """A study at one moment, in Unix seconds; ``is_driven``: a process has its journal open for writing."""

    record: StudyRecord
    is_driven: bool
    now: float

    @property
    def is_at_work(self) -> bool:
        """Whether trials may be running; a driver lives a little longer than its study."""
        return self.is_driven and self.record.last_event not in ("ended", "interrupted")

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen unless the command is started again."""
        return not self.is_driven

    @property
    def what_it_does(self) -> str:
        """What the study is doing, in a few words."""
        if self.is_driven:
            return "running"
        if self.record.last_event == "ended":
            return "ended"
        how = "interrupted" if self.record.last_event == "interrupted" else "killed"
        return f"{how}; the same command resumes"

    @property
    def active_seconds(self) -> float:
        """Wall time under a driver, over all starts."""
        since = self.now - (self.record.last_event_at or self.now) if self.is_driven else 0.0
        return self.record.active_seconds + max(0.0, since)


def read_status(
    study_dir: Path, now: float | None = None, read: Callable[[Path], StudyRecord] = read_study
) -> StudyStatus:
    """The status of a study.

    Args:
        study_dir: of the study.
        now: in Unix seconds; by default the present.
        read: the whole record, or what ``render`` shows of it (``read_for_status``).

    Raises:
        ValueError: if there is no study, or if its journal is damaged.
    """
    is_driven = has_driver(study_dir)
    record = read(study_dir)
    if not record.name:
        raise ValueError(f"no study in {study_dir}: its journal does not say which study it is")
    return StudyStatus(record, is_driven, time.time() if now is None else now)


def render(status: StudyStatus, lines: int | None = None) -> Group:
    """Heading, running trials and front, in aligned text that is cut at the width of the console.

    With ``lines``, those of a screen, tables have no more rows than fit, and the last line says how to leave.
    """
    record = status.record
    running, gain = "running" if status.is_driven else "unfinished", front_gain(record)
    counts = {"waiting": record.count("proposed"), running: record.count("running")}
    counts |= {state: record.count(state) for state in SETTLED}
    heading = Text.assemble(
        (record.name, "bold"),
        f"  {status.what_it_does}\n{record.spec.get('question', '')}\n",
        ", ".join(f"{count} {state}" for state, count in counts.items() if count or state not in ("waiting", "paused")),
        f"; {clock(status.active_seconds)} of running time",
        *(f"; {entry.describe()}" for entry in ledger(record)[:1]),
        "" if gain is None else f"\n{gain}",
    )
    trials = running_trials(record, status.now if status.is_driven else None)
    front = front_of(record)
    besides = LINES_BESIDES + (gain is not None)
    most = None if lines is None else rows_that_fit(lines - besides, len(trials), len(front))
    parts = [running_table(trials, running, is_live=False, most=most and most[0])] if trials else []
    if front:
        parts.append(front_table(record, front, most=most and most[1]))
    if lines is not None:
        parts.append(Group(Text("Ctrl-C ends the watching.", style="dim")))  # short, see ``LINES_BESIDES``
    return Group(heading, *parts)


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line and shows the study, once or until it is no longer running."""
    parser = argparse.ArgumentParser(prog="python -m study.status", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study_dir", type=Path, help="the study's folder, runs/<study>")
    parser.add_argument("--watch", action="store_true", help="refresh every 2 s while the study is running")
    options = parser.parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            _show(options.study_dir, console, is_watching=options.watch)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _show(study_dir: Path, console: Console, *, is_watching: bool) -> None:
    status = read_status(study_dir, read=read_for_status)
    if not is_watching:
        console.print(render(status))
        return
    # In a pipe, a live display shows only its final state; there, each state is printed after the previous one.
    is_live = console.is_terminal
    with Live(console=console, auto_refresh=False) if is_live else contextlib.nullcontext() as live:
        while True:
            if live is None:
                console.print(render(status))
            else:
                live.update(render(status, lines=console.height), refresh=True)
            if status.is_over:
                return
            time.sleep(WATCH_SECONDS)
            status = read_status(study_dir, read=read_for_status)


if __name__ == "__main__":
    sys.exit(main())
