"""Adds a file to the run of a trial in MLflow, wherever its study is tracked."""

import sqlite3
from pathlib import Path

from study.record.journal import JOURNAL_NAME, read_starts
from study.tracking.runs import read_runs
from study.tracking.stores import open_for_writing, tracking_uri, uri_in

ARTIFACT_FOLDER = "report"


def log_to_trial(study_dir: Path, uid: str, path: Path) -> str:
    """Logs ``path`` as the artifact ``report/<name>`` of a trial's run; returns one line on the outcome.

    Nothing is created if the study has no store, or if the store has no such run.
    """
    from mlflow.exceptions import MlflowException  # slow to import

    output_dir = study_dir.resolve().parent
    try:
        uri = tracking_uri(output_dir)
        if (study_dir / JOURNAL_NAME).is_file():
            uri = uri_in(read_starts(study_dir).environments, output_dir)
        runs = read_runs(study_dir, uri)
        run_id = next((run.run_id for run in runs or [] if run.uid == uid), None)
        if run_id is None:
            return "not in MLflow: there is no store" if runs is None else f"not in MLflow: it has no run of {uid}"
        open_for_writing(uri).log_artifact(run_id, str(path), ARTIFACT_FOLDER)
    except (MlflowException, sqlite3.DatabaseError, OSError) as error:
        return f"MLflow could not be written: {type(error).__name__}: {error}"
    return f"logged to MLflow as {ARTIFACT_FOLDER}/{path.name} of the run {uid}"
