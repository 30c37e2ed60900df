"""A real MLflow server that dies in the middle of a study: the study goes on, and in the end nothing is missing.

The real study is one of odd photographs in a hundred classes, as a user runs it.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_run import CommandRun
from driver import Driver
from mlflow import MlflowClient
from mlflow_server import MlflowServer
from patience import wait_until

from study.checks.projection_checks import mlflow_disagreements
from study.record.front import front_of
from study.record.journal import JOURNAL_NAME, read_study
from study.run import main
from study.spec import Search, StudySpec
from study.tracking.projection import MlflowProjection
from study.tracking.runs import read_runs
from study.verify import main as verify_main

SPACE = """
from optuna.distributions import CategoricalDistribution

from study.spec import Factor, Grid, StudySpec
from trainables.trial_config import TrialConfig

STUDY = StudySpec(
    name="tiny",
    question="Is it all there?",
    base=TrialConfig(
        image_size=64, train_images=100, validation_fraction=0.2, encoder="resnet_narrow", projector_hidden_dim=16,
        projector_dim=8, batch_size=50, epochs=1, adversary="none", probe="central", probe_epochs=1, eval_samples=100,
        eval_pgd_steps=1, eval_radii_255=(8.0,),
    ),
    factors=(
        Factor(name="num_views", distribution=CategoricalDistribution([2, 3])),
    ),
    design=Grid(),
)
"""
MakeSpec = Callable[..., StudySpec]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def study(tmp_path: Path, make_spec: MakeSpec) -> Iterator[Driver]:
    driver = Driver(tmp_path / "runs" / "s", make_spec(name="s", design=Search(trials=12)))
    yield driver
    driver.close()


def projection_of(study: Driver, server: MlflowServer, said: list[str], **options: Any) -> MlflowProjection:
    data = ("digits", "0123456789abcdef")
    return MlflowProjection(study.journal.record, study.study_dir, data, server.uri, say=said.append, **options)


def disagreements(study_dir: Path, server: MlflowServer) -> list[str]:
    runs = read_runs(study_dir, server.uri) or []
    return mlflow_disagreements(read_study(study_dir), runs, is_settled=True)[0]


def history(study_dir: Path, server: MlflowServer) -> dict[tuple[str, str], list[tuple[int, float]]]:
    client = MlflowClient(server.uri)
    return {
        (run.uid or "", name): [(m.step, m.value) for m in client.get_metric_history(run.run_id, name)]
        for run in read_runs(study_dir, server.uri) or []
        for name in run.metrics
    }


def test_the_study_ends_in_time_without_a_server(study: Driver) -> None:
    said: list[str] = []
    nobody = MlflowServer(study.study_dir)  # never started
    with projection_of(study, nobody, said, patience=0.5) as projection:
        study.engine.on_event = projection.on_event
        study.run()
        began = time.monotonic()
        wait_until(lambda: bool(said))  # the first attempt follows the import of MLflow
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert said == [f"warning: MLflow at {nobody.uri} could not be written, the study goes on and tries again"]
    problem = projection.problem()
    assert problem is not None and "\n" not in problem
    assert "(12 of 12 trials are not complete there; the same command brings them)" in problem


@pytest.mark.slow
def test_a_server_that_dies_and_comes_back_misses_nothing(study: Driver, server: MlflowServer) -> None:
    said: list[str] = []
    with projection_of(study, server, said) as projection:
        ended = 0

        def on_event(event: dict[str, Any]) -> None:
            nonlocal ended
            projection.on_event(event)
            ended += event["event"] == "finished"
            if event["event"] == "finished" and ended == 4:
                wait_until(lambda: bool(read_runs(study.study_dir, server.uri)))
                server.kill()
            if event["event"] == "finished" and ended == 8:
                wait_until(lambda: projection.error is not None)
                server.start()

        study.engine.on_event = on_event
        study.run()
    assert projection.error is None and projection.problem() is None
    kinds = [line.partition(" ")[0] for line in said]
    # "MLflow:" says how many trials are missing, if they are many by then.
    assert [kind for kind in kinds if kind != "MLflow:"] == ["warning:", "MLflow"], said
    assert disagreements(study.study_dir, server) == []
    points = history(study.study_dir, server)
    assert [step for step, _ in points["", "trials/ended"]] == list(range(1, 13))
    assert all(len(own) == len(set(own)) for own in points.values()), "nothing is there twice"


@pytest.mark.slow
def test_a_real_study_goes_on_without_its_server(
    tmp_path: Path,
    server: MlflowServer,
    make_photographs: Callable[[Path, int], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It dies during the study and comes back after its end: the same command, with nothing to run, completes it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photographs = str(make_photographs(tmp_path / "photographs", 100))
    space, study_dir = tmp_path / "tiny.py", tmp_path / "runs" / "tiny"
    space.write_text(SPACE)
    journal = study_dir / JOURNAL_NAME
    options = ("--device", "cpu", "--dataset", "imagefolder", "--data-root", photographs)
    options = (*options, "--tracking-uri", server.uri, "--register-models", "tiny-robust")
    first = CommandRun(space, tmp_path / "runs", *options)
    try:
        first.wait_until(lambda: journal.exists() and '"finished"' in journal.read_text())
        server.kill()
        assert first.wait() == 0, first.log
    finally:
        first.kill()
    record = read_study(study_dir)
    assert record.ended
    assert "the study goes on and tries again" in first.log and "the same command brings them" in first.log
    assert "Traceback" not in first.log
    for trial in record.trials.values():
        assert trial.state == "complete" and trial.metrics["val_n"] == trial.metrics["test_n"] == 100
        assert trial.metrics["chance_accuracy"] == 1
    shapes = {np.load(path, mmap_mode="r").shape for path in (tmp_path / "cache").rglob("*.npy")}
    assert shapes == {(600, 3, 64, 64), (200, 3, 64, 64)}
    assert (study_dir / "report" / "index.html").is_file()
    server.start()
    assert main(["--preset", "paper", "--space", str(space), "--output", str(tmp_path / "runs"), *options]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"MLflow:  {server.uri}/#/experiments/")
    assert disagreements(study_dir, server) == []
    assert verify_main([str(study_dir)]) == 0, "it knows from the journal where to look"
    client = MlflowClient(server.uri)
    names = [one.source for one in client.search_model_versions("name = 'tiny-robust'")]
    assert len(names) == len(front_of(record))
    for summary in read_runs(study_dir, server.uri) or []:
        files = {file.path for file in client.list_artifacts(summary.run_id)}
        if summary.state == "complete":
            assert {"result.json", "flags.npz"} <= files
    assert not (tmp_path / "runs" / "mlflow.db").exists()
