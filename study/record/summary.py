"""A summary beside a long journal, so that what a study is doing can be told without reading all of it.

Of the trials that are neither on the front nor under way it has only counts and costs. It is of the first bytes of the
journal and holds their SHA-256: a journal that was changed there is read from its beginning, which finds the line. The
file may be deleted at any time.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from study.files import replacing
from study.record.front import front_of
from study.record.journal import (
    JOURNAL_NAME,
    SETTLED,
    Omitted,
    StudyRecord,
    TrialRecord,
    apply,
    journal_path,
    read_lines,
    require_sound,
)
from study.record.journal_lines import Event, JournalLines
from study.record.ledger import ledger

SUMMARY_NAME = "journal.summary.json"
LEAST_TRIALS = 2000  # fewer are read in less than half a second
MOST_BEHIND = 2000  # events after which a new summary is written
VERSION = 1
CHUNK = 2**20
OF_STUDY = (
    "name", "spec", "environments", "num_jobs", "ended", "extended_at", "last_event", "last_event_at", "active_seconds",
)  # fmt: skip


class _NotEnough(Exception):
    """The summary does not say what an event refers to."""


def read_for_status(study_dir: Path) -> StudyRecord:
    """The record of a study; of a long one, ``StudyRecord.omitted`` stands for trials that have ended off the front.

    Writes a summary if there is none or much has happened since, where that is possible.

    Raises:
        ValueError: if there is no journal, or if a line other than the last is broken.
    """
    with journal_path(study_dir).open("rb") as file:
        try:
            record, read, num_events = _continued(file, json.loads((study_dir / SUMMARY_NAME).read_text()))
        except (OSError, ValueError, TypeError, KeyError, _NotEnough):
            file.seek(0)
            record, read = read_lines(file)
            require_sound(read, study_dir / JOURNAL_NAME)
            num_events = MOST_BEHIND
    if num_events >= MOST_BEHIND:
        write_summary(study_dir, record, read.whole, read.last)
    return record


def write_summary(study_dir: Path, record: StudyRecord, size: int, last: bytes) -> None:
    """Writes the summary of ``record``, of the first ``size`` bytes of its journal, which ``last`` ends.

    Nothing is written for a short study, for one whose plateau is judged by all that has happened, or where no file can
    be written.
    """
    if len(record.trials) + sum(record.omitted.counts.values()) < LEAST_TRIALS or _judges_plateau(record.spec):
        return
    kept = {trial.configuration for trial in record.with_state("proposed", "running")}
    kept |= {one.name for one in front_of(record)}
    part = _only(record, lambda one: one.configuration in kept)
    rest = _only(record, lambda one: one.configuration not in kept)
    rest.omitted = record.omitted
    with (study_dir / JOURNAL_NAME).open("rb") as file:
        digest = _digest(file, size)
    plain = {
        "version": VERSION,
        "size": size,
        "sha256": digest,
        "last": last.decode(),
        "study": {name: getattr(record, name) for name in OF_STUDY},
        "trials": [dataclasses.asdict(trial) for trial in part.trials.values()],
        "decisions": sorted(record.decisions, key=lambda decision: decision["milestone"])[:1],  # at the first rung
        "counts": {state: rest.count(state) for state in SETTLED},
        "costs": {entry.cost.name: (entry.spent, entry.saved) for entry in ledger(rest)},
    }
    with contextlib.suppress(OSError), replacing(study_dir / SUMMARY_NAME) as unfinished:
        unfinished.write_text(json.dumps(plain))


def _only(record: StudyRecord, is_kept: Callable[[TrialRecord], bool]) -> StudyRecord:
    return dataclasses.replace(record, trials={uid: one for uid, one in record.trials.items() if is_kept(one)})


def _judges_plateau(spec: Mapping[str, Any]) -> bool:
    return bool((spec.get("design", {}).get("budget") or {}).get("plateau"))


def _continued(file: BinaryIO, plain: dict[str, Any]) -> tuple[StudyRecord, JournalLines, int]:
    """The record of a summary and of what the journal says after it, in how many events.

    Raises:
        ValueError, TypeError, KeyError: if the summary is not of the first bytes of the journal, or of another version.
        _NotEnough: if something happened to what it leaves out.
    """
    if plain["version"] != VERSION or _digest(file, plain["size"]) != plain["sha256"]:
        raise ValueError("not of this journal")
    trials = {trial["uid"]: TrialRecord(**trial) for trial in plain["trials"]}
    record = StudyRecord(trials=trials, decisions=plain["decisions"], **plain["study"])
    record.omitted = Omitted(plain["counts"], plain["costs"])
    read, num_events = JournalLines(file, plain["last"].encode()), 0
    for event in read:
        if read.problems or not _is_told(event, record):
            raise _NotEnough
        apply(record, event)
        num_events += 1
    if read.problems:
        raise _NotEnough
    read.whole += plain["size"]
    return record, read, num_events


def _is_told(event: Event, record: StudyRecord) -> bool:
    """Whether what the summary holds is all that an event can change.

    Where configurations have several trials, a member of the front may leave it, and what it dominated come back.
    """
    if "uid" not in event:
        return not _judges_plateau(event.get("spec", {}))
    spec = record.spec
    has_one_trial = len(spec.get("seeds", [0])) == 1 and not spec.get("compares")
    has_one_trial &= not (spec.get("confirmation") or {}).get("runs")
    return has_one_trial and (event["event"] == "proposed" or event["uid"] in record.trials)


def _digest(file: BinaryIO, size: int) -> str:
    """Of the first bytes of a file, after which it then stands."""
    digest = hashlib.sha256()
    while size > 0 and (chunk := file.read(min(size, CHUNK))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()
