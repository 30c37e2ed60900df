"""Paused trials in all that follows from a journal: checks, status, the terminal, MLflow, the report, the options."""

import dataclasses
import io
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driver import Driver, read_events, run_study
from optuna.distributions import CategoricalDistribution, FloatDistribution
from rich.console import Console

from reports.build import build_report
from reports.effects.learning_curves import curves_info
from reports.page.running import running_note
from study.checks.journal_checks import order_disagreements
from study.checks.projection_checks import mlflow_disagreements
from study.checks.promotion_checks import paused_without_checkpoint, promotion_disagreements
from study.display.progress import ProgressDisplay
from study.record.configurations import spent
from study.record.hypervolume import stages
from study.record.journal import Event, StudyRecord, read_study
from study.record.metrics import objectives_of
from study.record.trials import tabulate
from study.spec import Factor, MoAsha, NoStopping, PausingMoAsha, Search, StudySpec
from study.spec.options import requested_spec, study_parser
from study.spec.stopping import STOPPING
from study.status import read_status, render
from study.tracking.growth import Growth
from study.tracking.projection import MlflowProjection
from study.tracking.runs import read_runs
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

SPEC = StudySpec(
    name="pausing",
    question="Who goes on?",
    base=TrialConfig(**LAPTOP, eval_losses=("cross_entropy",)).replace(adversary="none"),
    factors=(
        Factor(name="num_views", distribution=CategoricalDistribution([2, 4])),
        Factor(name="epochs", distribution=CategoricalDistribution([2, 3])),
        Factor(name="view_scale_min", distribution=FloatDistribution(0.08, 0.5)),
    ),
    design=Search(trials=12, sampler="random"),
    stopping=PausingMoAsha(first_rung=2, eta=2),
)
Damage = Callable[[list[Event]], Any]


def made_up(config: TrialConfig, milestone: int) -> dict[str, Any]:
    draw = random.Random(f"{config.content_hash()} {milestone}")
    numbers = {"val_clean": draw.uniform(10, 90), "val_pgd_8": draw.uniform(0, 40), "val_n": 500}
    return {"milestone": milestone, "view_passes": milestone, "train_pflop": milestone / 1e6} | numbers


@pytest.fixture(scope="module")
def study_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that has ended with paused trials, one of which was promoted before."""
    study_dir = tmp_path_factory.mktemp("runs") / "pausing"
    run_study(study_dir, SPEC, concurrency=2, made_up=made_up)
    return study_dir


@pytest.fixture
def record(study_dir: Path) -> StudyRecord:
    record = read_study(study_dir)
    assert record.with_state("paused") and any(t.paused_at for t in record.with_state("complete"))
    return record


@pytest.fixture
def events(study_dir: Path) -> list[Event]:
    return read_events(study_dir)


def first(events: list[Event], kind: str, **fields: Any) -> int:
    return next(n for n, event in enumerate(events) if event["event"] == kind and fields.items() <= event.items())


def again_after_pause(events: list[Event]) -> None:
    index = first(events, "paused")
    events.insert(index + 1, events[index - 1] | {"event": "launched", "attempt": 2})


DISORDER: dict[str, tuple[Damage, str]] = {
    "not paused": (lambda events: events.pop(first(events, "paused")), r"after the decision to pause it"),
    "paused without a decision": (
        lambda events: events.insert(first(events, "reported"), events[first(events, "paused")] | {"uid": "t0000"}),
        r"t0000: paused without a decision to pause it",
    ),
    "goes on without a promotion": (lambda events: events.pop(first(events, "promoted")), r"'launched' while it was"),
    "runs on": (again_after_pause, r"'launched' while it was paused"),
    "promoted twice": (
        lambda events: events.insert(first(events, "promoted"), events[first(events, "promoted")]),
        r"promoted while it was not paused",
    ),
    "promoted elsewhere": (
        lambda events: events[first(events, "promoted")].update(milestone=7), r"promoted at 7, and paused at"
    ),
    "stopped instead": (
        lambda events: events[first(events, "decided", decision="pause")].update(decision="stop"),
        r"'paused' after the decision to stop it",
    ),
    "finished while paused": (
        lambda events: events.insert(
            first(events, "paused") + 1, events[first(events, "paused")] | {"event": "finished", "state": "complete"}
        ),
        r"'finished' while it was paused",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "line"), DISORDER.values(), ids=DISORDER)
def test_what_cannot_have_happened_is_found(events: list[Event], damage: Damage, line: str) -> None:
    assert order_disagreements(events) == []
    damage(events)
    assert re.search(line, order_disagreements(events)[0])


def test_another_promotion_than_that_of_the_rule_is_found(events: list[Event]) -> None:
    assert promotion_disagreements(events, SPEC) == []
    place = first(events, "promoted")
    promoted = events[place]["uid"]
    report = next(e for e in reversed(events[:place]) if e["event"] == "reported" and e["uid"] == promoted)
    report["metrics"] = report["metrics"] | {"val_clean": 0.0, "val_pgd_8": 0.0}
    found = promotion_disagreements(events, SPEC)
    assert any(line.startswith(f"{promoted}: promoted, the reports lead to") for line in found)


def test_another_decision_than_that_of_the_rule_is_found(events: list[Event]) -> None:
    place = first(events, "decided", decision="pause")
    uid, milestone = events[place]["uid"], events[place]["milestone"]
    events[place]["decision"] = "continue"
    line = f"{uid}: 'continue' at {milestone:,} view passes, the reports lead to 'pause'"
    assert line in promotion_disagreements(events, SPEC)


def test_a_new_trial_in_the_place_of_a_promotion_is_found(events: list[Event]) -> None:
    place = first(events, "promoted")
    new = next(e for e in events[place:] if e["event"] == "proposed")
    found = promotion_disagreements([*events[:place], new], SPEC)
    assert found == [f"{new['uid']}: proposed while {events[place]['uid']} could have gone on"]


def test_paused_trials_without_a_checkpoint_are_named(record: StudyRecord) -> None:
    paused = record.with_state("paused")
    uids = [trial.uid for trial in paused]
    assert paused_without_checkpoint(paused, uids) == []
    (note,) = paused_without_checkpoint(paused, uids[1:])
    assert note == f"no checkpoint of {uids[0]}: paused, and would start afresh if promoted"


def test_mlflow_shows_paused_runs_as_scheduled_until_they_go_on(tmp_path: Path) -> None:
    driver = Driver(tmp_path / "pausing", SPEC, concurrency=2, made_up=made_up)
    driver.run()
    for finishes in (False, True):
        if finishes:
            driver = Driver(tmp_path / "pausing", SPEC, made_up=made_up, finishes_paused=True)
            driver.run()
        with MlflowProjection(driver.journal.record, driver.study_dir, None) as projection:
            pass
        assert projection.error is None, projection.problem()
        runs = read_runs(driver.study_dir)
        assert runs is not None
        record = driver.journal.record
        statuses = {run.uid: run.status for run in runs}
        for trial in record.trials.values():
            expected = {"complete": "FINISHED", "paused": "SCHEDULED"}[trial.state]
            assert statuses[trial.uid] == expected
            run = next(run for run in runs if run.uid == trial.uid)
            assert run.metrics["val_clean"] == (trial.metrics or trial.reports[-1])["val_clean"]
        assert mlflow_disagreements(record, runs, is_settled=True) == ([], [])
        driver.close()
    assert not record.with_state("paused")
    wrong = [run if run.uid != "t0000" else type(run)(**{**vars(run), "status": "SCHEDULED"}) for run in runs]
    assert mlflow_disagreements(record, wrong, is_settled=True)[0] == ["t0000: its run is SCHEDULED, not FINISHED"]


def test_what_paused_trials_cost_is_in_every_sum(record: StudyRecord) -> None:
    total = sum(spent(trial, "train_pflop", "") for trial in record.trials.values())
    *_, last = stages(record, objectives_of(record), tabulate(record).metric("train_pflop"), "")
    assert last.spent == pytest.approx(total)
    news = [points for points in Growth(record).news()]
    assert len(news) == len(record.with_state("complete"))
    ended = max(trial.ended_at or 0.0 for trial in record.with_state("complete"))
    later = [t for t in record.with_state("paused") if t.reported_at[-1] > ended]
    found = {point.name: point.value for point in news[-1]}["spent/train_pflop"]
    assert found == pytest.approx(total - sum(t.reports[-1]["train_pflop"] for t in later if len(t.reports) == 1))


def test_status_and_summary_say_what_is_paused(study_dir: Path, record: StudyRecord, tmp_path: Path) -> None:
    num_paused, num_complete = len(record.with_state("paused")), len(record.with_state("complete"))
    console = Console(file=io.StringIO(), width=200)
    console.print(render(read_status(study_dir)))
    assert f"{num_complete} complete, 0 stopped, 0 failed, {num_paused} paused;" in console.file.getvalue()  # type: ignore[attr-defined]
    driver = Driver(tmp_path, SPEC, concurrency=2, made_up=made_up)
    shown = Console(file=io.StringIO(), width=60)
    display = ProgressDisplay(driver.engine, 1, shown)
    driver.engine.on_event = display.on_event
    driver.run()
    display.print_summary()
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    paused = len(driver.engine.record.with_state("paused"))
    how = "more --trials may continue them, --finish-paused runs them to their end"
    assert f"{paused} are paused: {how}." in text
    assert re.search(r"t00\d\d rung: pause, place \d of \d+ at 2,000 view passes", text)
    assert re.search(r"t00\d\d goes on: place 1 of 2\n", text)
    driver.close()


def test_the_report_shows_paused_trials_and_no_front_has_one(study_dir: Path, record: StudyRecord) -> None:
    table = tabulate(record)
    paused = {trial.uid for trial in record.with_state("paused")}
    assert not paused & set(table.front["uid"])
    drawn = {curve.uid for measured in curves_info(table, {}) for curve in measured.curves}
    assert paused <= drawn, "their reports at rungs are curves"
    page = build_report(study_dir).read_text(encoding="utf-8")
    assert f"{len(paused)} paused ones end in a square." in page
    assert f"0 trials were stopped and {len(paused)} are paused" in page
    assert page.count('class="state paused"') >= len(paused)


def options(*words: str) -> StudySpec:
    from study.spec.options import StudyCommand

    given = vars(study_parser().parse_args(["--space", "crops_vs_epochs", *words]))
    for name in ("list_spaces", "dry_run"):
        del given[name]
    return requested_spec(StudyCommand(**given))


def test_the_option_stopping_chooses_to_stop_or_to_pause(tmp_path: Path) -> None:
    space = "search_spaces/tradeoff.py"

    def stopping(*words: str) -> Any:
        return options("--space", space, *words).stopping

    assert type(stopping()) is MoAsha
    assert type(stopping("--stopping", "pausing")) is PausingMoAsha
    assert stopping("--stopping", "pausing", "--audit", "0.1").audit == 0.1
    assert stopping("--stopping", "pausing").compared == stopping().compared
    assert type(stopping("--stopping", "none")) is NoStopping
    assert {name for name, rule in STOPPING.items() if rule.pauses} == {"pausing"}
    assert options("--space", space, "--stopping", "pausing", "--finish-paused").stopping.pauses
    with pytest.raises(ValueError, match="--finish-paused is for a study that pauses trials: stopping=MoAsha"):
        options("--space", space, "--finish-paused")
    spec = options("--space", space, "--stopping", "pausing")
    assert type(StudySpec.recorded(spec.model_dump(mode="json")).stopping) is PausingMoAsha


def test_the_page_of_a_running_study_counts_paused_trials(study_dir: Path, record: StudyRecord) -> None:
    status = dataclasses.replace(read_status(study_dir), is_driven=True)
    num_paused, num_complete = len(record.with_state("paused")), len(record.with_state("complete"))
    assert f"{num_complete} have ended, {num_paused} are paused, 0 wait;" in running_note(status)
