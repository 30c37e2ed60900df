"""Projection of the journal into MLflow: one experiment per study, with a parent run and a child run per trial.

A separate thread writes to MLflow, so that its database never delays a trial. Everything it shows follows from the
journal; an existing run is found by its tag and updated, never created twice.
"""

import logging
import os
import queue
import threading
import time
from pathlib import Path
from typing import Any

from study.record.journal import JOURNAL_NAME, Event, StudyRecord, TrialRecord
from study.record.metrics import trainable_in
from study.tracking.runs import PARENT_TAG, all_runs, store_path, tracking_uri

Metrics = dict[str, Any]
REPORT_WRITTEN: Event = {"event": "report written"}  # only used in the queue, not an event of the journal


def make_store(output_dir: Path) -> None:
    """Creates the store if there is none, atomically.

    MLflow takes seconds to create its tables, step by step, and cannot open a store whose creation was cut short by a
    kill.
    """
    from mlflow import MlflowClient

    path = store_path(output_dir)
    if path.exists():
        return
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    MlflowClient(f"sqlite:///{unfinished}").search_experiments(max_results=1)
    try:
        os.link(unfinished, path)
        unfinished.unlink()
    except FileExistsError:  # another study has created it first
        unfinished.unlink()
    except OSError:  # a file system without hard links
        os.replace(unfinished, path)


class MlflowProjection:
    """Keeps MLflow in step with a study; a context manager that, on exit, waits until everything is written.

    Args:
        record: the live record of the study; read after each event.
        study_dir: absolute; its report becomes an artifact of the parent run, at the end and on each ``on_report``.
        dataset: name and checksum of the data, recorded as the input of every trial; None if they have no name.
    """

    def __init__(self, record: StudyRecord, study_dir: Path, dataset: tuple[str, str] | None) -> None:
        self._record, self._study_dir, self._dataset = record, study_dir, dataset
        self._queue: queue.Queue[Event | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._run_ids: dict[str, str] = {}
        self._logged_points: dict[tuple[str, str], set[tuple[int, float]]] = {}
        self._earlier_runs: set[str] = set()  # runs that were in the store when it was opened
        self._undescribed_runs: set[str] = set()  # earlier runs that lack params because of a kill
        trainable = trainable_in(record)
        self._progress = trainable.progress if trainable else "steps"  # the metric that is MLflow's step
        self.error: Exception | None = None

    def __enter__(self) -> "MlflowProjection":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._queue.put(None)
        self._thread.join()

    def on_event(self, event: Event) -> None:
        """Queues an event of the journal; returns at once."""
        self._queue.put(event)

    def on_report(self) -> None:
        """Queues the report for logging after it has been written; returns at once."""
        self._queue.put(REPORT_WRITTEN)

    def _work(self) -> None:
        try:
            self._open()
            for trial in list(self._record.trials.values()):
                self._project(trial)
            while (event := self._queue.get()) is not None:
                if event is REPORT_WRITTEN:
                    self._log_report()
                elif "uid" in event:
                    self._project(self._record.trials[event["uid"]])
            self._close()
        except Exception as error:
            self.error = error
            # No need to drain the queue: nothing waits for it, and it may already have been read to its end.

    def _open(self) -> None:
        """Connects, and finds or creates the experiment and the parent run."""
        from mlflow import MlflowClient  # slow to import; imported here so that trials can start meanwhile

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        output_dir = self._study_dir.parent
        make_store(output_dir)
        self._client = MlflowClient(tracking_uri(output_dir))
        name = self._record.name
        experiment = self._client.get_experiment_by_name(name)
        artifacts = (output_dir / "mlflow_artifacts" / name).as_uri()
        self._experiment_id = (
            experiment.experiment_id
            if experiment
            else self._client.create_experiment(name, artifact_location=artifacts)
        )
        # Makes MLflow open the page of training runs rather than that of language model traces.
        self._client.set_experiment_tag(self._experiment_id, "mlflow.experimentKind", "custom_model_development")
        for run in all_runs(self._client, self._experiment_id, name):
            self._run_ids[run.data.tags.get("trial.uid", "")] = run.info.run_id
            self._earlier_runs.add(run.info.run_id)
            if not run.data.params:
                self._undescribed_runs.add(run.info.run_id)
        if "" not in self._run_ids:
            parent = self._client.create_run(self._experiment_id, run_name=name, tags={"study": name})
            self._run_ids[""] = parent.info.run_id
        self._parent_id = self._run_ids[""]
        self._client.update_run(self._parent_id, status="RUNNING")
        self._describe_parent()

    def _describe_parent(self) -> None:
        spec = self._record.spec
        self._client.log_dict(self._parent_id, spec, "spec.json")
        self._client.log_dict(self._parent_id, {"environments": self._record.environments}, "environment.json")
        self._client.set_tag(self._parent_id, "mlflow.note.content", spec["question"])
        revision = self._record.environments[-1].get("revision")
        if revision:
            self._client.set_tag(self._parent_id, "mlflow.source.git.commit", revision)
        for name in ("preset", "design", "stopping"):
            value = spec[name]
            self._client.log_param(self._parent_id, name, value["kind"] if isinstance(value, dict) else value)

    def _project(self, trial: TrialRecord) -> None:
        """Updates the run of ``trial`` to what the journal now says about it."""
        if trial.uid not in self._run_ids:
            self._run_ids[trial.uid] = self._create_run(trial)
        run_id = self._run_ids[trial.uid]
        if run_id in self._undescribed_runs:
            self._describe_run(run_id, trial)
        for report in list(trial.reports):
            # At the same progress as the result, MLflow would take the rung's values for the later ones.
            if report[self._progress] != trial.metrics.get(self._progress):
                self._log(run_id, report)
        if trial.metrics:
            self._log(run_id, trial.metrics)
        self._client.set_tag(run_id, "trial.state", trial.state)
        if trial.reason:
            self._client.set_tag(run_id, "trial.reason", trial.reason)
        if failed := trial.metrics.get("validity"):
            self._client.set_tag(run_id, "trial.failed_checks", "; ".join(failed)[:5000])  # of a tag's 8000
        match trial.state:
            case "complete" | "stopped":
                status = "FINISHED"
            case "failed":
                status = "FAILED"
            case _:
                status = "RUNNING"
        self._client.update_run(run_id, status=status)
        if trial.ended_at is not None:
            self._client.set_terminated(run_id, status=status, end_time=int(trial.ended_at * 1000))

    def _create_run(self, trial: TrialRecord) -> str:
        run = self._client.create_run(
            self._experiment_id,
            start_time=int((trial.launched_at or time.time()) * 1000),
            run_name=trial.uid,
            tags={PARENT_TAG: self._parent_id, "study": self._record.name, "trial.uid": trial.uid},
        )
        run_id: str = run.info.run_id
        self._describe_run(run_id, trial)
        return run_id

    def _describe_run(self, run_id: str, trial: TrialRecord) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        if self._dataset is not None:
            name, checksum = self._dataset
            dataset = Dataset(name=name, digest=checksum[:16], source_type="local", source=name)
            tags = [InputTag("mlflow.data.context", "training")]
            self._client.log_inputs(run_id, [DatasetInput(dataset, tags=tags)])
        varied = {f"factor.{name}": value for name, value in trial.params.items()}
        params = [Param(name, str(value)[:500]) for name, value in (varied | trial.config).items()]
        self._client.log_batch(run_id, params=params)  # last, in one batch: a run with params is fully described
        self._undescribed_runs.discard(run_id)

    def _log(self, run_id: str, metrics: Metrics) -> None:
        """Logs numbers at step = progress; points that the run already has are not logged again."""
        from mlflow.entities import Metric

        step = int(metrics[self._progress])
        now = int(time.time() * 1000)
        # Compared by step and value: a rung at the very end has the same progress as the final report.
        numbers = {
            k: v
            for k, v in metrics.items()
            if k != "milestone" and isinstance(v, int | float) and (step, v) not in self._points_of(run_id, k)
        }
        if not numbers:
            return
        self._client.log_batch(run_id, metrics=[Metric(name, value, now, step) for name, value in numbers.items()])
        for name, value in numbers.items():
            self._points_of(run_id, name).add((step, value))

    def _points_of(self, run_id: str, metric: str) -> set[tuple[int, float]]:
        """The points (step, value) of ``metric`` in a run; those logged before this start are read from the store."""
        if (run_id, metric) not in self._logged_points:
            is_earlier = run_id in self._earlier_runs
            history = self._client.get_metric_history(run_id, metric) if is_earlier else []
            self._logged_points[run_id, metric] = {(point.step, point.value) for point in history}
        return self._logged_points[run_id, metric]

    def _close(self) -> None:
        """Ends the parent run, and marks trials that have not ended as killed."""
        for trial in self._record.with_state("proposed", "running"):
            self._client.set_terminated(self._run_ids[trial.uid], status="KILLED")
        self._log_report()
        self._client.log_artifact(self._parent_id, str(self._study_dir / JOURNAL_NAME))
        counts = {f"trials_{state}": len(self._record.with_state(state)) for state in ("complete", "stopped", "failed")}
        for name, count in counts.items():
            self._client.log_metric(self._parent_id, name, count)
        self._client.set_terminated(self._parent_id, status="FINISHED" if self._record.ended else "KILLED")

    def _log_report(self) -> None:
        report = self._study_dir / "report" / "index.html"
        if report.is_file():
            self._client.log_artifact(self._parent_id, str(report), "report")
