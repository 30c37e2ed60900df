"""Every kind of disagreement with a journal is found; journals are made up, stores are described, nothing trains."""

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.checks import projection_checks
from study.checks.journal_checks import (
    order_disagreements,
    repetition_disagreements,
    result_disagreements,
)
from study.checks.projection_checks import (
    file_disagreements,
    mlflow_disagreements,
    optuna_disagreements,
    rung_disagreements,
)
from study.decisions.optuna_search import as_optuna_study
from study.record.journal import JOURNAL_NAME, Event, Journal, StudyRecord, TrialRecord, replay
from study.record.journal_lines import ParsedJournal, parse_journal
from study.spec import Constraint, MoAsha, PriorTrial, RayAsha, StudySpec
from study.tracking.runs import RunSummary, read_runs
from study.verify import main
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

MakeSpec = Callable[..., StudySpec]
BASE = TrialConfig(**LAPTOP)
RESULT = {"view_passes": 900, "val_clean": 50.0, "val_pgd_8": 20.0, "train_pflop": 0.5, "test_clean": 49.0}


def proposed(which: int, *, seed: int = 0, **fields: Any) -> Event:
    levels = {"num_views": (2, 4, 8)[which // 3], "epochs": 1 + which % 3}
    params = levels | {"adversary": "none", "view_scale_min": 0.1}
    config = BASE.replace(**params, seed=seed).model_dump(mode="json")
    about = {"uid": f"t{which:04d}", "number": which, "params": params, "config": config}
    return {"event": "proposed"} | about | fields


def launched(number: int, attempt: int = 1) -> Event:
    return {"event": "launched", "uid": f"t{number:04d}", "attempt": attempt}


def reported(number: int, milestone: int, clean: float | None, pgd_8: float) -> Event:
    metrics = {"milestone": milestone, "view_passes": milestone, "val_clean": clean, "val_pgd_8": pgd_8}
    return {"event": "reported", "uid": f"t{number:04d}", "metrics": metrics}


def decided(number: int, milestone: int, decision: str) -> Event:
    fields = {"milestone": milestone, "decision": decision, "reason": "place"}
    return {"event": "decided", "uid": f"t{number:04d}", **fields}


def finished(number: int, state: str, **metrics: Any) -> Event:
    found = RESULT | metrics if state == "complete" else {}
    return {"event": "finished", "uid": f"t{number:04d}", "state": state, "reason": "", "metrics": found}


def story(spec: StudySpec) -> list[Event]:
    """A study as it should be, with one of everything: audits, retries, resumes, and a trial that is left."""
    events = [
        {"event": "created", "study": "s", "spec": spec.model_dump(mode="json"), "environment": {}},
        proposed(0), launched(0), proposed(1), launched(1),
        reported(0, 100, 50.0, 20.0), decided(0, 100, "continue"),
        reported(1, 100, 40.0, 10.0), decided(1, 100, "stop"), finished(1, "stopped"),
        proposed(2), launched(2), reported(2, 100, 60.0, 30.0), decided(2, 100, "continue"),
        {"event": "retried", "uid": "t0002", "reason": "OutOfMemoryError"},
        {"event": "interrupted", "reason": "the driver was told to stop"},
        {"event": "resumed", "environment": {}},
        launched(0, 2), reported(0, 200, 55.0, 25.0), decided(0, 200, "continue"), finished(0, "complete"),
        launched(2, 2), finished(2, "failed"),
        proposed(3), launched(3), reported(3, 100, 30.0, 5.0), decided(3, 100, "audit"),
        reported(3, 200, 1.0, 1.0), decided(3, 200, "continue"), finished(3, "complete", val_clean=44.0),
        {"event": "of a later version", "uid": "t0003"},
        {"event": "ended"},
        {"event": "resumed", "environment": {}},
        proposed(4), launched(4),
    ]  # fmt: skip
    return [event | {"time": float(second)} for second, event in enumerate(events)]


@pytest.fixture
def spec(make_spec: MakeSpec) -> StudySpec:
    return make_spec(stopping=MoAsha(first_rung=2, eta=2, audit=0.5))


@pytest.fixture
def record(spec: StudySpec) -> StudyRecord:
    return replay(story(spec))


def test_a_study_as_it_should_be(spec: StudySpec, record: StudyRecord) -> None:
    assert order_disagreements(story(spec)) == []
    assert result_disagreements(record) == repetition_disagreements(record) == []
    assert optuna_disagreements(record, spec) == rung_disagreements(record, spec) == []


def find(events: list[Event], kind: str, number: int | None = None, last: bool = False) -> int:
    found = [
        index
        for index, event in enumerate(events)
        if event["event"] == kind and (number is None or event.get("uid") == f"t{number:04d}")
    ]
    return found[-1 if last else 0]


Damage = Callable[[list[Event]], Any]


def without(kind: str, number: int | None = None) -> Damage:
    return lambda events: events.pop(find(events, kind, number))


def behind(kind: str, number: int | None, *new: Event, last: bool = False) -> Damage:
    def insert(events: list[Event]) -> None:
        index = find(events, kind, number, last) + 1
        events[index:index] = [event | {"time": 0.0} for event in new]

    return insert


def changed(kind: str, which: int, **fields: Any) -> Damage:
    return lambda events: events[find(events, kind, which)].update(fields)


DISORDER: dict[str, tuple[Damage, str]] = {
    "no beginning": (without("created"), "line 1, t0000: a journal begins with 'created', once"),
    "two beginnings": (
        lambda events: events.insert(1, events[0]), "line 2: a journal begins with 'created', once"
    ),
    "proposed twice": (behind("launched", 4, proposed(4, number=5)), "line 36, t0004: proposed twice"),
    "a number left out": (changed("proposed", 4, number=7), "line 34, t0004: has the number 7 and is the trial 4"),
    "an unknown purpose": (changed("proposed", 4, purpose="fun"), "line 34, t0004: has an unknown purpose: 'fun'"),
    "never proposed": (without("proposed", 4), "line 34, t0004: 'launched', but it was never proposed"),
    "never launched": (without("launched", 1), "line 7, t0001: 'reported' before it was launched"),
    "an attempt left out": (changed("launched", 4, attempt=2), "line 35, t0004: attempt 2 after attempt 0"),
    "an attempt repeated": (behind("launched", 4, launched(4, 1)), "line 36, t0004: attempt 1 after attempt 1"),
    "a milestone repeated": (
        behind("decided", 0, reported(0, 100, 1.0, 1.0)), "line 8, t0000: reported at 100 after 100"
    ),
    "milestones falling": (
        behind("launched", 4, reported(4, 200, 1.0, 1.0), decided(4, 200, "continue"), reported(4, 100, 1.0, 1.0)),
        "line 38, t0004: reported at 100 after 200",
    ),
    "a decision left out": (without("decided", 0), "line 18, t0000: reported at 200 without a decision at 100"),
    "decided twice": (
        behind("decided", 0, decided(0, 100, "continue")), "line 8, t0000: decided about twice at 100"
    ),
    "decided without a report": (
        behind("launched", 4, decided(4, 100, "continue")),
        "line 36, t0004: decided about at 100, where it has not reported",
    ),
    "an unknown decision": (changed("decided", 0, decision="perhaps"), "line 7, t0000: an unknown decision: 'perhaps'"),
    "launched though stopped": (
        behind("decided", 1, launched(1, 2)), "line 10, t0001: 'launched' after the decision to stop it"
    ),
    "complete though stopped": (
        changed("finished", 1, state="complete"), "line 10, t0001: finished as complete after the decision to stop it"
    ),
    "stopped by nobody": (
        changed("decided", 1, decision="continue"), "line 10, t0001: finished as stopped without a decision to stop it"
    ),
    "finished twice": (
        behind("finished", 0, finished(0, "failed")), "line 22, t0000: 'finished' after it had finished"
    ),
    "run again": (behind("finished", 0, launched(0, 3)), "line 22, t0000: 'launched' after it had finished"),
    "an unknown end": (changed("finished", 2, state="gone"), "line 23, t0002: finished in an unknown state: 'gone'"),
    "ended too early": (without("finished", 2), "line 31: the study ended before t0002"),
    "went on after the end": (
        lambda events: events.pop(find(events, "resumed", last=True)),
        "line 33, t0004: 'proposed' after the study had ended",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "line"), DISORDER.values(), ids=DISORDER)
def test_disorder_is_found(spec: StudySpec, damage: Damage, line: str) -> None:
    events = copy.deepcopy(story(spec))
    damage(events)
    found = order_disagreements(events)
    assert found[0] == line


def test_every_prefix_of_a_journal_is_in_order(spec: StudySpec) -> None:
    """A kill may come behind any line."""
    events = story(spec)
    for count in range(1, len(events) + 1):
        assert order_disagreements(events[:count]) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{'single': 'quotes'}", "not JSON; the file was changed or damaged"),
        ("[1, 2]", "not an event: it has no 'event' and 'time'"),
        ('{"event": "ended"}', "not an event: it has no 'event' and 'time'"),
        ('{"event": "launched", "time": 1, "attempt": 1}', "'launched' without 'uid'"),
        ('{"event": "reported", "time": 1, "uid": "t0000", "metrics": {}}', "'reported' without 'milestone'"),
        ("", "not JSON; the file was changed or damaged"),
    ],
)
def test_lines_that_are_no_events_are_found(spec: StudySpec, line: str, problem: str) -> None:
    good = json.dumps(story(spec)[0])
    found = parse_journal(f"{good}\n{line}\n{good}\n".encode())
    assert (len(found.events), found.problems, found.is_cut) == (2, [f"line 2: {problem}"], False)


def test_a_last_line_that_was_cut_is_not_read() -> None:
    whole = b'{"event": "ended", "time": 1}\n'
    found = parse_journal(whole + b'{"event": "resumed", "time": 2}')
    assert [event["event"] for event in found.events] == ["ended"]
    assert (found.problems, found.whole, found.is_cut) == ([], len(whole), True)
    assert parse_journal(b"") == ParsedJournal([], [], 0, False)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "missing"])
def test_results_without_their_objectives_are_found(record: StudyRecord, value: Any) -> None:
    metrics = record.trials["t0000"].metrics
    metrics["val_pgd_8"] = value
    if value == "missing":
        del metrics["val_pgd_8"]
    assert result_disagreements(record) == ["t0000: complete, but val_pgd_8 is not a finite number"]
    metrics["validity"] = ["the attack is broken"]
    assert result_disagreements(record) == [], "that explains it"


def test_results_without_the_metric_of_a_constraint_are_found(make_spec: MakeSpec) -> None:
    spec = make_spec(constraints=(Constraint("train_seconds", at_most=9),))
    found = result_disagreements(replay(story(spec)))
    assert found == [f"{uid}: complete, but train_seconds is not a finite number" for uid in ("t0000", "t0003")]


def test_a_config_that_was_run_twice_is_found(spec: StudySpec) -> None:
    events, again = story(spec), proposed(0, uid="t0005", number=5)
    same = "t0005: the same config and seed as t0000, for the same purpose"
    assert repetition_disagreements(replay([*events, again | {"time": 0.0}])) == [same]
    # What has no effect makes no difference; another seed or purpose does.
    again["config"] = again["config"] | {"replays": 7}
    assert repetition_disagreements(replay([*events, again | {"time": 0.0}])) == [same]
    assert repetition_disagreements(replay([*events, again | {"time": 0.0, "purpose": "confirmation"}])) == []
    other = proposed(0, seed=1, uid="t0005", number=5)
    assert repetition_disagreements(replay([*events, other | {"time": 0.0}])) == []
    again["config"] = again["config"] | {"num_views": 0}
    (line,) = repetition_disagreements(replay([*events, again | {"time": 0.0}]))
    assert line.startswith("t0005: its config is invalid: num_views")


def with_trial(record: StudyRecord, uid: str, **fields: Any) -> None:
    record.trials[uid] = dataclasses.replace(record.trials[uid], **fields)
    record.__post_init__()


MISTOLD: dict[str, tuple[Callable[[StudyRecord], Any], str]] = {
    "stopped as complete": (
        lambda told: with_trial(told, "t0001", state="complete", metrics=RESULT),
        "t0001: COMPLETE in Optuna, PRUNED in the journal",
    ),
    "failed as running": (
        lambda told: with_trial(told, "t0002", state="running"), "t0002: RUNNING in Optuna, FAIL in the journal"
    ),
    "running as failed": (
        lambda told: with_trial(told, "t0004", state="failed"), "t0004: FAIL in Optuna, RUNNING in the journal"
    ),
    "another value": (
        lambda told: told.trials["t0000"].metrics.update(val_clean=51.0),
        "t0000: [51.0, 20.0, 0.5] in Optuna, [50.0, 20.0, 0.5] in the journal",
    ),
    "other params": (
        lambda told: with_trial(told, "t0004", params=told.trials["t0004"].params | {"view_scale_min": 0.2}),
        "t0004: Optuna has {'num_views': 4, 'epochs': 2, 'adversary': 'none', 'view_scale_min': 0.2}, the journal {",
    ),
    "one left out": (
        lambda told: told.searched.popitem(), "Optuna's study has 4 trials, the journal 5 configurations"
    ),
    "one that cannot be told": (
        lambda told: with_trial(told, "t0004", params={"num_views": 5}), "no Optuna study can be made of the journal: "
    ),
}  # fmt: skip


@pytest.mark.parametrize(("mistell", "line"), MISTOLD.values(), ids=MISTOLD)
def test_what_optuna_is_mistold_is_found(
    spec: StudySpec, record: StudyRecord, monkeypatch: pytest.MonkeyPatch, mistell: Any, line: str
) -> None:
    told = copy.deepcopy(record)
    mistell(told)
    monkeypatch.setattr(projection_checks, "as_optuna_study", lambda record, spec: as_optuna_study(told, spec))
    (found,) = optuna_disagreements(record, spec)
    assert found.startswith(line)


def test_optuna_is_compared_over_seeds(make_spec: MakeSpec) -> None:
    spec = make_spec(seeds=(0, 1), warm_start=(PriorTrial({"num_views": 2}, (50.0, 20.0, 0.5)),))
    events = [{"event": "created", "study": "s", "spec": spec.model_dump(mode="json"), "environment": {}}]
    events += [proposed(0), launched(0), finished(0, "complete")]
    first = [event | {"time": 0.0} for event in events]
    assert optuna_disagreements(replay(first), spec) == [], "running until all seeds are done"
    second = proposed(0, seed=1) | {"uid": "t0001", "number": 1}
    events += [second, launched(1), finished(1, "complete", val_clean=60.0)]
    record = replay(event | {"time": 0.0} for event in events)
    assert optuna_disagreements(record, spec) == []
    record.trials["t0001"].metrics["validity"] = ["the attack is broken"]
    assert optuna_disagreements(record, spec) == []


@pytest.mark.parametrize(
    ("index", "decision", "expected"),
    [
        (0, "stop", "'continue'"),
        (1, "continue", "'audit or stop'"),
        (2, "stop", "'continue'"),
        (5, "stop", "'continue'"),
    ],
)
def test_decisions_that_the_rule_does_not_lead_to_are_found(
    spec: StudySpec, record: StudyRecord, index: int, decision: str, expected: str
) -> None:
    changed_one = record.decisions[index]
    changed_one["decision"] = decision
    line = (
        f"{changed_one['uid']}: {decision!r} at {changed_one['milestone']} view passes, the reports lead to {expected}"
    )
    assert rung_disagreements(record, spec)[0] == line


def test_reports_that_were_changed_afterwards_are_found(spec: StudySpec, record: StudyRecord) -> None:
    record.trials["t0002"].reports[0]["val_clean"] = 39.0
    record.trials["t0002"].reports[0]["val_pgd_8"] = 9.0
    assert rung_disagreements(record, spec)[0].startswith("t0002: 'continue' at 100 view passes")


def test_references_are_exempt(make_spec: MakeSpec) -> None:
    stopping = MoAsha(first_rung=2, eta=2)
    plain, reference = make_spec(stopping=stopping), proposed(1)["params"]
    record = replay(story(plain)[:9])
    record.decisions[1]["decision"] = "continue"
    (line,) = rung_disagreements(record, plain)
    assert line.endswith("the reports lead to 'stop'"), "and to no audit where there are none"
    assert rung_disagreements(record, make_spec(stopping=stopping, references=(reference,))) == []


def test_a_window_leaves_out_those_that_were_under_way(make_spec: MakeSpec) -> None:
    stopping = MoAsha(first_rung=2, eta=2)
    record = replay(story(make_spec(stopping=stopping))[:9])
    assert rung_disagreements(record, make_spec(stopping=stopping)) == []
    (line,) = rung_disagreements(record, make_spec(stopping=stopping, window=2))
    assert line == "t0001: 'stop' at 100 view passes, the reports lead to 'continue'"


def test_rays_own_rule(make_spec: MakeSpec) -> None:
    spec = make_spec(stopping=RayAsha(first_rung=2, eta=2, objective="val_pgd_8"))
    record = replay(story(spec)[:9])
    assert rung_disagreements(record, spec) == []
    record.decisions[1]["decision"] = "continue"
    assert len(rung_disagreements(record, spec)) == 1


def test_decisions_in_a_study_without_stopping_are_found(make_spec: MakeSpec, record: StudyRecord) -> None:
    found = rung_disagreements(record, make_spec())
    assert found[0] == "t0000: a decision in a study without early stopping" and len(found) == 6


def as_run(trial: TrialRecord) -> RunSummary:
    status = {"complete": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}.get(trial.state, "KILLED")
    numbers = {name: float(value) for name, value in trial.metrics.items()}
    params = {name: str(value) for name, value in trial.config.items()}
    return RunSummary(f"run of {trial.uid}", trial.uid, "parent", trial.state, status, params, numbers)


def as_runs(record: StudyRecord) -> dict[str, RunSummary]:
    parent = RunSummary("parent", None, None, None, "FINISHED" if record.ended else "KILLED", {}, {})
    return {"parent": parent} | {uid: as_run(trial) for uid, trial in record.trials.items()}


def test_mlflow_as_it_should_be(record: StudyRecord) -> None:
    assert mlflow_disagreements(record, list(as_runs(record).values()), is_settled=True) == ([], [])
    ended = dataclasses.replace(record, ended=True)
    assert mlflow_disagreements(ended, list(as_runs(ended).values()), is_settled=True) == ([], [])


# What MLflow says otherwise -> the line, and whether it may be a mere delay while a driver is at work.
MISLOGGED: dict[str, tuple[str, dict[str, Any] | None, str, bool]] = {
    "no parent": ("parent", None, "MLflow has 0 parent runs instead of one", False),
    "two parents": ("t0001", {"uid": None}, "MLflow has 2 parent runs instead of one", False),
    "no run": ("t0001", None, "t0001: it has no run", True),
    "two runs": ("t0001", {"uid": "t0000"}, "t0000: 2 runs instead of one", False),
    "a run too many": ("t0001", {"uid": "t0009"}, "t0009: a run of a trial that the journal does not know", False),
    "another parent": ("t0001", {"parent_id": None}, "t0001: its run is not a child of the study's", False),
    "stopped as complete": (
        "t0001", {"state": "complete"}, "t0001: complete in MLflow, stopped in the journal", False
    ),
    "still running": ("t0001", {"state": "running"}, "t0001: running in MLflow, stopped in the journal", True),
    "failed as finished": ("t0002", {"status": "FINISHED"}, "t0002: its run is FINISHED, not FAILED", True),
    "left running": ("t0004", {"status": "RUNNING"}, "t0004: its run is RUNNING, not KILLED", True),
    "a metric left out": ("t0000", {"metrics": {}}, "t0000: view_passes is not in MLflow", True),
    "another number": (
        "t0000", {"metrics": RESULT | {"val_clean": 50.1}},
        "t0000: val_clean is 50.1 in MLflow, 50.0 in the journal", False,
    ),
    "params left out": ("t0001", {"params": {}}, "t0001: the param dataset is not in MLflow", True),
    "the parent left running": ("parent", {"status": "RUNNING"}, "the parent run is RUNNING, not KILLED", True),
}  # fmt: skip


@pytest.mark.parametrize(("uid", "changes", "line", "may_be_delay"), MISLOGGED.values(), ids=MISLOGGED)
def test_what_mlflow_shows_otherwise_is_found(
    record: StudyRecord, uid: str, changes: dict[str, Any] | None, line: str, may_be_delay: bool
) -> None:
    runs = as_runs(record)
    if changes is None:
        del runs[uid]
    else:
        runs[uid] = dataclasses.replace(runs[uid], **changes)
    assert line in mlflow_disagreements(record, list(runs.values()), is_settled=True)[0]
    found, behind = mlflow_disagreements(record, list(runs.values()), is_settled=False)
    assert (line in found) is not may_be_delay
    if may_be_delay and uid != "parent":
        assert uid in behind


def test_a_store_that_has_not_begun_is_behind(record: StudyRecord) -> None:
    assert mlflow_disagreements(record, [], is_settled=False) == ([], list(record.trials))
    assert mlflow_disagreements(record, [], is_settled=True)[0] == ["MLflow has 0 parent runs instead of one"]


def save_results(record: StudyRecord, study_dir: Path) -> None:
    for trial in record.with_state("complete"):
        (study_dir / "trials" / trial.uid).mkdir(parents=True)
        saved = {"config": trial.config, "metrics": trial.metrics}
        (study_dir / "trials" / trial.uid / "result.json").write_text(json.dumps(saved))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "is missing"),
        ("half a fi", "holds no result"),
        ("[]", "holds no result"),
        ('{"metrics": {}}', "holds no result"),
        ({"metrics": {"val_clean": 50.1, "extra": 1}}, "has other values of val_clean, extra"),
        ({"metrics": {"test_clean": float("nan")}}, "has other values of test_clean"),
        ({"config": {"epochs": 99}}, "has other values of config.epochs"),
    ],
)
def test_result_files_that_say_otherwise_are_found(
    record: StudyRecord, tmp_path: Path, content: Any, problem: str
) -> None:
    record.trials["t0003"].metrics["feature_effective_rank"] = None
    save_results(record, tmp_path)
    path = tmp_path / "trials" / "t0003" / "result.json"
    path.write_text(path.read_text().replace('_rank": null', '_rank": NaN'))
    assert file_disagreements(record, tmp_path) == []
    path = tmp_path / "trials" / "t0000" / "result.json"
    if isinstance(content, dict):
        saved = json.loads(path.read_text())
        path.write_text(json.dumps({name: part | content.get(name, {}) for name, part in saved.items()}))
    elif content is None:
        path.unlink()
    else:
        path.write_text(content)
    assert file_disagreements(record, tmp_path) == [f"t0000: trials/t0000/result.json {problem}"]


def write_study(study_dir: Path, spec: StudySpec) -> Path:
    study_dir.mkdir(parents=True)
    events = [event for event in story(spec) if event.get("uid") != "t0004"]
    (study_dir / JOURNAL_NAME).write_text("".join(json.dumps(event) + "\n" for event in events))
    save_results(replay(events), study_dir)
    return study_dir / JOURNAL_NAME


def test_the_command_says_what_agrees(spec: StudySpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(tmp_path / "s", spec)
    assert main([str(tmp_path / "s")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok: journal: order of 33 events",
        "ok: journal: results of 2 trials",
        "ok: journal: 4 configs, none of them run twice",
        "ok: Optuna: states and values of all configurations",
        "ok: rungs: 6 decisions",
        "ok: MLflow: no store, nothing to compare",
        "ok: files: results of complete trials",
    ]
    assert not (tmp_path / "mlflow.db").exists(), "looking changes nothing"


def test_the_command_says_what_does_not(spec: StudySpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = write_study(tmp_path / "s", spec)
    (tmp_path / "s" / "trials" / "t0000" / "result.json").unlink()
    (tmp_path / "mlflow.db").write_text("no database")
    assert main([str(tmp_path / "s")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "wrong: t0000: trials/t0000/result.json is missing" in lines
    assert "wrong: MLflow's store cannot be read: file is not a database" in lines
    assert len([line for line in lines if line.startswith("ok: ")]) == 5
    journal.write_text(journal.read_text().replace('"attempt": 2', '"attempt": 3', 1))
    assert main([str(tmp_path / "s")]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "wrong: line 18, t0000: attempt 3 after attempt 1",
        "note: nothing else was checked, because it depends on this journal",
    ]


def test_a_half_written_last_line_is_a_note(
    spec: StudySpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_study(tmp_path / "s", spec)
    with path.open("a") as file:
        file.write('{"event": "propo')
    assert main([str(tmp_path / "s")]) == 0
    note = "note: the last line of the journal is half-written; resuming the study drops it"
    assert note in capsys.readouterr().out.splitlines()
    with pytest.warns(UserWarning, match="half-written"):
        journal = Journal(tmp_path / "s")
    with path.open("a") as file:
        file.write('{"event": "propo')
    assert main([str(tmp_path / "s")]) == 0
    assert note not in capsys.readouterr().out.splitlines(), "a driver may be writing it now"
    journal.close()


def test_a_spec_of_another_version_is_a_disagreement(
    spec: StudySpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_study(tmp_path / "s", spec)
    path.write_text(path.read_text().replace('"kind": "MoAsha"', '"kind": "Psychic"'))
    assert main([str(tmp_path / "s")]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("wrong: ")]
    (line,) = lines
    assert line.startswith("wrong: this version does not accept the recorded spec: stopping: ")
    assert "'Psychic'" in line and "'MoAsha'" in line


@pytest.mark.parametrize("text", [None, "", '{"event": "created", "ti'])
def test_no_study(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None) -> None:
    if text is not None:
        (tmp_path / JOURNAL_NAME).write_text(text)
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: no study in {tmp_path}: it") and error.count("\n") == 1


def test_a_store_that_is_not_made_yet_is_none(tmp_path: Path) -> None:
    assert read_runs(tmp_path / "s") is None
    (tmp_path / "mlflow.db").touch()
    assert read_runs(tmp_path / "s") is None
    assert (tmp_path / "mlflow.db").stat().st_size == 0
