"""Models of the front in MLflow: what is loaded is what was evaluated."""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.pytorch
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from written_study import project, write_study

from study.record.front import front_of
from study.record.journal import StudyRecord
from study.tracking.runs import read_runs
from study.tracking.stores import tracking_uri
from trainables.data.datasets import load_data
from trainables.evaluation.probe import to_pixels
from trainables.trial_config import TrialConfig


class Logged:
    """The study after its end: once, then again with a name for its models."""

    def __init__(self, study_dir: Path, trained: Path) -> None:
        self.study_dir, self.said = study_dir, list[str]()
        journal = write_study(study_dir, trained)
        journal.write("ended")
        self.record: StudyRecord = journal.record
        self.uri = tracking_uri(study_dir.parent)
        self.client = MlflowClient(self.uri)
        project(journal, study_dir, say=self.said.append)
        self.models_before = self.models()
        for _ in range(2):
            project(journal, study_dir, say=self.said.append, registered_name="robust digits")
        journal.close()
        self.runs = {run.uid: run.run_id for run in read_runs(study_dir) or []}

    def models(self) -> list[Any]:
        experiment = self.client.get_experiment_by_name(self.study_dir.name)
        assert experiment is not None
        return list(self.client.search_logged_models([experiment.experiment_id]))


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Logged:
    return Logged(tmp_path_factory.mktemp("runs") / "s", trained)


def test_each_configuration_of_the_front_has_one_model(logged: Logged) -> None:
    members = {one.uid for one in front_of(logged.record)}
    assert len(members) > 0
    assert {model.tags["trial.uid"] for model in logged.models()} == members
    assert [model.model_id for model in logged.models_before] == [model.model_id for model in logged.models()]
    assert all(str(model.status) == "READY" for model in logged.models())
    said = [line for line in logged.said if not line.startswith("Waiting for MLflow")]  # as on a busy machine
    assert len(said) == 1 and "models of the front" in said[0], "told once"


def test_what_is_loaded_has_the_recorded_accuracy(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    (uid, *_) = (one.uid for one in front_of(logged.record))
    trial = logged.record.trials[uid]
    pixels, labels = load_data(TrialConfig(**trial.config)).test.tensors()
    images = to_pixels(pixels, torch.device("cpu"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged.uri)
    mlflow.set_tracking_uri(logged.uri)
    try:
        classifier = mlflow.pytorch.load_model(f"runs:/{logged.runs[uid]}/model")
        served = mlflow.pyfunc.load_model(f"runs:/{logged.runs[uid]}/model")
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    right = classifier(images).argmax(dim=1).numpy() == labels.numpy()
    assert 100 * right.mean() == pytest.approx(trial.metrics["test_clean"]) and 30 < right.mean() * 100 < 100
    with np.load(logged.study_dir / "trials" / uid / "flags.npz") as flags:
        assert np.array_equal(right, flags["test_clean"])
    assert served.metadata.signature.inputs.inputs[0].shape == (-1, 3, 8, 8)
    assert served.input_example.shape == (2, 3, 8, 8) and served.predict(served.input_example).shape == (2, 10)


def test_registered_once_and_on_request(logged: Logged) -> None:
    versions = logged.client.search_model_versions("name = 'robust digits'")
    assert sorted(one.run_id for one in versions) == sorted(model.source_run_id for model in logged.models())
    (newest, *_) = versions
    assert Path(newest.source.removeprefix("file://")).is_dir()


def test_metrics_of_a_model_are_those_of_its_trial(logged: Logged) -> None:
    for model in logged.models():
        metrics = {metric.key: metric.value for metric in model.metrics}
        assert metrics["test_clean"] == logged.record.trials[model.tags["trial.uid"]].metrics["test_clean"]
