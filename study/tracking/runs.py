"""Reads the runs of a study from its MLflow store."""

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

PARENT_TAG = "mlflow.parentRunId"


def tracking_uri(output_dir: Path) -> str:
    """The URI, with an absolute path, of an output folder's store."""
    return f"sqlite:///{store_path(output_dir)}"


def store_path(output_dir: Path) -> Path:
    """The absolute path of an output folder's store."""
    return output_dir.resolve() / "mlflow.db"


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


def read_runs(study_dir: Path) -> list[RunSummary] | None:
    """All runs of the study in ``study_dir``; None if there is no store next to it, or not yet.

    Raises:
        sqlite3.DatabaseError: if the store is damaged.
    """
    output_dir = study_dir.resolve().parent
    if not _is_store(store_path(output_dir)):
        return None
    from mlflow import MlflowClient  # slow to import

    client, name = MlflowClient(tracking_uri(output_dir)), study_dir.resolve().name
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return []
    runs = all_runs(client, experiment.experiment_id, name)
    return [_summary(run) for run in runs]


def all_runs(client: Any, experiment_id: str, study: str) -> list[Any]:
    """All runs of a study in an experiment, from as many pages as there are."""
    runs: list[Any] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs(
            [experiment_id], f"tags.study = '{study}'", max_results=1000, page_token=token or None
        )
        runs += page
        token = page.token or None
    return runs


def _is_store(path: Path) -> bool:
    """Whether ``path`` holds MLflow's tables; opening a client would create a missing file or missing tables."""
    if not path.exists():
        return False
    # Not read-only, because SQLite itself must roll back what a kill has left half-written.
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as connection:
        return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is not None


def _summary(run: Any) -> RunSummary:
    tags = run.data.tags
    return RunSummary(
        run_id=run.info.run_id,
        uid=tags.get("trial.uid"),
        parent_id=tags.get(PARENT_TAG),
        state=tags.get("trial.state"),
        status=run.info.status,
        params=run.data.params,
        metrics=run.data.metrics,
    )
