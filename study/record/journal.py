"""The journal of a study: an append-only file of events, the single source of truth about what happened.

``runs/<study>/journal.jsonl`` holds one JSON object per line, written only by the driver and synced to disk before the
event takes effect. Optuna's study, the rungs of the early stopping, MLflow and the reports are all projections that
can be rebuilt from it. The events, each with ``time`` in Unix seconds:

- ``created``: ``study`` (name), ``spec`` (plain data of the StudySpec, seed, checksum of the data, ``metrics``),
  ``environment`` (versions, git revision, machine)
- ``resumed``: ``environment``, and ``spec``, which may have been extended
- ``proposed``: ``uid``, ``number``, ``params`` (factor -> value), ``config`` (every field of the trial's config),
  ``purpose`` (``search``, ``comparison`` of the arms of the question, or ``confirmation`` of a member of the front),
  ``sampler_attrs`` (notes of the sampler)
- ``launched``: ``uid``, ``attempt`` (1, 2, ...); ``is_afresh``: a promoted trial has no checkpoint and trains once more
  what it had trained before it was paused
- ``reported``: ``uid``, ``metrics`` at a milestone (``milestone``, the trainable's ``progress``, ``val_clean``, ...)
- ``decided``: ``uid``, ``milestone``, ``decision`` (``continue``, ``stop``, ``pause``, or ``audit``: the rule would
  stop or pause the trial, but it continues to its end so that the rule can be judged), ``reason``
- ``paused``: ``uid``; its worker has ended after the decision to pause it, and its checkpoint is kept
- ``promoted``: ``uid``, ``milestone`` (at which it was paused), ``reason``; a paused trial goes on; ``to_end``: to its
  end, whatever the rungs would say, because the user asks for it
- ``finished``: ``uid``, ``state`` (``complete``, ``stopped`` or ``failed``), ``metrics`` (if complete), ``reason``
- ``retried``: ``uid``, ``reason``; the trial ran out of memory and will run once more, alone
- ``restarted``: ``uid``, ``reason``; its checkpoint was of no use, so that it trains once more what it had trained
- ``reopened``: ``uid``, ``reason``; a trial that had failed runs again, because the user asks for it
- ``interrupted``: ``reason``; the driver ended before the study did
- ``ended``: nothing is left to run

Every line also has a ``check`` (see ``journal_chain``), which is no part of its event.
"""

import errno
import fcntl
import gc
import itertools
import json
import math
import os
import threading
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

from study.record.journal_chain import sealed
from study.record.journal_lines import Event as Event  # for those who read records
from study.record.journal_lines import JournalLines, ParsedJournal, as_event, parse_journal
from study.trainable import FIRST_TRAINABLE

JOURNAL_NAME = "journal.jsonl"
State = Literal["proposed", "running", "paused", "complete", "stopped", "failed"]
Purpose = Literal["search", "comparison", "confirmation"]
FINISHED: tuple[State, ...] = ("complete", "stopped", "failed")
SETTLED: tuple[State, ...] = ("complete", "stopped", "failed", "paused")  # nothing is under way


_canonical = json.JSONEncoder(sort_keys=True).encode


def configuration_name(params: dict[str, Any]) -> str:
    """Factor values as canonical JSON."""
    return _canonical(params)


@dataclass
class TrialRecord:
    """Everything the journal says about one trial."""

    uid: str
    number: int
    params: dict[str, Any]
    config: dict[str, Any]
    purpose: Purpose = "search"
    sampler_attrs: dict[str, Any] = field(default_factory=dict)
    state: State = "proposed"
    reports: list[dict[str, Any]] = field(default_factory=list)  # interim evaluations, in the order of their milestones
    reported_at: list[float] = field(default_factory=list)  # when each of them was made
    decisions: list[Event] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)  # of a complete trial: val_*, test_*, cost, checks
    reason: str = ""  # why it was stopped, paused or failed
    attempts: int = 0
    runs_alone: bool = False  # set once it has run out of memory
    launched_at: float | None = None  # first
    relaunched_at: float | None = None  # last
    ended_at: float | None = None
    paused_at: list[float] = field(default_factory=list)  # each time that it was
    runs_to_end: bool = False  # promoted because the user asks for it: no rung decides about it any more
    # A job is what a worker does in one go: a trial up to its end or its pause. Numbered over the study.
    jobs: list[int] = field(default_factory=list)
    report_jobs: list[int] = field(default_factory=list)  # the job that made each report
    repeated: list[int] = field(default_factory=list)  # reports, by index, up to which it has trained once more

    @property
    def seed(self) -> int:
        """The seed of the trial."""
        return int(self.config["seed"])

    @cached_property
    def configuration(self) -> str:
        """The factor values as canonical JSON; the same for trials that differ only in their seed."""
        return configuration_name(self.params)

    @property
    def is_audited(self) -> bool:
        """Whether the trial continued although a rung would have stopped it."""
        return any(decision["decision"] == "audit" for decision in self.decisions)

    @property
    def is_leaving(self) -> bool:
        """Whether it was decided to stop or pause the trial, and nothing yet says that its worker has ended."""
        if self.state in SETTLED:
            return False
        decided = [decision["decision"] for decision in self.decisions]
        return "stop" in decided or decided.count("pause") > len(self.paused_at)


@dataclass
class Omitted:
    """Trials that a record leaves out: how many are in each state, and of each cost what they spent and saved."""

    counts: dict[State, int] = field(default_factory=dict)
    costs: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass
class StudyRecord:
    """Everything the journal says about a study; ``trials`` are in the order in which they were proposed."""

    name: str = ""
    spec: dict[str, Any] = field(default_factory=dict)
    environments: list[dict[str, Any]] = field(default_factory=list)  # of the first start and of every resume
    trials: dict[str, TrialRecord] = field(default_factory=dict)
    decisions: list[Event] = field(default_factory=list)  # of all trials, in the order in which they were made
    num_jobs: int = 0  # see ``TrialRecord.jobs``
    ended: bool = False
    extended_at: int = 0  # how many jobs had begun when the number of trials was last raised
    last_event: str = ""  # its kind
    last_event_at: float | None = None
    active_seconds: float = 0.0  # wall time under a driver, over all starts
    searched: dict[str, list[TrialRecord]] = field(init=False)  # by configuration, those of the search alone
    by_state: dict[State, dict[str, TrialRecord]] = field(init=False, compare=False)
    omitted: Omitted = field(init=False, default_factory=Omitted)  # see ``study.record.summary``; usually none

    def __post_init__(self) -> None:
        self.searched, self.by_state = {}, {}
        for trial in self.trials.values():
            self.add(trial)

    def add(self, trial: TrialRecord) -> None:
        """Adds a trial that has been proposed."""
        self.trials[trial.uid] = trial
        self.by_state.setdefault(trial.state, {})[trial.uid] = trial
        if trial.purpose == "search":
            self.searched.setdefault(trial.configuration, []).append(trial)

    def with_state(self, *states: State) -> list[TrialRecord]:
        """The trials that are in one of ``states``, in the order in which they were proposed."""
        found = [list(self.by_state.get(state, {}).values()) for state in states]  # copies: threads read it too
        return sorted(itertools.chain(*found), key=lambda trial: trial.number)

    def count(self, *states: State) -> int:
        """How many trials are in one of ``states``."""
        return sum(len(self.by_state.get(state, {})) + self.omitted.counts.get(state, 0) for state in states)


def apply(record: StudyRecord, event: Event) -> None:
    """Updates ``record`` with one more event; events of unknown kinds are ignored."""
    trial = record.trials.get(event.get("uid", ""))
    before = None if trial is None else trial.state
    _apply(record, event, trial)
    if trial is not None and before is not None and trial.state != before:
        record.by_state.setdefault(trial.state, {})[trial.uid] = record.by_state[before].pop(trial.uid)


def _apply(record: StudyRecord, event: Event, trial: TrialRecord | None) -> None:
    kind = event["event"]
    # Only time under a driver counts; "ended" may be written by a later driver that finds nothing left to run.
    if kind not in ("created", "resumed", "ended") and record.last_event_at is not None:
        record.active_seconds += event["time"] - record.last_event_at
    record.last_event, record.last_event_at = kind, event["time"]
    match kind:
        case "created":
            record.name, record.spec = event["study"], upgraded(event["spec"])
            record.environments.append(event["environment"])
        case "resumed":
            before, record.spec = record.spec, upgraded(event.get("spec", record.spec))
            if _num_trials(record.spec) > _num_trials(before):
                record.extended_at = record.num_jobs
            record.environments.append(event["environment"])
            record.ended = False
        case "proposed":
            proposed = TrialRecord(
                event["uid"],
                event["number"],
                event["params"],
                _sharing(event["config"], record.spec.get("base", {})),
                event.get("purpose", "search"),
                event.get("sampler_attrs", {}),
            )
            record.add(proposed)
            _begin_job(record, proposed)
        case "ended":
            record.ended = True
    if trial is None:
        return
    match kind:
        case "launched":
            trial.state, trial.attempts = "running", event["attempt"]
            if event.get("is_afresh"):
                _begin_afresh(trial)
            trial.launched_at, trial.relaunched_at = trial.launched_at or event["time"], event["time"]
        case "reported":
            trial.reports.append(event["metrics"])
            trial.reported_at.append(event["time"])
            trial.report_jobs.append(trial.jobs[-1])
        case "decided":
            trial.decisions.append(event)
            record.decisions.append(event)
        case "paused":
            trial.state, trial.reason = "paused", trial.decisions[-1]["reason"]
            trial.paused_at.append(event["time"])
        case "promoted":
            trial.state, trial.reason, trial.runs_to_end = "proposed", "", bool(event.get("to_end"))
            _begin_job(record, trial)
        case "retried":
            trial.state, trial.runs_alone = "proposed", True
        case "restarted":
            _begin_afresh(trial)
        case "reopened":
            trial.state, trial.reason, trial.ended_at, trial.runs_alone = "proposed", "", None, False
            _begin_afresh(trial)
            _begin_job(record, trial)
        case "finished":
            trial.state, trial.reason, trial.ended_at = event["state"], event.get("reason", ""), event["time"]
            trial.metrics = event.get("metrics", {})


def _sharing(config: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """``config`` with the names and strings of ``base``: most of the memory of a long study is in its configs."""
    if list(config) != list(base):
        return config
    pairs = zip(base.items(), config.values(), strict=True)
    return {name: known if isinstance(value, str) and value == known else value for (name, known), value in pairs}


def _begin_afresh(trial: TrialRecord) -> None:
    if trial.reports and len(trial.reports) - 1 not in trial.repeated:
        trial.repeated.append(len(trial.reports) - 1)


def _num_trials(spec: dict[str, Any]) -> int:
    return int(spec.get("design", {}).get("trials", 0))


def _begin_job(record: StudyRecord, trial: TrialRecord) -> None:
    trial.jobs.append(record.num_jobs)
    record.num_jobs += 1


def upgraded(spec: dict[str, Any]) -> dict[str, Any]:
    """The plain data of a spec as this version writes them: earlier ones knew one trainable and two budgets of cost."""
    design = dict(spec.get("design", {}))
    budget = design.get("budget", {})
    if {"view_passes", "pflop"} & budget.keys():
        limits = {"view_passes": budget.get("view_passes"), "train_pflop": budget.get("pflop")}
        spent = {name: limit for name, limit in limits.items() if limit is not None}
        design["budget"] = {"spent": spent, "hours": budget.get("hours")}
    return {"trainable": FIRST_TRAINABLE} | spec | ({"design": design} if design else {})


def replay(events: Iterable[Event]) -> StudyRecord:
    """The record of the study that ``events`` describe."""
    record = StudyRecord()
    for event in events:
        apply(record, event)
    return record


def read_journal(study_dir: Path) -> ParsedJournal:
    """The journal of a finished or running study; nothing is changed.

    Raises:
        ValueError: if there is none.
    """
    return parse_journal(journal_path(study_dir).read_bytes())


def journal_path(study_dir: Path) -> Path:
    """The journal of a study.

    Raises:
        ValueError: if there is none.
    """
    path = study_dir / JOURNAL_NAME
    if not path.is_file():
        raise ValueError(f"no study in {study_dir}: it has no {JOURNAL_NAME}")
    return path


def has_driver(study_dir: Path) -> bool:
    """Whether a process has the journal of ``study_dir`` open for writing, as a driver does for as long as it lives.

    Tries a shared lock and releases it at once; a driver that starts at that very instant would be refused.

    Raises:
        ValueError: if there is no journal.
    """
    with journal_path(study_dir).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def read_study(study_dir: Path) -> StudyRecord:
    """What the journal of a finished or running study says.

    Raises:
        ValueError: if there is no journal, or if a line other than the last is broken.
    """
    path = journal_path(study_dir)
    with path.open("rb") as file:
        record, read = read_lines(file)
    require_sound(read, path)
    return record


def read_starts(study_dir: Path) -> StudyRecord:
    """The study as its starts tell it, without trials: name, spec, environments; other lines are not even checked.

    Raises:
        ValueError: if there is no journal.
    """
    with journal_path(study_dir).open("rb") as file:
        events = [as_event(line) for line in file if b'"environment"' in line and line.endswith(b"\n")]
    return replay(event for event in events if not isinstance(event, str) and event["event"] in ("created", "resumed"))


def read_lines(file: BinaryIO) -> tuple[StudyRecord, JournalLines]:
    """The record of a journal, event by event: all of them at a time would take twice the memory."""
    read = JournalLines(file)
    was_collecting = gc.isenabled()
    gc.disable()  # nothing of a record is garbage, and looking for it takes longer the more there is
    try:
        return replay(itertools.takewhile(lambda event: not read.problems, read)), read
    finally:
        if was_collecting:
            gc.enable()


def require_sound(read: JournalLines, path: Path) -> None:
    """Raises ``ValueError``, which says what to do, if the lines that were ``read`` have problems."""
    if not read.problems:
        return
    first = read.problems[0]
    num_sound = int(first.removeprefix("line ").partition(":")[0]) - 1
    cut = (
        f", or give up what follows line {num_sound} (head -n {num_sound} keeps the rest; what it tells of runs again)"
    )
    raise ValueError(f"{path}, {first}: put a copy back{cut if num_sound else ''}")


class Journal:
    """The journal opened for writing: reads the existing events, drops a half-written last line, and appends.

    Args:
        study_dir: the study's folder; created if missing.

    Raises:
        ValueError: if a line other than the last is broken, or another process has the journal open for writing.
    """

    def __init__(self, study_dir: Path) -> None:
        study_dir.mkdir(parents=True, exist_ok=True)
        self.path = study_dir / JOURNAL_NAME
        self._file = self.path.open("ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ValueError(f"{study_dir} is being run by another process") from None
        with self.path.open("rb") as file:
            self.record, read = read_lines(file)
        if read.problems:
            self._file.close()
            require_sound(read, self.path)
        if read.is_cut:
            warnings.warn(f"dropped a half-written last line of {self.path}", stacklevel=2)
            os.truncate(self.path, read.whole)
        self._size, self._last, self._lock = read.whole, read.last, threading.Lock()
        self.is_new = not self.record.name

    def write(self, event: str, **fields: Any) -> Event:
        """Appends one event, waits until it is on disk, applies it to ``record`` and returns it.

        Raises:
            OSError: if it cannot be written; then the file is as it was.
        """
        with self._lock:
            now = max(time.time(), self.record.last_event_at or 0.0)  # the clock may have been set back
            entry = _plain({"event": event, "time": now, **fields})
            line = sealed(json.dumps(entry, allow_nan=False).encode(), self._last)
            self._append(line + b"\n")
            self._last = line
            apply(self.record, entry)
        return entry

    def _append(self, content: bytes) -> None:
        try:
            if self._file.write(content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(self._file.fileno())
        except OSError:
            os.truncate(self.path, self._size)
            raise
        self._size += len(content)

    @property
    def end(self) -> tuple[int, bytes]:
        """How many bytes the journal has, and its last line, without its end."""
        return self._size, self._last

    def close(self) -> None:
        """Closes the file; the journal can be opened again at any time."""
        self._file.close()


def _plain(value: Any) -> Any:
    """``value`` in a form that JSON can hold: tuples become lists, non-finite numbers become null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
