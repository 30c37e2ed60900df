"""Whatever MLflow refuses at the end of a study, and whatever a model raises: the study ends, and says so."""

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from pydantic import BaseModel

from study import Context, Factor, Grid, Metric, StudySpec, as_trainable
from study.record.journal import Journal
from study.tracking.projection import MlflowProjection
from study.tracking.runs import read_runs
from study.tracking.stores import tracking_uri

LONGEST = 60  # seconds that the end may take here; what never ends fails


class Config(BaseModel, frozen=True):
    model: str = "raises"
    seed: int = 0


def made(config: Config, folder: Path) -> tuple[Any, Any]:
    """A model that cannot be made, or one that cannot be called."""
    if config.model == "raises":
        raise RuntimeError("no such layer\nand much more")
    return (lambda model_input: model_input.no_such_attribute), [1.0]


METRICS = (Metric("accuracy"), Metric("hours", "minimize", kind="cost"))


@as_trainable(config=Config, metrics=METRICS, model=made)
def fit(config: Config, context: Context) -> Any:
    """Is never run here."""
    yield {"accuracy": 90.0, "hours": 0.0}


@pytest.fixture
def study_dir(tmp_path: Path) -> Path:
    """A finished study of two trials that are both on the front; the first one cost nothing."""
    study_dir = tmp_path / "s"
    levels = {name: {"model": name} for name in ("raises", "cannot be called")}
    factor = Factor(name="kind", levels=levels)
    objectives = ("accuracy", "hours")
    spec = StudySpec(
        name="s", question="Does it end?", base=Config(), factors=(factor,), design=Grid(), objectives=objectives
    )
    with closing(Journal(study_dir)) as journal:
        journal.write("created", study="s", spec=spec.model_dump(mode="json"), environment={})
        for number, kind in enumerate(levels):
            uid, config = f"t{number:04d}", spec.config({"kind": kind}, seed=0).model_dump(mode="json")
            journal.write("proposed", uid=uid, number=number, params={"kind": kind}, config=config)
            journal.write("launched", uid=uid, attempt=1)
            metrics = {"steps": 1, "accuracy": 50.0 + number, "hours": float(number)}
            journal.write("finished", uid=uid, state="complete", reason="", metrics=metrics)
        journal.write("ended")
    return study_dir


def ended(study_dir: Path, said: list[str]) -> MlflowProjection:
    """The projection of a resume, once it has ended."""
    with closing(Journal(study_dir)) as journal:
        projection = MlflowProjection(journal.record, study_dir, None, say=said.append, patience=5)
        projection.__enter__()
        exiting = threading.Thread(target=projection.__exit__, daemon=True)
        exiting.start()
        exiting.join(LONGEST)
        assert not exiting.is_alive(), "the study never ends"
    return projection


def parent_status(study_dir: Path) -> list[str]:
    return [run.status for run in read_runs(study_dir) or [] if run.uid is None]


def test_a_model_that_cannot_be_logged_is_left_out(study_dir: Path) -> None:
    said: list[str] = []
    (study_dir / "report").mkdir()
    (study_dir / "report" / "index.html").write_text("the report")
    assert ended(study_dir, said).problem() is None
    told = [line for line in said if line.startswith("warning: ")]
    assert len(told) == 2 and told[0] == "warning: no model of t0000 in MLflow: RuntimeError: no such layer"
    assert "no model of t0001" in told[1] and all("\n" not in line for line in told)
    client = MlflowClient(tracking_uri(study_dir.parent))
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None and client.search_logged_models([experiment.experiment_id]) == []
    (parent,) = (run for run in read_runs(study_dir) or [] if run.uid is None)
    assert [file.path for file in client.list_artifacts(parent.run_id, "report")] == ["report/index.html"]
    assert parent.metrics["trials/ended"] == 2 and parent.status == "FINISHED"


def test_a_report_that_mlflow_does_not_take_does_not_keep_the_study_from_ending(study_dir: Path) -> None:
    assert ended(study_dir, []).problem() is None
    (parent,) = (run for run in read_runs(study_dir) or [] if run.uid is None)
    (study_dir.parent / "mlflow_artifacts" / "s" / parent.run_id / "artifacts" / "report").write_text("in its place")
    (study_dir / "report").mkdir()
    (study_dir / "report" / "index.html").write_text("the report")
    said: list[str] = []
    problem = ended(study_dir, said).problem()
    assert problem is not None and "could not be written" in problem
    assert not [line for line in said if "nothing is missing" in line]
