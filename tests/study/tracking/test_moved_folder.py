"""The folder of the studies is copied: the copy shows its own artifacts, and goes on without touching the original."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from written_study import project, write_study

from study.record.journal import Journal
from study.tracking.__main__ import main as open_mlflow
from study.tracking.runs import RunSummary, read_runs
from study.tracking.stores import open_client, tracking_uri


@pytest.fixture
def original(tmp_path: Path, trained: Path) -> Path:
    """``runs/`` with a study that is in MLflow up to its last trial, which is under way."""
    study_dir = tmp_path / "first home" / "runs" / "s"
    journal = write_study(study_dir, trained)
    config = journal.record.trials["t0002"].config
    journal.write("proposed", uid="t0003", number=3, params={"num_views": "4"}, config=config | {"seed": 1})
    project(journal, study_dir)
    journal.close()
    return study_dir.parent


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def artifacts(output: Path, scratch: Path) -> dict[str, dict[str, bytes]]:
    """Uid -> the files of its run as MLflow's client reads them."""
    client, found = open_client(tracking_uri(output)), {}
    for run in read_runs(output / "s") or []:
        folder = scratch / run.run_id
        folder.mkdir(parents=True)
        client.download_artifacts(run.run_id, "", str(folder))
        found[run.uid or ""] = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return found


def test_a_copy_goes_on_by_itself(original: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(original, tmp_path / "second home" / "runs"))
    before = contents(original)
    journal = Journal(copy / "s")
    shutil.copytree(copy / "s" / "trials" / "t0002", copy / "s" / "trials" / "t0003")
    metrics = journal.record.trials["t0002"].metrics
    journal.write("launched", uid="t0003", attempt=1)
    journal.write("finished", uid="t0003", state="complete", reason="", metrics=metrics)
    project(journal, copy / "s")
    journal.close()
    assert contents(original) == before, "byte for byte"
    here, there = artifacts(copy, tmp_path / "a"), artifacts(original, tmp_path / "b")
    assert there.keys() == here.keys() == {"", "t0000", "t0001", "t0002", "t0003"}
    assert {"result.json", "flags.npz"} <= here["t0003"].keys() and there["t0003"] == {}
    assert here["t0000"] == there["t0000"] and here["t0000"].keys() == {"result.json", "flags.npz"}
    assert (here[""]["journal.jsonl"], there[""]["journal.jsonl"]) == (
        (copy / "s" / "journal.jsonl").read_bytes(),
        (original / "s" / "journal.jsonl").read_bytes(),
    )


def test_the_printed_command_opens_a_moved_folder(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It becomes MLflow's own command, once the store knows where its artifacts are."""
    moved = tmp_path / "second home"
    original.rename(moved)
    called: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, command: called.append(command))
    open_mlflow([str(moved), "--port", "5001"])
    ui = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{moved}/mlflow.db", "--port", "5001"]
    assert called == [ui]
    found = artifacts(moved, tmp_path / "scratch")
    assert {"result.json", "flags.npz"} == found["t0001"].keys() and "journal.jsonl" in found[""]


def test_a_folder_without_a_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert open_mlflow([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: no MLflow store in {tmp_path}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_resume_touches_only_what_is_new(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of finished trials are neither written nor read one by one."""
    touched: list[str] = []
    uids: dict[str, RunSummary] = {run.run_id: run for run in read_runs(original / "s") or []}
    for name in ("log_batch", "log_artifact", "set_tag", "set_terminated", "update_run", "get_metric_history"):
        call = getattr(MlflowClient, name)

        def spied(client: MlflowClient, run_id: str, *rest: object, call: object = call, **named: object) -> object:
            touched.append(uids[run_id].uid or "")
            return call(client, run_id, *rest, **named)  # type: ignore[operator]

        monkeypatch.setattr(MlflowClient, name, spied)
    journal = Journal(original / "s")
    journal.write("launched", uid="t0003", attempt=1)
    project(journal, original / "s")
    journal.close()
    assert set(touched) == {"", "t0003"}
