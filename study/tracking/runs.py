"""Reads the runs of a study from MLflow."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.record.journal import JOURNAL_NAME
from study.tracking.stores import is_store, open_client, sqlite_path, tracking_uri

PARENT_TAG, STUDY_TAG, UID_TAG = "mlflow.parentRunId", "study.id", "trial.uid"


@dataclass(frozen=True)
class RunSummary:
    """The contents of a run in MLflow; ``uid`` and ``parent_id`` are None for the parent run."""

    run_id: str
    uid: str | None
    parent_id: str | None
    state: str | None  # the tag trial.state
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    is_on_front: bool | None = None  # the tag front


def study_id(study_dir: Path) -> str:
    """What tells studies of the same name apart on a shared server; it stays when a folder is moved or goes on."""
    with (study_dir / JOURNAL_NAME).open("rb") as file:
        return hashlib.sha256(file.readline()).hexdigest()[:16]


def read_runs(study_dir: Path, uri: str | None = None) -> list[RunSummary] | None:
    """All runs of the study in ``study_dir``; None if there is no store, or not yet.

    Args:
        study_dir: with a journal.
        uri: where it is tracked; by default in the store beside it.

    Raises:
        sqlite3.DatabaseError: if the store is damaged.
        MlflowException: if a server does not answer.
    """
    uri = uri or tracking_uri(study_dir.resolve().parent)
    path = sqlite_path(uri)
    if path is not None and not is_store(path):
        return None
    client, name = open_client(uri), study_dir.resolve().name
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return []
    return [_summary(run) for run in runs_of(client, experiment.experiment_id, name, study_id(study_dir))]


def runs_of(client: Any, experiment_id: str, study: str, own_id: str) -> list[Any]:
    """All runs of a study in an experiment, from as many pages as there are; those of earlier versions have no id."""
    runs: list[Any] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs(
            [experiment_id], f"tags.study = '{study}'", max_results=1000, page_token=token or None
        )
        runs += page
        token = page.token or None
    return [run for run in runs if run.data.tags.get(STUDY_TAG, own_id) == own_id]


def _summary(run: Any) -> RunSummary:
    tags = run.data.tags
    front = tags.get("front")
    return RunSummary(
        run_id=run.info.run_id,
        uid=tags.get(UID_TAG),
        parent_id=tags.get(PARENT_TAG),
        state=tags.get("trial.state"),
        status=run.info.status,
        params=run.data.params,
        metrics=run.data.metrics,
        is_on_front=None if front is None else front == "true",
    )
