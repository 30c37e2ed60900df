"""Whether the projections of a journal agree with it: Optuna's study, the rungs, MLflow's runs and the result files.

The expected values are computed here from the trials, not by the code under check. All functions except
``file_disagreements`` are pure; a disagreement is one line that names the trial.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from study.decisions.early_stopping import early_stopping
from study.decisions.optuna_search import as_optuna_study
from study.record.configurations import Configuration, configurations
from study.record.front import front_of
from study.record.journal import FINISHED, StudyRecord, TrialRecord
from study.record.trial_folder import RESULT_NAME, trial_folder
from study.spec import Rungs, StudySpec
from study.tracking.runs import RunSummary
from study.tracking.trial_runs import mlflow_key
from study.trainable import trainable_of

# Of trials that are not under way; others were killed.
MLFLOW_STATUS = {"complete": "FINISHED", "stopped": "FINISHED", "paused": "SCHEDULED", "failed": "FAILED"}


def optuna_disagreements(record: StudyRecord, spec: StudySpec) -> list[str]:
    """Configurations that Optuna's study has in a different state, with different values, or not at all."""
    groups = configurations(record, len(spec.seeds))
    try:
        projected = as_optuna_study(record, spec).get_trials(deepcopy=False)[len(spec.warm_start) :]
    except ValueError as error:
        return [f"no Optuna study can be made of the journal: {error}"]
    disagreements = []
    if len(projected) != len(groups):
        disagreements.append(f"Optuna's study has {len(projected)} trials, the journal {len(groups)} configurations")
    for one, told in zip(groups, projected, strict=False):
        state, values = _as_told(one, spec)
        if told.params != one.params:
            disagreements.append(f"{one.uid}: Optuna has {told.params}, the journal {one.params}")
        if told.state != state:
            disagreements.append(f"{one.uid}: {told.state.name} in Optuna, {state.name} in the journal")
        elif (told.values or []) != values:
            disagreements.append(f"{one.uid}: {told.values} in Optuna, {values} in the journal")
    return disagreements


def _as_told(one: Configuration, spec: StudySpec) -> tuple[TrialState, list[float]]:
    """The state and values that Optuna must have for a configuration; values are means over seeds, if all are valid."""
    told = {"failed": TrialState.FAIL, "stopped": TrialState.PRUNED, "paused": TrialState.PRUNED}
    if one.state != "complete":
        return told.get(one.state, TrialState.RUNNING), []
    columns: list[list[Any]] = [[t.metrics.get(objective.name) for t in one.trials] for objective in spec.objectives]
    if one.validity or not all(map(_all_finite, columns)):
        return TrialState.FAIL, []
    return TrialState.COMPLETE, [sum(column) / len(column) for column in columns]


def _all_finite(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)


def rung_disagreements(record: StudyRecord, spec: StudySpec) -> list[str]:
    """Decisions that differ from those of the study's rule when it is given the reports in order."""
    if not record.decisions:
        return []
    if not isinstance(spec.stopping, Rungs):
        return [f"{decision['uid']}: a decision in a study without early stopping" for decision in record.decisions]
    rule = early_stopping(spec, min(decision["milestone"] for decision in record.decisions))
    assert rule is not None
    progress = trainable_of(spec.base).progress.replace("_", " ")
    disagreements = []
    audited: set[str] = set()
    for decision in record.decisions:
        uid, milestone, decided = decision["uid"], decision["milestone"], decision["decision"]
        trial = record.trials[uid]
        if uid in audited:
            allowed = {"continue"}  # no longer given to the rule: without the audit the trial would have ended
        else:
            report = next((report for report in trial.reports if report["milestone"] == milestone), None)
            if report is None:
                continue  # reported by the check of the order
            values = [report.get(name) for name in spec.stopping.compared]
            is_kept = rule.decide(uid, milestone, values, _compared_with(trial, record, spec))
            may_be_stopped = not is_kept and trial.params not in spec.references
            allowed = {"stop"} if may_be_stopped else {"continue"}
            if may_be_stopped and spec.stopping.audit:
                allowed.add("audit")
        if decided not in allowed:
            expected = " or ".join(sorted(allowed))
            disagreements.append(f"{uid}: {decided!r} at {milestone:,} {progress}, the reports lead to {expected!r}")
        if decided == "audit":
            audited.add(uid)
    return disagreements


def _compared_with(trial: TrialRecord, record: StudyRecord, spec: StudySpec) -> set[str] | None:
    if spec.window is None:
        return None
    return {other.uid for other in record.trials.values() if other.number <= trial.number - spec.window}


def mlflow_disagreements(
    record: StudyRecord, runs: Sequence[RunSummary], *, is_settled: bool
) -> tuple[list[str], list[str]]:
    """Where the runs of a study differ from its journal, and the uids of trials that MLflow does not yet have in full.

    Args:
        record: the study.
        runs: all of its runs.
        is_settled: whether the driver has ended and had time to bring MLflow up to date; if not, anything merely
            missing counts as not yet written, and only contradictions to the journal count as disagreements.
    """
    parents = [run for run in runs if run.uid is None]
    if not runs and not is_settled:
        return [], list(record.trials)
    if len(parents) != 1:
        return [f"MLflow has {len(parents)} parent runs instead of one"], []
    disagreements = []
    status = "FINISHED" if record.ended else "KILLED"
    if is_settled and parents[0].status != status:
        disagreements.append(f"the parent run is {parents[0].status}, not {status}")
    counts = Counter(run.uid for run in runs if run.uid is not None)
    disagreements += [f"{uid}: {count} runs instead of one" for uid, count in counts.items() if count > 1]
    disagreements += [
        f"{uid}: a run of a trial that the journal does not know" for uid in counts if uid not in record.trials
    ]
    by_uid = {run.uid: run for run in runs}
    behind = []
    members = {trial.uid for one in front_of(record) for trial in one.completed}
    for trial in record.trials.values():
        run = by_uid.get(trial.uid)
        missing = ["it has no run"] if run is None else _missing_in_run(trial, run, trial.uid in members)
        if run is not None:
            disagreements += [f"{trial.uid}: {problem}" for problem in _wrong_in_run(trial, run, parents[0].run_id)]
        if missing and is_settled:
            disagreements += [f"{trial.uid}: {problem}" for problem in missing]
        elif missing:
            behind.append(trial.uid)
    return disagreements, behind


def _wrong_in_run(trial: TrialRecord, run: RunSummary, parent_id: str) -> list[str]:
    """Problems that a delay cannot explain."""
    problems = []
    if run.parent_id != parent_id:
        problems.append("its run is not a child of the study's")
    if run.state in FINISHED and run.state != trial.state:
        problems.append(f"{run.state} in MLflow, {trial.state} in the journal")
    if trial.state == "complete" and run.state == "complete":
        for name, value in _numbers(trial).items():
            logged = run.metrics.get(mlflow_key(name))
            if logged is not None and logged != value:
                problems.append(f"{name} is {logged!r} in MLflow, {value!r} in the journal")
    return problems


def _missing_in_run(trial: TrialRecord, run: RunSummary, is_on_front: bool) -> list[str]:
    """Problems that may disappear once everything has been written."""
    problems = []
    if run.state != trial.state and run.state not in FINISHED:
        problems.append(f"{run.state} in MLflow, {trial.state} in the journal")
    if run.status != MLFLOW_STATUS.get(trial.state, "KILLED"):
        problems.append(f"its run is {run.status}, not {MLFLOW_STATUS.get(trial.state, 'KILLED')}")
    problems += [f"the param {name} is not in MLflow" for name in trial.config if mlflow_key(name) not in run.params]
    if run.is_on_front not in (None, is_on_front):  # None: of an earlier version
        problems.append(f"the tag front is {run.is_on_front}, not {is_on_front}".lower())
    if trial.state == "complete":
        problems += [f"{name} is not in MLflow" for name in _numbers(trial) if mlflow_key(name) not in run.metrics]
    return problems


def _numbers(trial: TrialRecord) -> dict[str, float]:
    return {name: float(value) for name, value in trial.metrics.items() if isinstance(value, int | float)}


def file_disagreements(record: StudyRecord, study_dir: Path) -> list[str]:
    """Complete trials whose ``result.json`` is missing or invalid, or has a different config or different metrics."""
    disagreements = []
    for trial in record.with_state("complete"):
        path = trial_folder(study_dir, trial.uid) / RESULT_NAME
        name = path.relative_to(study_dir)
        try:
            saved = json.loads(path.read_text())
            config, metrics = saved["config"], {metric: _as_in_journal(v) for metric, v in saved["metrics"].items()}
        except FileNotFoundError:
            disagreements.append(f"{trial.uid}: {name} is missing")
        except (ValueError, KeyError, TypeError, AttributeError):
            disagreements.append(f"{trial.uid}: {name} holds no result")
        else:
            differing = [f"config.{field}" for field in _differing(config, trial.config)]
            differing += _differing(metrics, trial.metrics)
            if differing:
                disagreements.append(f"{trial.uid}: {name} has other values of {', '.join(differing)}")
    return disagreements


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]


def _as_in_journal(value: Any) -> Any:
    """The value as the journal holds it: non-finite numbers become None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
