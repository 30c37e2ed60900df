"""Where a study is tracked: a server, a database of the user's, or the store beside the study, which can be moved."""

import contextlib
import logging
import os
import shlex
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

VARIABLE = "MLFLOW_TRACKING_URI"
STORE_NAME, ARTIFACTS_NAME = "mlflow.db", "mlflow_artifacts"  # the store beside a study, and the folder beside a store
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
# A server that is away is found out within seconds, as the projection tries again itself; and no line for each run.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# Where MLflow's tables say in which place artifacts are.
LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)


def tracking_uri(output_dir: Path) -> str:
    """The URI, with an absolute path, of an output folder's own store."""
    return f"sqlite:///{store_path(output_dir)}"


def store_path(output_dir: Path) -> Path:
    """The absolute path of an output folder's own store."""
    return output_dir.resolve() / STORE_NAME


def requested_uri(given: str | None, output_dir: Path) -> tuple[str, str]:
    """The tracking URI of a study that runs now, and what named it: the option, the environment or (``""``) nothing.

    Raises:
        ValueError: in one line, if MLflow cannot track there.
    """
    for uri, source in ((given, "--tracking-uri"), (os.environ.get(VARIABLE), VARIABLE)):
        if uri:
            return _checked(uri, source), source
    return tracking_uri(output_dir), ""


def _checked(uri: str, source: str) -> str:
    scheme = urlsplit(uri).scheme
    if scheme in ("", "file"):
        raise ValueError(
            f"{source}: MLflow 3 no longer tracks in a folder of files: {uri!r}; "
            "use a server's http://..., or sqlite:///PATH.db"
        )
    if scheme != "sqlite":
        return uri
    path = uri.removeprefix("sqlite:///")
    if path in (uri, "", ":memory:"):
        raise ValueError(f"{source}: sqlite:///PATH.db is needed, not {uri!r}")
    return f"sqlite:///{Path(path).resolve()}"


def without_password(uri: str) -> str:
    """``uri`` as it may be shown and recorded."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def uri_in(environments: list[dict[str, Any]], output_dir: Path) -> str:
    """Where a recorded study was tracked the last time; by default the store beside it."""
    recorded = environments[-1].get("tracking_uri") if environments else None
    return recorded or tracking_uri(output_dir)


def sqlite_path(uri: str) -> Path | None:
    """The file of an SQLite store; None for all others."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def open_client(uri: str) -> Any:
    """MLflow's client for ``uri``; whoever it asks and does not answer is given up within seconds."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient  # slow to import
    from mlflow.tracking._tracking_service import utils

    # It is kept by run alone: within a process, a copied store would write to the artifacts of the original.
    utils._artifact_repos_cache.clear()
    for library in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(library).setLevel(logging.ERROR)
    return MlflowClient(uri, registry_uri=uri)


def open_for_writing(uri: str) -> Any:
    """As ``open_client``; an SQLite store is made if it is missing, and put right if it was moved."""
    if (path := sqlite_path(uri)) is not None:
        make_store(path)
        rehome(path)
    return open_client(uri)


def artifact_location(uri: str, study: str, output_dir: Path) -> str | None:
    """Where the artifacts of a new experiment go; None: a server decides."""
    if urlsplit(uri).scheme.partition("+")[0] not in DATABASES:
        return None
    path = sqlite_path(uri)
    folder = path.parent if path else output_dir.resolve()
    return (folder / ARTIFACTS_NAME / study).as_uri()


def make_store(path: Path) -> None:
    """Creates the store if there is none, atomically.

    MLflow takes seconds to create its tables, step by step, and cannot open a store whose creation was cut short by a
    kill.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    open_client(f"sqlite:///{unfinished}").search_experiments(max_results=1)  # not a word of it in the terminal
    try:
        os.link(unfinished, path)
        unfinished.unlink()
    except FileExistsError:  # another study has created it first
        unfinished.unlink()
    except OSError:  # a file system without hard links
        os.replace(unfinished, path)


def is_store(path: Path) -> bool:
    """Whether ``path`` holds MLflow's tables; opening a client would create a missing file or missing tables."""
    return path.exists() and "alembic_version" in _tables(path)


def _tables(path: Path) -> set[str]:
    with _connected(path) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _connected(path: Path) -> contextlib.closing[sqlite3.Connection]:
    # Not read-only, because SQLite itself must roll back what a kill has left half-written.
    return contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=30))


def rehome(path: Path) -> None:
    """Points a store whose folder was moved or copied to the artifacts that lie beside it now.

    MLflow holds only absolute locations: in a copied folder, they are those of the original.
    """
    if not {table for table, _ in LOCATIONS} <= _tables(path):
        return
    here = (path.parent / ARTIFACTS_NAME).as_uri()
    with _connected(path) as connection, connection:
        rows = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
        roots = {_root(name, location) for name, location in rows} - {here, ""}
        for root in roots:
            for table, column in LOCATIONS:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (here, len(root) + 1, len(root) + 1, f"{root}/"),
                )


def _root(experiment: str, location: str | None) -> str:
    """The folder of a store's artifacts according to an experiment; '' for one that is not a study's."""
    end = f"/{ARTIFACTS_NAME}/{quote(experiment)}"
    return str(location).removesuffix(end) + f"/{ARTIFACTS_NAME}" if str(location).endswith(end) else ""


def opening_command(uri: str, page: str = "") -> str:
    """What to type, or where to look, in order to see a study in MLflow."""
    path = sqlite_path(uri)
    if path is not None:
        return f"python -m study.tracking {shlex.quote(str(path.parent if path.name == STORE_NAME else path))}"
    return (
        without_password(uri).rstrip("/") + page if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"
    )
