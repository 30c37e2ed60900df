"""Checks that everything recorded about a study agrees with its journal.

    python -m study.verify runs/tradeoff

Nothing is changed, and the study may be running. Exit status: 0 if everything agrees, 1 if something does not (one line
each), 2 if the folder holds no study.
"""

import argparse
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from study.checks.journal_checks import (
    order_disagreements,
    repetition_disagreements,
    result_disagreements,
)
from study.checks.projection_checks import (
    file_disagreements,
    mlflow_disagreements,
    optuna_disagreements,
    rung_disagreements,
)
from study.checks.promotion_checks import paused_without_checkpoint, promotion_disagreements
from study.record.journal import Event, StudyRecord, has_driver, read_journal, read_starts, replay
from study.record.trial_folder import has_checkpoint
from study.spec import StudySpec
from study.tracking.runs import RunSummary, read_runs
from study.tracking.stores import sqlite_path, uri_in, without_password


@dataclass(frozen=True)
class Check:
    """What was compared with the journal, where the two disagree, and further notes for the reader."""

    title: str
    disagreements: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line, checks, prints; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m study.verify", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study_dir", type=Path, help="the study's folder, runs/<study>")
    parser.add_argument("--tracking-uri", metavar="URI", help="of MLflow; default: where the study was tracked last")
    options = parser.parse_args(arguments)
    num_disagreements = 0
    try:
        for check in verify(options.study_dir, options.tracking_uri):
            num_disagreements += len(check.disagreements)
            lines = [f"wrong: {line}" for line in check.disagreements] or [f"ok: {check.title}"]
            print("\n".join([*lines, *(f"note: {line}" for line in check.notes)]))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if num_disagreements else 0


def verify(study_dir: Path, tracking_uri: str | None = None) -> Iterator[Check]:
    """Checks the journal by itself, then everything derived from it.

    Args:
        study_dir: of the study.
        tracking_uri: of MLflow; by default where the study was tracked the last time.

    Raises:
        ValueError: if there is no study.
    """
    # Read before the journal: then nothing can be newer than the journal, whatever a driver does meanwhile.
    is_running = has_driver(study_dir)
    runs = _mlflow_runs(study_dir, tracking_uri)
    parsed = read_journal(study_dir)
    events, broken = parsed.events, parsed.problems
    if not events and not broken:
        raise ValueError(f"no study in {study_dir}: its journal does not say which study it is")
    disorder = order_disagreements(events) if not broken else []
    unchecked = ["nothing else was checked, because it depends on this journal"] if broken or disorder else []
    half = ["the last line of the journal is half-written; resuming the study drops it"] if parsed.is_cut else []
    yield Check(f"journal: order of {len(events)} events", broken + disorder, ([] if is_running else half) + unchecked)
    if unchecked:
        return
    record = replay(events)
    yield Check(f"journal: results of {record.count('complete')} trials", result_disagreements(record))
    yield Check(f"journal: {len(record.trials)} configs, none of them run twice", repetition_disagreements(record))
    yield from _rule_checks(record, events)
    has_closed = events[-1]["event"] in ("ended", "interrupted")
    yield _mlflow_check(record, runs, is_running=is_running, is_settled=has_closed and not is_running)
    yield Check("files: results of complete trials", file_disagreements(record, study_dir))
    if paused := record.with_state("paused"):
        kept = [trial.uid for trial in paused if has_checkpoint(study_dir, trial.uid)]
        notes = paused_without_checkpoint(paused, kept)
        yield Check(f"files: checkpoints of {len(kept)} of {len(paused)} paused trials", notes=notes)


def _mlflow_runs(study_dir: Path, given: str | None) -> list[RunSummary] | str | None:
    """The runs of the study, or in a line why they cannot be read; None if there is no store."""
    uri = given or uri_in(read_starts(study_dir).environments, study_dir.resolve().parent)
    try:
        return read_runs(study_dir, uri)
    except sqlite3.DatabaseError as error:
        return f"MLflow's store cannot be read: {error}"
    except Exception as error:
        if sqlite_path(uri) is not None:
            raise
        return f"MLflow at {without_password(uri)} cannot be read: {str(error).partition(chr(10))[0]}"


def _rule_checks(record: StudyRecord, events: list[Event]) -> Iterator[Check]:
    try:
        spec = StudySpec.recorded(record.spec)
    except ValueError as error:
        yield Check("spec", [str(error)])
        return
    yield Check("Optuna: states and values of all configurations", optuna_disagreements(record, spec))
    rungs = promotion_disagreements(events, spec) if spec.stopping.pauses else rung_disagreements(record, spec)
    yield Check(f"rungs: {len(record.decisions)} decisions", rungs)


def _mlflow_check(
    record: StudyRecord, runs: list[RunSummary] | str | None, *, is_running: bool, is_settled: bool
) -> Check:
    if isinstance(runs, str):
        return Check("MLflow", [runs])
    if runs is None:
        return Check("MLflow: no store, nothing to compare")
    disagreements, behind = mlflow_disagreements(record, runs, is_settled=is_settled)
    why = "the study is running" if is_running else "the driver was killed; resuming the study brings MLflow up to date"
    notes = [f"MLflow is behind by {', '.join(behind)}: {why}"] if behind else []
    return Check(f"MLflow: runs of {len(record.trials) - len(behind)} trials", disagreements, notes)


if __name__ == "__main__":
    sys.exit(main())
