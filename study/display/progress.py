"""Progress display of a running study: a live table in a terminal, plain lines elsewhere."""

import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from study.decisions.engine import StudyEngine
from study.decisions.planning import end_of_search
from study.display.running import running_table, running_trials
from study.display.trial_tables import (
    LINES_BESIDES,
    clock,
    describe_factors,
    describe_objectives,
    front_table,
    rows_that_fit,
)
from study.record.configurations import Configuration
from study.record.front import front_inside, front_of, nearest_to_region
from study.record.journal import SETTLED, Event
from study.record.metrics import objectives_of
from study.record.plateau import front_gain
from study.record.region import region_in
from study.spec import Search

FRONT_SECONDS = 10.0  # between two computations of the front, which take longer the more trials there are
STATES = ("running", "complete", "stopped", "paused", "failed")
MOST_NAMED = 10  # trials of the front in the summary


class ProgressDisplay:
    """Follows a study's events; a context manager that shows the live table while it is open.

    Args:
        engine: the engine of the study.
        concurrency: trials at a time, for the estimate of the time left.
        console: where to print; a terminal gets the live table.
    """

    def __init__(self, engine: StudyEngine, concurrency: int, console: Console) -> None:
        self._engine, self._concurrency, self._console = engine, concurrency, console
        self._started_at = time.time()
        self._front: list[Configuration] = []
        self._front_is_from = -FRONT_SECONDS  # on the monotonic clock
        self._mean_seconds: float | None = None  # a trial takes, once so many as ``_mean_is_of`` have ended
        self._mean_is_of = 0
        self._is_over = False
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> "ProgressDisplay":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True  # the last state to be drawn is empty: what is taller than the screen cannot be erased
        if self._console.is_terminal:
            self._live.stop()

    def on_event(self, event: Event) -> None:
        """Shows an event of the journal; called after it has been written."""
        went_wrong = event["event"] in ("retried", "restarted") or (
            event["event"] == "finished" and event["state"] == "failed"
        )
        if not self._console.is_terminal or went_wrong:
            line = self._as_line(event)
            if line:
                self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def print_summary(self) -> None:
        """Prints how many trials are in which state, and which are on the front."""
        record = self._engine.record
        counts: dict[str, int] = {state: record.count(state) for state in SETTLED}
        counts["unfinished"] = len(record.trials) - sum(counts.values())
        words = ", ".join(f"{count} {state}" for state, count in counts.items() if count or state == "complete")
        self._console.print(f"{len(record.trials)} trials: {words}", highlight=False)
        if record.ended and counts["paused"]:
            how = "more --trials may continue them, --finish-paused runs them to their end"
            self._console.print(f"{counts['paused']} are paused: {how}.", highlight=False, soft_wrap=True)
        design = self._engine.spec.design
        if record.ended and isinstance(design, Search) and len(record.searched) < design.trials:
            reason = end_of_search(record, design.budget, self._engine.trainable.reused) or "the space has no more"
            self._console.print(f"{len(record.searched)} of {design.trials} configs: {reason}.", highlight=False)
        elif (gain := front_gain(record)) is not None:
            self._console.print(f"{str(gain).capitalize()}.", highlight=False)
        front = front_of(record)
        if front:
            what = "Best" if len(objectives_of(record)) == 1 else "On the front"
            uids = [one.uid for one in front]
            more = f" and {len(uids) - MOST_NAMED} more" if len(uids) > MOST_NAMED else ""
            self._console.print(f"{what}: {', '.join(uids[:MOST_NAMED])}{more}", highlight=False)
            self._print_region(front)

    def _print_region(self, front: list[Configuration]) -> None:
        """Prints which members of the front are in the region of interest, or the one nearest to it."""
        record = self._engine.record
        region = region_in(record.spec.get("objectives", []))
        if not region:
            return
        inside, nearest = [one.uid for one in front_inside(record, front)], nearest_to_region(record, front)
        more = f" and {len(inside) - MOST_NAMED} more" if len(inside) > MOST_NAMED else ""
        found = ", ".join(inside[:MOST_NAMED]) + more if inside else f"none; nearest {nearest.uid if nearest else ''}"
        self._console.print(f"Of these inside {region}: {found}", highlight=False)

    def seconds_left(self) -> float | None:
        """The estimated time left, from the trials that ended since this start; None while there are none."""
        record, done = self._engine.record, self._engine.record.count(*SETTLED)
        if done != self._mean_is_of:
            self._mean_seconds, self._mean_is_of = self._mean_duration(), done
        if self._mean_seconds is None:
            return None
        under_way = sum(self._engine.share_done.get(trial.uid, 0.0) for trial in record.with_state("running"))
        return max(0.0, self._mean_seconds * (self._engine.num_planned - done - under_way) / self._concurrency)

    def _mean_duration(self) -> float | None:
        """Of the trials that ended since this start."""
        durations = [
            end - max(trial.launched_at, self._started_at)  # excludes the pause before a resume
            for trial in self._engine.record.with_state(*SETTLED)
            if (end := trial.ended_at or max(trial.paused_at, default=None)) and end > self._started_at
            if trial.launched_at and (trial.relaunched_at == trial.launched_at or not trial.paused_at)
            # else it was not at work all the time
        ]
        return sum(durations) / len(durations) if durations else None

    def _front_so_far(self) -> list[Configuration]:
        if time.monotonic() - self._front_is_from >= FRONT_SECONDS:
            self._front, self._front_is_from = front_of(self._engine.record), time.monotonic()
        return self._front

    def _as_line(self, event: Event) -> str | None:
        record = self._engine.record
        elapsed = clock(time.time() - self._started_at)
        match event:
            case {"event": "launched", "uid": uid, "attempt": attempt}:
                again = f" (attempt {attempt})" if attempt > 1 else ""
                return f"[{elapsed}] {uid} started{again}: {describe_factors(record.trials[uid])}"
            case {"event": "decided", "uid": uid, "decision": decision, "reason": reason}:
                return f"[{elapsed}] {uid} rung: {decision}, {reason}"
            case {"event": "promoted", "uid": uid, "reason": reason}:
                return f"[{elapsed}] {uid} goes on: {reason}"
            case {"event": "restarted", "uid": uid, "reason": reason}:
                return f"[{elapsed}] {uid} starts afresh: {reason}"
            case {"event": "reopened", "uid": uid}:
                return f"[{elapsed}] {uid} had failed and will run again"
            case {"event": "retried", "uid": uid, "reason": reason}:
                return f"[{elapsed}] {uid} will run once more, alone: {reason}"
            case {"event": "finished", "uid": uid, "state": state}:
                done = record.count(*SETTLED)
                left = self.seconds_left()
                estimate = f", about {clock(left)} left" if left else ""
                trial = record.trials[uid]
                what = describe_objectives(objectives_of(record), trial.metrics) or trial.reason
                return f"[{elapsed}] {uid} {state}: {what} [{done}/{self._engine.num_planned} done{estimate}]"
        return None

    def _render(self) -> Group:
        if self._is_over:
            return Group()
        record = self._engine.record
        counts = {state: record.count(state) for state in STATES}  # type: ignore[arg-type]
        left = self.seconds_left()
        elapsed = f"elapsed {clock(time.time() - self._started_at)}"
        heading = f"  {sum(counts.values()) - counts['running']}/{self._engine.num_planned} done  {elapsed}"
        heading += f", about {clock(left)} left" if left is not None else ""
        states = ", ".join(f"{count} {state}" for state, count in counts.items())
        running, front = running_trials(record, time.time(), self._engine.share_done), self._front_so_far()
        num_running, num_front = rows_that_fit(self._console.height - LINES_BESIDES, len(running), len(front))
        return Group(
            Text.assemble((record.name, "bold"), heading, no_wrap=True, overflow="ellipsis"),
            Text(states, no_wrap=True, overflow="ellipsis"),
            running_table(running, "running", is_live=True, most=num_running),
            *([front_table(record, front, most=num_front)] if front else []),
            Text("Ctrl-C interrupts; the same command resumes.", style="dim"),  # short, see ``LINES_BESIDES``
        )
