"""MLflow shows the journal: a real store on SQLite, made once for all tests of this file."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from study.record.journal import Journal, StudyRecord
from study.spec import StudySpec
from study.tracking.projection import MlflowProjection, make_store, store_path, tracking_uri
from study.tracking.runs import read_runs
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

MakeSpec = Callable[..., StudySpec]
DATASET = ("digits", "0123456789abcdef" * 4)
BASE = TrialConfig(**LAPTOP)


def numbers(view_passes: int, **changes: Any) -> dict[str, Any]:
    return {"view_passes": view_passes, "val_clean": 50.0, "val_pgd_8": 20.0, "train_pflop": 0.5} | changes


@dataclass
class Projected:
    """The store after two sessions: the second as after a resume, with nothing new and then one more trial."""

    study_dir: Path
    record: StudyRecord
    errors: list[Exception | None]
    runs: list[list[Run]]  # after each session
    points: list[dict[tuple[str, str], list[tuple[int, float]]]]  # (run name, metric) -> (step, value)

    @property
    def by_name(self) -> dict[str, Run]:
        return {run.info.run_name: run for run in self.runs[-1]}

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri(self.study_dir.parent))


def start(journal: Journal, uid: str, **params: Any) -> None:
    config = BASE.replace(**params).model_dump(mode="json")
    journal.write("proposed", uid=uid, number=len(journal.record.trials), params=params, config=config)
    journal.write("launched", uid=uid, attempt=1)


def play(journal: Journal, on_event: Callable[[Any], None]) -> None:
    """One trial of each kind, with the projection listening."""

    def write(event: str, **fields: Any) -> None:
        on_event(journal.write(event, **fields))

    for uid, epochs in (("t0001", 2), ("t0002", 3), ("t0003", 4), ("t0004", 5)):
        start(journal, uid, epochs=epochs, num_views=2)
    for step in (100, 200):
        write("reported", uid="t0001", metrics=numbers(step, milestone=step, val_clean=float(step)))
    write("finished", uid="t0001", state="complete", reason="", metrics=numbers(300, test_clean=60.0, validity=["x"]))
    write("reported", uid="t0002", metrics=numbers(100, milestone=100))
    write("decided", uid="t0002", milestone=100, decision="stop", reason="place 2 of 2")
    write("finished", uid="t0002", state="stopped", reason="place 2 of 2", metrics={})
    write("finished", uid="t0003", state="failed", reason="TrialDiverged: nan", metrics={})
    write("reported", uid="t0004", metrics=numbers(100, milestone=100, val_pgd_8=float("nan")))


@pytest.fixture(scope="module")
def projected(tmp_path_factory: pytest.TempPathFactory) -> Projected:
    study_dir = tmp_path_factory.mktemp("runs") / "s"
    journal = Journal(study_dir)
    spec = {"name": "s", "question": "Why?", "preset": "laptop", "design": {"kind": "Search"}}
    journal.write(
        "created", study="s", spec=spec | {"stopping": {"kind": "MoAsha"}}, environment={"revision": "0123456789ab"}
    )
    start(journal, "t0000", epochs=1, num_views=3)  # ended before MLflow came up
    # A rung just before the end is evaluated at the end: both reports have the same view passes.
    journal.write("reported", uid="t0000", metrics=numbers(100, milestone=90, val_clean=60.0))
    journal.write("finished", uid="t0000", state="complete", reason="", metrics=numbers(100, test_clean=70.0))
    (study_dir / "report").mkdir()
    (study_dir / "report" / "index.html").write_text("a report")
    errors, runs, points = [], [], []
    for session in range(2):
        with MlflowProjection(journal.record, study_dir, DATASET) as projection:
            if session == 0:
                play(journal, projection.on_event)
        errors.append(projection.error)
        client = MlflowClient(tracking_uri(study_dir.parent))
        (experiment,) = client.search_experiments(filter_string="name = 's'")
        runs.append(list(client.search_runs([experiment.experiment_id])))
        points.append(
            {
                (run.info.run_name, name): [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
                for run in runs[-1]
                for name in run.data.metrics
                if run.info.run_name != "s"
            }
        )
    journal.close()
    return Projected(study_dir, journal.record, errors, runs, points)


def test_nothing_went_wrong(projected: Projected) -> None:
    assert projected.errors == [None, None]


def test_there_is_a_parent_and_a_child_per_trial(projected: Projected) -> None:
    assert set(projected.by_name) == {"s", "t0000", "t0001", "t0002", "t0003", "t0004"}
    parent = projected.by_name["s"]
    assert parent.data.tags["study"] == "s" and parent.data.tags["mlflow.source.git.commit"] == "0123456789ab"
    assert parent.info.status == "KILLED", "the study has not ended"
    for trial in projected.record.trials.values():
        tags = projected.by_name[trial.uid].data.tags
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert (tags["study"], tags["trial.uid"], tags["trial.state"]) == ("s", trial.uid, trial.state)
    assert projected.by_name["t0003"].data.tags["trial.reason"] == "TrialDiverged: nan"
    assert projected.by_name["t0001"].data.tags["trial.failed_checks"] == "x"
    assert "trial.failed_checks" not in projected.by_name["t0002"].data.tags


def test_statuses(projected: Projected) -> None:
    statuses = {name: run.info.status for name, run in projected.by_name.items() if name != "s"}
    assert statuses == {
        "t0000": "FINISHED",
        "t0001": "FINISHED",
        "t0002": "FINISHED",
        "t0003": "FAILED",
        "t0004": "KILLED",
    }
    ended = projected.by_name["t0001"].info.end_time
    assert ended == int((projected.record.trials["t0001"].ended_at or 0) * 1000)


def test_params_hold_the_factors_and_the_whole_config(projected: Projected) -> None:
    for trial in projected.record.trials.values():
        params = projected.by_name[trial.uid].data.params
        assert {f"factor.{name}": str(value) for name, value in trial.params.items()}.items() <= params.items()
        assert {name: str(value) for name, value in trial.config.items()}.items() <= params.items()


def test_metrics_are_at_their_view_passes(projected: Projected) -> None:
    points = projected.points[0]
    assert points["t0001", "val_clean"] == [(100, 100.0), (200, 200.0), (300, 50.0)]
    assert points["t0001", "test_clean"] == [(300, 60.0)]
    assert points["t0002", "val_clean"] == [(100, 50.0)]
    assert points["t0004", "val_clean"] == [(100, 50.0)]
    assert ("t0004", "val_pgd_8") not in points, "what is not finite is not logged"


def test_a_result_counts_beside_a_rung_at_the_same_view_passes(projected: Projected) -> None:
    """Both are known when MLflow is opened, or first the rung and later, twice, the result as well."""
    assert projected.points[0].get(("t0000", "test_clean")) == [(100, 70.0)]
    assert projected.points[0].get(("t0000", "val_clean")) == [(100, 50.0)], "not the 60 of the short evaluation"
    study_dir = projected.study_dir.parent / "rung at the end"
    journal = Journal(study_dir)
    journal.write("created", study="rung at the end", spec=projected.record.spec, environment={})
    start(journal, "t0000", epochs=2)
    journal.write("reported", uid="t0000", metrics=numbers(100, milestone=90, val_clean=60.0))
    for session in range(3):
        with MlflowProjection(journal.record, study_dir, DATASET) as projection:
            pass
        assert projection.error is None
        if session == 0:
            journal.write("finished", uid="t0000", state="complete", reason="", metrics=numbers(100, test_clean=70.0))
    journal.close()
    (run,) = (run for run in read_runs(study_dir) or [] if run.uid == "t0000")
    assert run.metrics["val_clean"] == 50.0
    history = projected.client.get_metric_history(run.run_id, "val_clean")
    assert [(point.step, point.value) for point in history] == [(100, 60.0), (100, 50.0)]


def test_the_dataset_is_an_input_of_each_trial(projected: Projected) -> None:
    for uid in projected.record.trials:
        (found,) = projected.by_name[uid].inputs.dataset_inputs
        assert (found.dataset.name, found.dataset.digest) == ("digits", "0123456789abcdef")


def test_report_journal_and_spec_are_artifacts_of_the_parent(projected: Projected, tmp_path: Path) -> None:
    parent = projected.by_name["s"].info.run_id
    found = {file.path for file in projected.client.list_artifacts(parent)}
    assert {"report", "journal.jsonl", "spec.json", "environment.json"} <= found
    fetched = Path(projected.client.download_artifacts(parent, "journal.jsonl", str(tmp_path)))
    assert fetched.read_bytes() == (projected.study_dir / "journal.jsonl").read_bytes()
    spec = json.loads(Path(projected.client.download_artifacts(parent, "spec.json", str(tmp_path))).read_text())
    assert spec == projected.record.spec


def test_the_report_is_logged_while_the_study_runs(projected: Projected) -> None:
    study_dir = projected.study_dir.parent / "reported"
    journal = Journal(study_dir)
    journal.write("created", study="reported", spec=projected.record.spec, environment={})
    page = study_dir / "report" / "index.html"
    page.parent.mkdir()
    artifacts = study_dir.parent / "mlflow_artifacts" / "reported"
    with MlflowProjection(journal.record, study_dir, DATASET) as projection:
        for text in ("first", "second"):
            page.write_text(text)
            projection.on_report()
            ends_at = time.monotonic() + 20
            while [path.read_text() for path in artifacts.rglob("index.html")] != [text]:
                assert time.monotonic() < ends_at
                time.sleep(0.02)
        page.write_text("last")
    journal.close()
    assert projection.error is None
    assert [path.read_text() for path in artifacts.rglob("index.html")] == ["last"]


def test_a_resume_repeats_nothing(projected: Projected) -> None:
    assert {run.info.run_id for run in projected.runs[1]} == {run.info.run_id for run in projected.runs[0]}
    assert projected.points[1] == projected.points[0]
    (experiment,) = projected.client.search_experiments(filter_string="name = 's'")
    assert experiment.artifact_location.startswith((projected.study_dir.parent / "mlflow_artifacts").as_uri())


def test_a_run_that_a_kill_left_bare_is_described(projected: Projected) -> None:
    client, study_dir = projected.client, projected.study_dir.parent / "bare"
    experiment = client.create_experiment("bare", artifact_location=(projected.study_dir.parent / "artifacts").as_uri())
    parent = client.create_run(experiment, tags={"study": "bare"}).info.run_id
    tags = {"study": "bare", "trial.uid": "t0000", "mlflow.parentRunId": parent}
    bare = client.create_run(experiment, tags=tags).info.run_id
    journal = Journal(study_dir)
    journal.write("created", study="bare", spec=projected.record.spec, environment={})
    start(journal, "t0000", epochs=2)
    with MlflowProjection(journal.record, study_dir, DATASET) as projection:
        pass
    journal.close()
    assert projection.error is None
    run = client.get_run(bare)
    assert (run.data.params["epochs"], run.data.params["factor.epochs"]) == ("2", "2")
    assert [found.dataset.name for found in run.inputs.dataset_inputs] == ["digits"]
    assert len(client.search_runs([experiment])) == 2


def test_a_store_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow cannot open one that was left halfway."""

    def killed(client: MlflowClient, **options: Any) -> None:
        assert not store_path(tmp_path).exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "__init__", lambda client, uri: Path(uri.removeprefix("sqlite:///")).touch())
    monkeypatch.setattr(MlflowClient, "search_experiments", killed)
    with pytest.raises(KeyboardInterrupt):
        make_store(tmp_path)
    assert not store_path(tmp_path).exists()


def test_the_store_of_another_study_that_was_faster_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(client: MlflowClient, **options: Any) -> None:
        next(tmp_path.glob("*.tmp")).write_text("mine")
        store_path(tmp_path).write_text("theirs")

    monkeypatch.setattr(MlflowClient, "__init__", lambda client, uri: Path(uri.removeprefix("sqlite:///")).touch())
    monkeypatch.setattr(MlflowClient, "search_experiments", overtaken)
    make_store(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"mlflow.db": "theirs"}


def test_an_error_at_the_very_end_does_not_hang(projected: Projected) -> None:
    """The journal, an artifact of the parent, cannot be read: the study must end all the same."""
    study_dir = projected.study_dir.parent / "without a journal"
    record = StudyRecord(name="without a journal", spec=projected.record.spec, environments=[{}])
    projection = MlflowProjection(record, study_dir, DATASET)

    def run() -> None:
        with projection:
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert isinstance(projection.error, OSError)
