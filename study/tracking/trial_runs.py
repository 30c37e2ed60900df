"""What MLflow shows of one trial: name, params, tags, and metrics over progress. Nothing here talks to MLflow."""

import json
import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from study.record.curves import read_curve
from study.record.journal import StudyRecord, TrialRecord
from study.record.recipe import recipe_words
from study.record.trial_folder import OUTCOMES_NAME, RESULT_NAME, trial_folder
from study.settings import content_hash
from study.trainable import Trainable

# What is not shown, or shows in the state as well; runs of a study that an earlier version wrote are not written again.
UNTOLD = ("reported_at", "configuration", "paused_at", "runs_to_end", "jobs", "report_jobs", "repeated")
VERSION = 1  # of what is written; runs of an earlier one are written again
LONGEST_NAME = 250
MOST_OF_CURVE = 1000  # points of each measure: a store takes seconds for each ten thousand


class Point(NamedTuple):
    """A value of a metric; the same whenever it is written, so that writing it again adds nothing."""

    name: str
    value: float
    milliseconds: int  # when it was measured
    step: int


def mlflow_key(name: str) -> str:
    """``name`` as MLflow takes it for a metric, a param or a tag."""
    known = re.sub(r"[^\w. :/-]", "_", name)[:LONGEST_NAME] or "_"
    return known if posixpath.normpath(known) == known and known[0] not in "./" else re.sub(r"[./]", "_", known)


def fingerprint(trial: TrialRecord, *files: Path) -> str:
    """Equal exactly if what MLflow has to show of ``trial`` is."""
    told = {name: value for name, value in dict(vars(trial)).items() if name not in UNTOLD}
    return content_hash(json.loads(json.dumps([VERSION, told, [path.name for path in files]])))


def run_name(trial: TrialRecord, record: StudyRecord, trainable: Trainable | None) -> str:
    """The trial and its recipe: 't0003 8 views, 1 epoch, free'."""
    factors = dict.fromkeys([*(factor["name"] for factor in record.spec.get("factors", [])), *trial.params])
    words = recipe_words(trial.params, list(factors), trainable.words if trainable else None)
    seed = f"seed {trial.seed}" if len(record.spec.get("seeds", [0])) > 1 or trial.purpose == "confirmation" else ""
    return " ".join(filter(None, (trial.uid, words, seed)))[:LONGEST_NAME]


def params_of(trial: TrialRecord) -> dict[str, str]:
    """The whole config, and the factors that are not one of its fields."""
    own = {f"factor.{name}": value for name, value in trial.params.items() if name not in trial.config}
    return {mlflow_key(name): str(value)[:500] for name, value in (trial.config | own).items()}


def tags_of(trial: TrialRecord, trainable: Trainable | None) -> dict[str, str]:
    """Its state, why it ended so, which checks it failed, and how it is run alone."""
    tags: dict[str, str] = {"trial.state": trial.state, "trial.purpose": trial.purpose}
    if trial.reason:
        tags["trial.reason"] = trial.reason[:5000]  # of a tag's 8000
    if failed := trial.metrics.get("validity"):
        tags["trial.failed_checks"] = "; ".join(failed)[:5000]
    if command := _command(trial, trainable):
        tags["trial.command"] = command[:5000]
    return tags


def _command(trial: TrialRecord, trainable: Trainable | None) -> str | None:
    try:
        return trainable.command(trainable.recorded(trial.config)) if trainable else None
    except ValueError:  # a config of another version
        return None


def status_of(trial: TrialRecord, *, is_over: bool) -> str:
    """In MLflow's words: a paused trial is scheduled; what is under way when the driver ends was killed."""
    if trial.state in ("complete", "stopped"):
        return "FINISHED"
    if trial.state == "failed":
        return "FAILED"
    if trial.state == "paused":
        return "SCHEDULED"
    return "KILLED" if is_over else "RUNNING"


def points_of(trial: TrialRecord, study_dir: Path, progress: str) -> list[Point]:
    """Everything that was measured, at step = progress: interim reports, the result, and the curve between them."""
    points: list[Point] = []
    last = 0
    for report, time in zip(list(trial.reports), list(trial.reported_at), strict=False):
        last = int(1000 * time)
        points += [point for point in _points(report, last, progress) if point.name != "milestone"]
    if trial.ended_at is None:
        return points
    # Later than a rung at the same progress, of which MLflow would else take the value for the result's.
    ended = max(int(1000 * trial.ended_at), last + 1)
    points += _points(trial.metrics, ended, progress)
    known = {(point.name, point.step) for point in points}
    curve = read_curve(trial_folder(study_dir, trial.uid))
    measured: dict[str, list[Point]] = {}
    for row in [] if curve is None else curve.to_dict("records"):
        for point in _points(row, last or ended, progress):
            if (point.name, point.step) not in known:
                measured.setdefault(point.name, []).append(point)
    return points + [point for own in measured.values() for point in own[:: math.ceil(len(own) / MOST_OF_CURVE)]]


def _points(measures: Mapping[Any, Any], milliseconds: int, progress: str) -> Iterator[Point]:
    step = measures.get(progress)
    step = int(step) if isinstance(step, int | float) and math.isfinite(step) else 0
    for name, value in measures.items():
        if isinstance(value, int | float) and math.isfinite(value):
            yield Point(mlflow_key(str(name)), float(value), milliseconds, step)


def files_of(trial: TrialRecord, study_dir: Path) -> list[tuple[Path, str]]:
    """The files of an ended trial that its run holds, and in which folder of its artifacts."""
    folder = trial_folder(study_dir, trial.uid)
    files = [(folder / RESULT_NAME, ""), (folder / OUTCOMES_NAME, "")]
    files.append((study_dir / "report" / f"attack_{trial.uid}.html", "report"))
    return [(path, place) for path, place in files if path.is_file() and trial.ended_at is not None]
