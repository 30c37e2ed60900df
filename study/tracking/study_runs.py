"""The runs of a study in MLflow: a parent run, and a child run for each trial; what is there is not written again."""

import contextlib
import getpass
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from study.record.answer import read_answer
from study.record.journal import FINISHED, JOURNAL_NAME, StudyRecord, TrialRecord
from study.record.metrics import trainable_in
from study.tracking.growth import ENDED, Growth
from study.tracking.runs import PARENT_TAG, STUDY_TAG, UID_TAG, runs_of, study_id
from study.tracking.stores import artifact_location, open_for_writing
from study.tracking.trial_runs import (
    Point,
    files_of,
    fingerprint,
    params_of,
    points_of,
    run_name,
    status_of,
    tags_of,
)

MOST_AT_ONCE, MOST_PARAMS = 850, 100  # metrics and params in a call: MLflow takes 1000 entries, tags included
WRITTEN_TAG, FRONT_TAG = "trial.written", "front"


class StudyRuns:
    """A connection to MLflow that brings the runs of a study up to date with its journal.

    Everything written follows from the journal and the files of the trials, with the times that they say. So it can be
    written again after a call of which nobody knows whether it arrived, and nothing is there twice.

    Args:
        record: the live record of the study.
        study_dir: absolute.
        dataset: name and checksum of the data, recorded as the input of every trial; None if they have no name.
        uri: where it is tracked.

    Raises:
        MlflowException: like all methods, if MLflow does not answer or refuses.
    """

    def __init__(self, record: StudyRecord, study_dir: Path, dataset: tuple[str, str] | None, uri: str) -> None:
        self.client, self.uri = open_for_writing(uri), uri
        self.record, self.study_dir, self._dataset = record, study_dir, dataset
        self.trainable = trainable_in(record)
        self._growth = Growth(record)
        self.experiment_id = self._experiment(uri)
        self._id = study_id(study_dir)
        self._runs = {run.data.tags.get(UID_TAG, ""): run for run in self._existing()}
        self._written = {uid: run.data.tags.get(WRITTEN_TAG, "") for uid, run in self._runs.items() if uid}
        self._status = {uid: run.info.status for uid, run in self._runs.items()}
        self._on_front = {uid: run.data.tags.get(FRONT_TAG, "") for uid, run in self._runs.items()}
        self._told_front: set[str] | None = None  # that all runs agree with
        self._num_sent: dict[str, int] = {}  # points of a trial, by this connection
        if "" not in self._runs:
            tags = {"study": record.name, STUDY_TAG: self._id}
            began = min(
                (int(1000 * one.launched_at) for one in record.trials.values() if one.launched_at), default=None
            )
            self._runs[""] = self.client.create_run(self.experiment_id, began, tags, run_name=record.name)
        self.parent_id: str = self._runs[""].info.run_id
        self._num_grown = int(self._runs[""].data.metrics.get(ENDED, 0))
        self.client.update_run(self.parent_id, status="RUNNING")
        self._describe_parent()

    def run_id(self, uid: str) -> str:
        """The run of a trial."""
        return str(self._runs[uid].info.run_id)

    def name(self, trial: TrialRecord) -> str:
        """What the run of a trial is called."""
        return run_name(trial, self.record, self.trainable)

    def tags(self, uid: str) -> dict[str, str]:
        """The tags that a trial's run had when this connection first saw it."""
        return dict(self._runs[uid].data.tags)

    @property
    def began_at(self) -> float:
        """When the parent run began, in Unix seconds."""
        return float(self._runs[""].info.start_time) / 1000

    @property
    def progress(self) -> str:
        """The metric that is MLflow's step."""
        return self.trainable.progress if self.trainable else "steps"

    @property
    def page(self) -> str:
        """The part of the address of the study's runs that follows the server's."""
        return f"/#/experiments/{self.experiment_id}/runs"

    def _experiment(self, uri: str) -> str:
        name, output_dir = self.record.name, self.study_dir.parent
        experiment = self.client.get_experiment_by_name(name)
        found: str = (
            experiment.experiment_id
            if experiment
            else self.client.create_experiment(name, artifact_location=artifact_location(uri, name, output_dir))
        )
        # Makes MLflow open the page of training runs rather than that of language model traces.
        self.client.set_experiment_tag(found, "mlflow.experimentKind", "custom_model_development")
        self.client.set_experiment_tag(found, "mlflow.note.content", self.record.spec["question"])
        return found

    def _existing(self) -> list[Any]:
        return runs_of(self.client, self.experiment_id, self.record.name, self._id)

    def _describe_parent(self) -> None:
        spec = self.record.spec
        self.client.log_dict(self.parent_id, spec, "spec.json")
        self.client.log_dict(self.parent_id, {"environments": self.record.environments}, "environment.json")
        kinds = {name: spec[name] for name in ("preset", "design", "stopping")}
        params = {name: value["kind"] if isinstance(value, dict) else value for name, value in kinds.items()}
        params["objectives"] = ", ".join(objective["name"] for objective in spec.get("objectives", []))
        params["factors"] = ", ".join(factor["name"] for factor in spec.get("factors", []))
        plain = {name: str(value)[:500] for name, value in params.items()}
        self._log(self.parent_id, params=plain, tags=self._source() | {STUDY_TAG: self._id})

    def _source(self) -> dict[str, str]:
        """What ran the study, from which revision of its code, and who."""
        tags = {"mlflow.source.name": "study.run", "mlflow.source.type": "LOCAL"}
        if revision := self.record.environments[-1].get("revision"):
            tags["mlflow.source.git.commit"] = revision
        with contextlib.suppress(KeyError, OSError):  # a container's user without a name
            tags["mlflow.user"] = getpass.getuser()
        return tags

    def write(self, trial: TrialRecord) -> None:
        """Brings the run of ``trial`` up to date."""
        files = files_of(trial, self.study_dir)
        current = fingerprint(trial, *(path for path, _ in files))
        if self._written.get(trial.uid) == current:
            return
        if trial.uid not in self._runs:
            self._runs[trial.uid] = self._create(trial)
        run_id = self.run_id(trial.uid)
        params = {} if trial.uid in self._num_sent else self._described(run_id, trial)
        points = points_of(trial, self.study_dir, self.progress)
        for path, folder in files:
            self.client.log_artifact(run_id, str(path), folder or None)
        status = status_of(trial, is_over=False)
        if trial.ended_at is not None:
            self.client.set_terminated(run_id, status=status, end_time=int(trial.ended_at * 1000))
        elif self._status.get(trial.uid) != status:
            self.client.update_run(run_id, status=status)
        self._status[trial.uid] = status
        # The tag comes last: now it is all there.
        tags = tags_of(trial, self.trainable) | self._new_front_tag(trial) | {WRITTEN_TAG: current}
        self._log(run_id, points[self._num_sent.get(trial.uid, 0) :], params, tags)
        self._num_sent[trial.uid], self._written[trial.uid] = len(points), current

    def missing(self) -> list[str]:
        """The trials of which not everything is written."""
        trials = list(self.record.trials.values())
        files = {trial.uid: [path for path, _ in files_of(trial, self.study_dir)] for trial in trials}
        return [one.uid for one in trials if self._written.get(one.uid) != fingerprint(one, *files[one.uid])]

    def _create(self, trial: TrialRecord) -> Any:
        tags = {PARENT_TAG: self.parent_id, "study": self.record.name, STUDY_TAG: self._id, UID_TAG: trial.uid}
        began = trial.launched_at
        return self.client.create_run(
            self.experiment_id,
            start_time=None if began is None else int(began * 1000),
            run_name=self.name(trial),
            tags=tags | self._source(),
        )

    def _described(self, run_id: str, trial: TrialRecord) -> dict[str, str]:
        """The params of a trial's run, once it has its data and its name."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if self._dataset is not None:
            name, checksum = self._dataset
            dataset = Dataset(name=name, digest=checksum[:16], source_type="local", source=name)
            tags = [InputTag("mlflow.data.context", "training")]
            self.client.log_inputs(run_id, [DatasetInput(dataset, tags=tags)])
        if self._runs[trial.uid].info.run_name != self.name(trial):
            self.client.update_run(run_id, name=self.name(trial))
        return params_of(trial)

    def grow(self) -> None:
        """Logs what the study had found after each further trial that ended, and marks the runs of the front."""
        waiting: list[Point] = []
        for points in self._growth.news():
            if points[-1].step <= self._num_grown:
                continue
            if len(waiting) + len(points) > MOST_AT_ONCE:
                self._log(self.parent_id, waiting)
                waiting = []
            waiting += points
        self._log(self.parent_id, waiting)
        if self._growth.front == self._told_front:
            return
        self._told_front = set(self._growth.front)
        for trial in self.record.with_state(*FINISHED):
            if trial.uid in self._runs:
                for name, value in self._new_front_tag(trial).items():
                    self.client.set_tag(self.run_id(trial.uid), name, value)

    def _new_front_tag(self, trial: TrialRecord) -> dict[str, str]:
        """Whether an ended trial is on the front, unless its run says so already."""
        is_member = str(trial.state == "complete" and trial.configuration in self._growth.front).lower()
        if trial.state not in FINISHED or self._on_front.get(trial.uid) == is_member:
            return {}
        self._on_front[trial.uid] = is_member
        return {FRONT_TAG: is_member}

    def front_members(self) -> Iterator[TrialRecord]:
        """The first complete trial of each configuration on the front."""
        seen: set[str] = set()
        for trial in self.record.with_state("complete"):
            if trial.configuration in self._growth.front - seen:
                seen.add(trial.configuration)
                yield trial

    def log_report(self) -> None:
        """The report as an artifact of the parent run, and its answer as the description."""
        report = self.study_dir / "report" / "index.html"
        if report.is_file():
            self.client.log_artifact(self.parent_id, str(report), "report")
        answer = read_answer(self.study_dir)
        said = self.record.spec["question"] + (f"\n\n```\n{answer[:7000]}\n```" if answer else "")  # of a tag's 8000
        self.client.set_tag(self.parent_id, "mlflow.note.content", said)

    def close(self) -> None:
        """Ends the parent run, and marks trials that have not ended as killed."""
        for trial in self.record.with_state("proposed", "running"):
            self.client.set_terminated(self.run_id(trial.uid), status="KILLED")
        self.log_report()
        self.client.log_artifact(self.parent_id, str(self.study_dir / JOURNAL_NAME))
        ended = self.record.last_event_at
        self.client.set_terminated(
            self.parent_id,
            status="FINISHED" if self.record.ended else "KILLED",
            end_time=None if ended is None else int(1000 * ended),
        )

    def log_machine(self, points: Sequence[Point]) -> None:
        """Metrics of the machine, in the parent run."""
        self._log(self.parent_id, points)

    def _log(
        self,
        run_id: str,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """In as few calls as MLflow allows; tags in the last one."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(*point) for point in points]
        rest = [Param(*item) for item in (params or {}).items()]
        while len(metrics) > MOST_AT_ONCE or len(rest) > MOST_PARAMS:
            self.client.log_batch(run_id, metrics[:MOST_AT_ONCE], rest[:MOST_PARAMS])
            metrics, rest = metrics[MOST_AT_ONCE:], rest[MOST_PARAMS:]
        if metrics or rest or tags:
            self.client.log_batch(run_id, metrics, rest, [RunTag(*item) for item in (tags or {}).items()])
