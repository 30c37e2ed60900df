"""Where studies are tracked, and stores that are made, moved and copied."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from study.tracking.stores import make_store, opening_command, requested_uri, store_path, tracking_uri, uri_in


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_the_option_comes_before_the_environment_and_that_before_the_store_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert requested_uri(None, tmp_path) == (f"sqlite:///{tmp_path}/mlflow.db", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:1")
    assert requested_uri(None, tmp_path) == ("http://there:1", "MLFLOW_TRACKING_URI")
    assert requested_uri("http://here:2", tmp_path) == ("http://here:2", "--tracking-uri")


def test_a_database_of_the_users_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert requested_uri("sqlite:///mine.db", tmp_path)[0] == f"sqlite:///{tmp_path}/mine.db"


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "mlruns", "sqlite://", "sqlite:///:memory:"])
def test_what_mlflow_does_not_take_is_refused_in_a_line(uri: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^--tracking-uri: ") as caught:
        requested_uri(uri, tmp_path)
    assert uri in str(caught.value) and "sqlite:///PATH" in str(caught.value)


def test_a_recorded_study_is_where_its_last_start_said(tmp_path: Path) -> None:
    assert uri_in([{"tracking_uri": "http://there:1"}], tmp_path) == "http://there:1"
    assert uri_in([{"tracking_uri": "http://there:1"}, {}], tmp_path) == tracking_uri(tmp_path)


def test_how_to_open_it(tmp_path: Path) -> None:
    assert opening_command(tracking_uri(tmp_path)) == f"python -m study.tracking {tmp_path}"
    assert opening_command("sqlite:////a b/mine.db") == "python -m study.tracking '/a b/mine.db'"
    assert (
        opening_command("http://me:secret@there:1/", "/#/experiments/1/runs") == "http://there:1/#/experiments/1/runs"
    )


def test_a_store_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow cannot open one that was left halfway."""

    def killed(client: MlflowClient, **options: Any) -> None:
        assert not store_path(tmp_path).exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(
        MlflowClient, "__init__", lambda client, uri, **given: Path(uri.removeprefix("sqlite:///")).touch()
    )
    monkeypatch.setattr(MlflowClient, "search_experiments", killed)
    with pytest.raises(KeyboardInterrupt):
        make_store(store_path(tmp_path))
    assert not store_path(tmp_path).exists()


def test_the_store_of_another_study_that_was_faster_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(client: MlflowClient, **options: Any) -> None:
        next(tmp_path.glob("*.tmp")).write_text("mine")
        store_path(tmp_path).write_text("theirs")

    monkeypatch.setattr(
        MlflowClient, "__init__", lambda client, uri, **given: Path(uri.removeprefix("sqlite:///")).touch()
    )
    monkeypatch.setattr(MlflowClient, "search_experiments", overtaken)
    make_store(store_path(tmp_path))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"mlflow.db": "theirs"}
