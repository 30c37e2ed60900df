"""A file in the run of a trial, and nothing made where there is no such run; the good case is in test_attack.py."""

from pathlib import Path

import pytest

from study.tracking.artifacts import log_to_trial
from study.tracking.stores import make_store, store_path


@pytest.fixture
def study_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "s"
    folder.mkdir(parents=True)
    (folder / "page.html").write_text("a page")
    return folder


def test_without_a_store_none_is_made(study_dir: Path) -> None:
    assert log_to_trial(study_dir, "t0000", study_dir / "page.html") == "not in MLflow: there is no store"
    assert [path.name for path in study_dir.parent.iterdir()] == ["s"]


def test_without_the_run_none_is_made(study_dir: Path) -> None:
    make_store(store_path(study_dir.parent))
    assert log_to_trial(study_dir, "t0000", study_dir / "page.html") == "not in MLflow: it has no run of t0000"
    assert {path.name for path in study_dir.parent.iterdir()} == {"s", "mlflow.db"}


def test_a_damaged_store_is_told_in_a_line(study_dir: Path) -> None:
    store_path(study_dir.parent).write_bytes(b"not a database, but more than nothing" * 100)
    said = log_to_trial(study_dir, "t0000", study_dir / "page.html")
    assert said.startswith("MLflow could not be written: DatabaseError: ") and "\n" not in said
