"""MLflow shows the journal: a real store on SQLite, made once for most tests of this file."""

import getpass
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from patience import PATIENCE_SECONDS, wait_until

from study.record.curves import CurveFile
from study.record.journal import Journal, StudyRecord, TrialRecord
from study.record.trial_folder import trial_folder
from study.spec import StudySpec
from study.tracking import projection
from study.tracking.projection import MlflowProjection
from study.tracking.runs import read_runs
from study.tracking.stores import tracking_uri
from study.tracking.trial_runs import MOST_OF_CURVE, mlflow_key, params_of, points_of
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

MakeSpec = Callable[..., StudySpec]
DATASET = ("digits", "0123456789abcdef" * 4)
BASE = TrialConfig(**LAPTOP)
OBJECTIVES = [{"name": "val_clean", "direction": "maximize"}, {"name": "train_pflop", "direction": "minimize"}]


def numbers(view_passes: int, **changes: Any) -> dict[str, Any]:
    return {"view_passes": view_passes, "val_clean": 50.0, "val_pgd_8": 20.0, "train_pflop": 0.5} | changes


@dataclass
class Projected:
    """The store after two sessions: the second as after a resume, with nothing new and then one more trial."""

    study_dir: Path
    record: StudyRecord
    errors: list[Exception | None]
    runs: list[list[Run]]  # after each session
    points: list[dict[tuple[str, str], list[tuple[int, float]]]]  # (uid, metric) -> (step, value)

    @property
    def by_uid(self) -> dict[str, Run]:
        """The last runs; the parent is under 's'."""
        return {uid_of(run): run for run in self.runs[-1]}

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri(self.study_dir.parent))


def uid_of(run: Run) -> str:
    return str(run.data.tags.get("trial.uid", "s"))


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
    spec = {"name": "s", "question": "Why?", "preset": "laptop", "design": {"kind": "Search"}, "objectives": OBJECTIVES}
    journal.write(
        "created", study="s", spec=spec | {"stopping": {"kind": "MoAsha"}}, environment={"revision": "0123456789ab"}
    )
    start(journal, "t0000", epochs=1, num_views=3)  # ended before MLflow came up
    # A rung just before the end is evaluated at the end: both reports have the same view passes.
    journal.write("reported", uid="t0000", metrics=numbers(100, milestone=90, val_clean=60.0))
    journal.write("finished", uid="t0000", state="complete", reason="", metrics=numbers(100, test_clean=70.0))
    (study_dir / "report").mkdir()
    trial_folder(study_dir, "t0000").mkdir(parents=True)
    (study_dir / "report" / "index.html").write_text("a report")
    (study_dir / "report" / "answer.txt").write_text("Because <b>of it</b>.")
    curve = CurveFile(trial_folder(study_dir, "t0000"), "view_passes")
    for step, loss in ((50, 2.0), (100, 1.0)):
        curve.add({"view_passes": step, "train_loss": loss, "val_clean": 60.0})
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
                (uid_of(run), name): [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
                for run in runs[-1]
                for name in run.data.metrics
                if not name.startswith("system/")
            }
        )
    journal.close()
    return Projected(study_dir, journal.record, errors, runs, points)


def test_nothing_went_wrong(projected: Projected) -> None:
    assert projected.errors == [None, None]


def test_there_is_a_parent_and_a_child_per_trial(projected: Projected) -> None:
    assert set(projected.by_uid) == {"s", "t0000", "t0001", "t0002", "t0003", "t0004"}
    parent = projected.by_uid["s"]
    assert parent.data.tags["study"] == "s" and parent.data.tags["mlflow.source.git.commit"] == "0123456789ab"
    assert parent.info.status == "KILLED", "the study has not ended"
    for trial in projected.record.trials.values():
        tags = projected.by_uid[trial.uid].data.tags
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert (tags["study"], tags["trial.uid"], tags["trial.state"]) == ("s", trial.uid, trial.state)
    assert projected.by_uid["t0003"].data.tags["trial.reason"] == "TrialDiverged: nan"
    assert projected.by_uid["t0001"].data.tags["trial.failed_checks"] == "x"
    assert "trial.failed_checks" not in projected.by_uid["t0002"].data.tags


def test_statuses(projected: Projected) -> None:
    statuses = {name: run.info.status for name, run in projected.by_uid.items() if name != "s"}
    assert statuses == {
        "t0000": "FINISHED",
        "t0001": "FINISHED",
        "t0002": "FINISHED",
        "t0003": "FAILED",
        "t0004": "KILLED",
    }
    ended = projected.by_uid["t0001"].info.end_time
    assert ended == int((projected.record.trials["t0001"].ended_at or 0) * 1000)


def test_params_are_the_config_and_a_factor_that_is_a_field_is_there_once(projected: Projected) -> None:
    for trial in projected.record.trials.values():
        params = {name: str(value)[:500] for name, value in trial.config.items()}
        assert projected.by_uid[trial.uid].data.params == params
        assert trial.params.keys() <= params.keys()


def test_a_factor_with_levels_is_a_param_of_its_own() -> None:
    trial = TrialRecord("t0000", 0, {"recipe": "free", "epochs": 2}, {"epochs": 2, "seed": 0})
    assert params_of(trial) == {"epochs": "2", "seed": "0", "factor.recipe": "free"}


def test_names_say_the_recipe(projected: Projected) -> None:
    assert projected.by_uid["t0000"].info.run_name == "t0000 1 epoch, 3 views"
    assert projected.by_uid["s"].info.run_name == "s"


def test_the_front_is_a_filter(projected: Projected) -> None:
    """t0001 fails a check, the others have no result."""
    (experiment,) = projected.client.search_experiments(filter_string="name = 's'")
    for value, uids in (("true", {"t0000"}), ("false", {"t0001", "t0002", "t0003"})):
        found = projected.client.search_runs([experiment.experiment_id], f"tags.front = '{value}'")
        assert {uid_of(run) for run in found} == uids


def test_the_parent_tells_how_the_study_grew(projected: Projected) -> None:
    found = {name: points for (uid, name), points in projected.points[0].items() if uid == "s"}
    assert found["trials/ended"] == [(step, step) for step in (1, 2, 3, 4)]
    assert found["trials/failed"] == [(1, 0), (2, 0), (3, 0), (4, 1)]
    assert found["spent/train_pflop"] == [(1, 0.5), (2, 1.0), (3, 1.5), (4, 1.5)]
    assert found["best/val_clean"] == [(step, 50.0) for step in (1, 2, 3, 4)]
    # Half of the accuracy; of the cost, everything from 0.5 to 1.1 times 0.5.
    assert found["front/hypervolume"][-1] == (4, pytest.approx(0.5 * 0.1 / 1.1))


def test_the_curve_of_a_trial_lies_between_its_reports(projected: Projected) -> None:
    assert projected.points[0]["t0000", "train_loss"] == [(50, 2.0), (100, 1.0)]


def test_the_description_is_the_question_and_the_answer(projected: Projected) -> None:
    text = projected.by_uid["s"].data.tags["mlflow.note.content"]
    assert text == "Why?\n\n```\nBecause <b>of it</b>.\n```"


@pytest.mark.parametrize("name", ["accuracy (%)", "<b>", "../up", "/", "a//b", ".", "", "Güte ≥ 3", "loss/train"])
def test_names_of_any_text_reach_mlflow(projected: Projected, name: str) -> None:
    run_id = projected.by_uid["t0004"].info.run_id
    projected.client.log_metric(run_id, mlflow_key(name), 1.0)
    projected.client.log_param(run_id, mlflow_key(f"any {name}"), 1)


def test_who_ran_what(projected: Projected) -> None:
    for run in projected.by_uid.values():
        tags = run.data.tags
        assert (tags["mlflow.source.name"], tags["mlflow.source.type"]) == ("study.run", "LOCAL")
        assert tags["mlflow.user"] == getpass.getuser()
    command = projected.by_uid["t0001"].data.tags["trial.command"]
    assert command.startswith("python -m trainables.run_trial") and "epochs=2" in command


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
    assert projected.points[0].get(("t0000", "val_clean")) == [(50, 60.0), (100, 60.0), (100, 50.0)]
    assert projected.by_uid["t0000"].data.metrics["val_clean"] == 50.0, "not the 60 of the short evaluation"
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
        (found,) = projected.by_uid[uid].inputs.dataset_inputs
        assert (found.dataset.name, found.dataset.digest) == ("digits", "0123456789abcdef")


def test_report_journal_and_spec_are_artifacts_of_the_parent(projected: Projected, tmp_path: Path) -> None:
    parent = projected.by_uid["s"].info.run_id
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
            wait_until(lambda text=text: [path.read_text() for path in artifacts.rglob("index.html")] == [text])
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
    assert run.data.params["epochs"] == "2" and run.info.run_name == "t0000 2 epochs"
    assert [found.dataset.name for found in run.inputs.dataset_inputs] == ["digits"]
    assert len(client.search_runs([experiment])) == 2


def test_it_says_what_is_missing_and_what_is_waited_for(projected: Projected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "FEW", 1)
    monkeypatch.setattr(projection, "FIRST_WORD", 0.0)
    study_dir = projected.study_dir.parent / "behind"
    journal, said = Journal(study_dir), list[str]()
    journal.write("created", study="behind", spec=projected.record.spec, environment={})
    for number in range(3):
        start(journal, f"t{number:04d}", epochs=2 + number)
    for _ in range(2):
        with MlflowProjection(journal.record, study_dir, DATASET, say=said.append):
            pass
    journal.close()
    assert [line for line in said if "not there yet" in line] == [
        "MLflow: 3 of 3 trials are not there yet; writing them"
    ], "at the second start there are none"
    assert re.match(r"Waiting for MLflow: .* \(Ctrl-C leaves the rest to the next start\)", said[-1])


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
    thread.join(timeout=PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert isinstance(projection.error, OSError)


def test_a_long_curve_is_thinned_but_what_is_rare_stays(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path, "t0000")
    folder.mkdir(parents=True)
    curve = CurveFile(folder, "steps")
    for step in range(2500):
        curve.add({"steps": step, "loss": 1.0} | ({"accuracy": 50.0} if step in (7, 1001) else {}))
    trial = TrialRecord("t0000", 0, {}, {}, state="complete", metrics={"steps": 2500, "loss": 0.5}, ended_at=1.0)
    points = points_of(trial, tmp_path, "steps")
    steps = {name: [point.step for point in points if point.name == name] for name in ("loss", "accuracy")}
    assert MOST_OF_CURVE / 2 < len(steps["loss"]) <= MOST_OF_CURVE + 1 and {0, 2500} < set(steps["loss"])
    assert steps["accuracy"] == [7, 1001]
