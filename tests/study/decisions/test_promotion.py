"""Pausing and promoting against the definition, over many orders; every prefix of a journal leads to one study."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driver import NUM_TRAIN_IMAGES, Driver, MakeUp, made_up_numbers, read_events, run_study, story
from optuna.distributions import CategoricalDistribution, FloatDistribution
from test_moasha import rank_by_definition

from study.checks.journal_checks import order_disagreements
from study.checks.projection_checks import optuna_disagreements
from study.checks.promotion_checks import promotion_disagreements
from study.decisions.engine import StudyEngine
from study.decisions.planning import is_spent
from study.record.configurations import configurations, spent
from study.record.front import front_of
from study.record.journal import JOURNAL_NAME, SETTLED, Journal, StudyRecord, apply, read_study, replay
from study.record.trials import tabulate
from study.spec import Budget, Comparison, Confirmation, Factor, PausingMoAsha, Search, StudySpec
from study.trainable import CHECKPOINT_NAME
from study.workers.launch import discard_leftovers
from trainables.trial_config import TrialConfig

MakeSpec = Callable[..., StudySpec]
ORDERS = range(8)
NO_LIMIT = Budget()
FACTORS = (
    Factor(name="num_views", distribution=CategoricalDistribution([2, 4])),
    Factor(name="epochs", distribution=CategoricalDistribution([1, 2, 3])),
    Factor(name="view_scale_min", distribution=FloatDistribution(0.08, 0.5)),
)
REFERENCE = {"num_views": 4, "epochs": 3, "view_scale_min": 0.08}


@pytest.fixture
def pausing(make_spec: MakeSpec) -> Callable[..., StudySpec]:
    """Makes specs of studies that pause at 2,000, 4,000 ... view passes; the longest trials have 12,000."""

    def make(*, eta: int = 2, trials: int = 14, audit: float = 0.0, budget: Budget = NO_LIMIT, **changes: Any) -> Any:
        base = make_spec().base.replace(adversary="none")
        design = Search(trials=trials, sampler="random", budget=budget)
        stopping = PausingMoAsha(first_rung=2, eta=eta, audit=audit)
        return make_spec(**{"base": base, "factors": FACTORS, "design": design, "stopping": stopping} | changes)

    return make


def coarse(config: TrialConfig, milestone: int) -> dict[str, Any]:
    """Numbers of which many are equal."""
    draw = random.Random(f"{config.content_hash()} {milestone}")
    numbers = {"val_clean": float(draw.randint(1, 4)), "val_pgd_8": float(draw.randint(1, 4))}
    return {"milestone": milestone, "view_passes": milestone, "train_pflop": milestone / 1e6} | numbers


class Definition:
    """Promotions by their definition, in plain Python, from the events of a journal."""

    def __init__(self, eta: int) -> None:
        self.eta = eta
        self.rungs: dict[int, dict[str, list[float]]] = {}
        self.paused: dict[str, int] = {}  # uid -> the rung at which it waits
        self.audited: set[str] = set()
        self.reports: dict[tuple[str, int], list[float | None]] = {}

    def best(self, milestone: int) -> list[str]:
        rung = sorted(self.rungs[milestone].items())  # equally good ones by their numbers
        order = rank_by_definition(np.array([values for _, values in rung]), [True, True])
        return [rung[index][0] for index in order[: len(order) // self.eta]]

    def promotable(self, also: str | None = None, at: int = 0) -> str | None:
        waiting = self.paused | ({also: at} if also is not None else {})
        for milestone in sorted(set(waiting.values()), reverse=True):
            for uid in self.best(milestone):
                if waiting.get(uid) == milestone:
                    return uid
        return None

    def take(self, event: dict[str, Any]) -> None:
        """Checks an event against what must follow from those before it, and takes it in."""
        uid = event.get("uid", "")
        match event["event"]:
            case "reported":
                values = [event["metrics"].get(name) for name in ("val_clean", "val_pgd_8")]
                self.reports[uid, event["metrics"]["milestone"]] = values
            case "decided":
                self._decided(uid, event["milestone"], event["decision"], event["reason"])
            case "paused":
                assert uid not in self.paused
                self.paused[uid] = self.pausing.pop(uid)
            case "promoted" if not event.get("to_end"):
                assert uid == self.promotable() and self.paused[uid] == event["milestone"]
                del self.paused[uid]
            case "promoted":
                del self.paused[uid]
            case "proposed" if event.get("purpose", "search") == "search":
                assert self.promotable() is None, "a free worker first promotes"

    pausing: dict[str, int]

    def _decided(self, uid: str, milestone: int, decision: str, reason: str) -> None:
        values = self.reports[uid, milestone]
        if uid in self.audited:
            assert (decision, reason) == ("continue", "audited")
            return
        if None in values:
            expected = {"stop", "audit"}
        else:
            self.rungs.setdefault(milestone, {})[uid] = [float(value) for value in values if value is not None]
            goes_on = self.promotable(uid, milestone) == uid
            expected = {"continue"} if goes_on else {"pause", "audit"}
        assert decision in ({"continue"} if reason.startswith("reference") else expected)
        if decision == "pause":
            self.pausing = getattr(self, "pausing", {}) | {uid: milestone}
        if decision == "audit":
            self.audited.add(uid)


def check_against_definition(study_dir: Path, eta: int) -> Definition:
    definition = Definition(eta)
    for event in read_events(study_dir):
        definition.take(event)
    return definition


@pytest.mark.parametrize("made_up", [made_up_numbers, coarse])
@pytest.mark.parametrize("eta", [2, 3])
def test_promotions_are_those_of_the_definition(
    pausing: Callable[..., StudySpec], tmp_path: Path, eta: int, made_up: MakeUp
) -> None:
    counts: Counter[str] = Counter()
    for order_seed in ORDERS:
        study_dir = tmp_path / str(order_seed)
        spec = pausing(eta=eta, audit=0.5 * (order_seed % 2), references=(REFERENCE,) if order_seed % 3 == 0 else ())
        run_study(study_dir, spec, concurrency=1 + order_seed % 4, order_seed=order_seed, made_up=made_up)
        definition = check_against_definition(study_dir, eta)
        assert definition.promotable() is None, "at the end nothing that may go on is left"
        record = read_study(study_dir)
        assert record.ended and len(record.trials) == 14 and {t.state for t in record.trials.values()} <= set(SETTLED)
        assert {t.uid for t in record.with_state("paused")} == set(definition.paused), "no trial is lost"
        for milestone in definition.rungs:
            assert not set(definition.best(milestone)) & {u for u, at in definition.paused.items() if at == milestone}
        for trial in record.with_state("stopped"):
            assert trial.decisions[-1]["reason"].startswith("not finite")
        events = read_events(study_dir)
        assert order_disagreements(events) == promotion_disagreements(events, spec) == []
        assert optuna_disagreements(record, spec) == []
        counts.update(event["event"] for event in events)
        counts.update(trial.state for trial in record.trials.values())
    assert min(counts["paused"], counts["promoted"], counts["complete"]) > 10, counts


def test_the_best_of_the_highest_rung_goes_first(pausing: Callable[..., StudySpec], tmp_path: Path) -> None:
    engine = StudyEngine(Journal(tmp_path), pausing(trials=40), 0, NUM_TRAIN_IMAGES)

    def report(uid: str, milestone: int, value: float) -> bool:
        metrics = {"milestone": milestone, "view_passes": milestone, "val_clean": value, "val_pgd_8": value}
        goes_on = engine.report(uid, metrics)
        if not goes_on:
            engine.stop(uid)
        return goes_on

    def start() -> str:
        assignment = engine.next_assignment()
        assert assignment is not None
        return assignment.uid

    a, b, c, d, e, f = (start() for _ in range(6))
    assert not report(a, 2000, 50.0), "one of two may go on, and there is but one"
    assert report(b, 2000, 60.0)
    assert not report(c, 2000, 55.0), "one of three, and that is b"
    assert report(d, 2000, 70.0)
    assert not report(e, 2000, 10.0)
    assert not report(f, 2000, 5.0), "three of six: c goes on before it"
    assert engine.record.trials[c].state == "paused", "no worker has asked yet"
    assert not report(b, 4000, 60.0)
    assert not report(d, 4000, 40.0), "on the second rung, b goes on before it"
    assert [start(), start(), start()] == [b, c, "t0006"], "the higher rung, the lower one, a new config"
    assert engine.record.trials[b].attempts == engine.record.trials[c].attempts == 2
    events = [event for event in read_events(tmp_path) if event["event"] == "promoted"]
    assert [(event["uid"], event["milestone"]) for event in events] == [(b, 4000), (c, 2000)]


def test_every_prefix_of_a_journal_leads_to_the_same_study(pausing: Callable[..., StudySpec], tmp_path: Path) -> None:
    """A kill -9 between any two lines, as between decision and pause, or promotion and launch."""
    spec = pausing(trials=9, audit=0.3, references=(REFERENCE,), seeds=(0, 1), confirmation=Confirmation(runs=1))
    run_study(tmp_path / "whole", spec)
    lines = (tmp_path / "whole" / JOURNAL_NAME).read_text().splitlines(keepends=True)
    whole = story([json.loads(line) for line in lines])
    assert {"paused", "promoted"} <= {event["event"] for event in whole}
    for count in range(1, len(lines) + 1):
        driver = resumed(tmp_path / f"cut{count}", lines[:count], spec)
        assert story(read_events(driver.study_dir)) == whole, f"after {lines[count - 1]}"


def test_every_prefix_of_a_journal_of_parallel_trials_goes_on(
    pausing: Callable[..., StudySpec], tmp_path: Path
) -> None:
    spec = pausing(trials=10)
    run_study(tmp_path / "whole", spec, concurrency=3)
    lines = (tmp_path / "whole" / JOURNAL_NAME).read_text().splitlines(keepends=True)
    for count in range(1, len(lines) + 1):
        study_dir = tmp_path / f"cut{count}"
        driver = resumed(study_dir, lines[:count], spec, concurrency=3)
        record, events = read_study(study_dir), read_events(study_dir)
        assert (study_dir / JOURNAL_NAME).read_text().startswith("".join(lines[:count]))
        assert driver.engine.is_complete() and len(record.trials) == 10
        assert order_disagreements(events) == promotion_disagreements(events, spec) == []
        assert check_against_definition(study_dir, 2).promotable() is None
        for trial in record.trials.values():
            assert len({report["milestone"] for report in trial.reports}) == len(trial.decisions)


def resumed(study_dir: Path, lines: list[str], spec: StudySpec, *, concurrency: int = 1) -> Driver:
    study_dir.mkdir()
    (study_dir / JOURNAL_NAME).write_text("".join(lines))
    return run_study(study_dir, spec, concurrency=concurrency)


@pytest.mark.parametrize("window", [2, 4])
def test_a_window_makes_promotions_independent_of_who_is_faster(
    pausing: Callable[..., StudySpec], tmp_path: Path, window: int
) -> None:
    spec = pausing(trials=16, window=window, audit=0.1, budget=Budget(spent={"train_pflop": 0.25}), seeds=(0, 1))
    found = []
    for order_seed in ORDERS:
        study_dir = tmp_path / str(order_seed)
        driver = run_study(study_dir, spec, concurrency=1 + order_seed % 4, order_seed=order_seed)
        assert driver.most_at_a_time <= window
        events, record = read_events(study_dir), read_study(study_dir)
        assert order_disagreements(events) == promotion_disagreements(events, spec) == []
        begun = [(e["event"], e["uid"], e.get("params")) for e in events if e["event"] in ("proposed", "promoted")]
        decided = {uid: [(d["milestone"], d["decision"], d["reason"]) for d in trial.decisions]
                   for uid, trial in record.trials.items()}  # fmt: skip
        found.append((begun, decided, {uid: trial.state for uid, trial in record.trials.items()}))
    assert any(kind == "promoted" for kind, *_ in found[0][0])
    assert all(one == found[0] for one in found)


def test_without_a_window_the_order_matters(pausing: Callable[..., StudySpec], tmp_path: Path) -> None:
    stories = []
    for order_seed in range(4):
        run_study(tmp_path / str(order_seed), pausing(), concurrency=3, order_seed=order_seed)
        decisions = read_study(tmp_path / str(order_seed)).decisions
        stories.append({(d["uid"], d["milestone"]): d["decision"] for d in decisions})
    assert any(one != stories[0] for one in stories)


def test_further_seeds_are_for_what_ran_to_its_end(pausing: Callable[..., StudySpec], tmp_path: Path) -> None:
    spec = pausing(trials=24, seeds=(0, 1, 2), confirmation=Confirmation(runs=2, settings={}))
    driver = run_study(tmp_path, spec, concurrency=3, made_up=coarse)
    record = read_study(tmp_path)
    states = Counter(one.state for one in configurations(record, 3))
    assert states["paused"] > 2 and states["complete"] > 2
    for one in configurations(record, 3):
        assert len(one.trials) == (3 if one.trials[0].state == "complete" else 1)
        assert all(not trial.decisions for trial in one.trials[1:])
    assert len([t for t in record.trials.values() if t.purpose == "confirmation"]) == 2
    assert driver.engine.num_planned == len(record.trials)


def test_arms_of_a_comparison_are_never_paused(pausing: Callable[..., StudySpec], tmp_path: Path) -> None:
    arms = {"few": {"num_views": 2, "epochs": 3}, "many": {"num_views": 4, "epochs": 3}}
    comparison = Comparison(arms=arms, given={"view_scale_min": 0.2}, pairs=3)
    run_study(tmp_path, pausing(compares=comparison), concurrency=3)
    compared = [t for t in read_study(tmp_path).trials.values() if t.purpose == "comparison"]
    assert len(compared) == 6 and not any(trial.decisions or trial.paused_at for trial in compared)


def test_what_paused_trials_spent_counts_and_a_spent_budget_promotes_nobody(
    pausing: Callable[..., StudySpec], tmp_path: Path
) -> None:
    budget = Budget(spent={"train_pflop": 0.1})
    run_study(tmp_path, pausing(trials=200, budget=budget), concurrency=2)
    record = read_study(tmp_path)
    paused = record.with_state("paused")
    assert paused and is_spent(record, budget, "") and len(record.trials) < 200
    assert all(spent(trial, "train_pflop", "") == trial.reports[-1]["train_pflop"] for trial in paused)
    before = StudyRecord()
    events = read_events(tmp_path)
    for event in events:
        if event["event"] in ("proposed", "promoted"):
            assert not is_spent(before, budget, "")
        apply(before, event)


def test_more_trials_or_a_wish_finish_what_is_paused(pausing: Callable[..., StudySpec], tmp_path: Path) -> None:
    run_study(tmp_path, pausing(), made_up=coarse)
    before = read_events(tmp_path)
    few = {trial.uid for trial in read_study(tmp_path).with_state("paused")}
    run_study(tmp_path, pausing(trials=28), made_up=coarse)
    after, record = read_events(tmp_path), read_study(tmp_path)
    assert after[: len(before)] == before
    assert any(e["event"] == "promoted" and e["uid"] in few for e in after[len(before) :])
    assert check_against_definition(tmp_path, 2).promotable() is None
    paused = [trial.uid for trial in record.with_state("paused")]
    driver = run_study(tmp_path, pausing(trials=28), made_up=coarse, finishes_paused=True)
    assert [assignment.uid for assignment in driver.assigned] == paused
    assert all(assignment.milestones == [] for assignment in driver.assigned)
    record, events = read_study(tmp_path), read_events(tmp_path)
    assert not record.with_state("paused") and record.ended
    assert order_disagreements(events) == promotion_disagreements(events, pausing(trials=28)) == []


def test_finishing_goes_on_after_a_kill(pausing: Callable[..., StudySpec], tmp_path: Path) -> None:
    spec = pausing(seeds=(0, 1))
    run_study(tmp_path / "whole", spec, finishes_paused=True)
    lines = (tmp_path / "whole" / JOURNAL_NAME).read_text().splitlines(keepends=True)
    whole = story([json.loads(line) for line in lines])
    begun = next(number for number, line in enumerate(lines) if '"to_end"' in line)
    for count in range(begun, len(lines) + 1):
        study_dir = tmp_path / f"cut{count}"
        study_dir.mkdir()
        (study_dir / JOURNAL_NAME).write_text("".join(lines[:count]))
        run_study(study_dir, spec, finishes_paused=True)
        assert story(read_events(study_dir)) == whole


def test_a_paused_trial_is_on_no_front_and_shows_its_reports(pausing: Callable[..., StudySpec], tmp_path: Path) -> None:
    run_study(tmp_path, pausing())
    record = read_study(tmp_path)
    paused = record.with_state("paused")
    assert paused and not {trial.uid for trial in paused} & {t.uid for one in front_of(record) for t in one.trials}
    frame = tabulate(record).frame.set_index("uid")
    for trial in paused:
        assert trial.reports and trial.metrics == {} and trial.reason == trial.decisions[-1]["reason"]
        assert frame.loc[trial.uid, "state"] == "paused" and frame.loc[trial.uid].isna()["val_clean"]


def test_what_is_trained_once_more_is_spent_twice_and_counts_once(
    pausing: Callable[..., StudySpec], tmp_path: Path
) -> None:
    """A trainable without a checkpoint starts afresh; the result costs what it costs, the ledger has both."""
    costs = {}
    for keeps in (True, False):
        study_dir = tmp_path / str(keeps)
        run_study(study_dir, pausing(trials=24), made_up=coarse, has_checkpoint=lambda uid, keeps=keeps: keeps)
        record = read_study(study_dir)
        costs[keeps] = {uid: spent(trial, "train_pflop", "") for uid, trial in record.trials.items()}
        promoted = [t for t in record.with_state("complete") if t.paused_at]
        assert promoted
        for trial in promoted:
            at_pauses = [trial.reports[index]["train_pflop"] for index in trial.repeated]
            assert len(at_pauses) == (0 if keeps else len(trial.paused_at))
            assert costs[keeps][trial.uid] == pytest.approx(trial.metrics["train_pflop"] + sum(at_pauses))
            milestones = [report["milestone"] for report in trial.reports]
            assert milestones == sorted(set(milestones))
    assert sum(costs[False].values()) > sum(costs[True].values())


def test_a_trial_that_comes_again_to_the_rungs_it_has_passed_goes_on(
    pausing: Callable[..., StudySpec], tmp_path: Path
) -> None:
    """One that starts afresh and reports everything again: nothing is written twice, nothing stops it."""
    engine = StudyEngine(Journal(tmp_path), pausing(), 0, NUM_TRAIN_IMAGES)
    metrics = {"milestone": 2000, "view_passes": 2000, "val_clean": 5.0, "val_pgd_8": 5.0}
    uids = [a.uid for a in (engine.next_assignment(), engine.next_assignment()) if a is not None]
    assert not engine.report(uids[0], metrics)
    assert not engine.report(uids[0], metrics), "asked again before its worker has ended"
    engine.stop(uids[0])
    assert not engine.report(uids[1], metrics | {"val_clean": 1.0, "val_pgd_8": 1.0})
    engine.stop(uids[1])
    assignment = engine.next_assignment()
    assert assignment is not None and assignment.uid == uids[0] and 2000 not in assignment.milestones
    before = (tmp_path / JOURNAL_NAME).read_bytes()
    assert engine.report(uids[0], metrics | {"val_clean": 0.0})
    assert (tmp_path / JOURNAL_NAME).read_bytes() == before


def test_a_worker_that_dies_after_the_decision_to_pause_changes_nothing(
    pausing: Callable[..., StudySpec], tmp_path: Path
) -> None:
    engine = StudyEngine(Journal(tmp_path), pausing(), 0, NUM_TRAIN_IMAGES)
    assignment = engine.next_assignment()
    assert assignment is not None
    metrics = {"milestone": 2000, "view_passes": 2000, "val_clean": 5.0, "val_pgd_8": 5.0}
    assert not engine.report(assignment.uid, metrics)
    engine.requeue(assignment.uid)
    assert engine.record.trials[assignment.uid].state == "paused"
    following = engine.next_assignment()
    assert following is not None and following.uid == "t0001"


def test_checkpoints_of_paused_trials_are_kept(pausing: Callable[..., StudySpec], tmp_path: Path) -> None:
    spec = pausing()
    run_study(tmp_path, spec)
    engine = StudyEngine(Journal(tmp_path), spec, 0, NUM_TRAIN_IMAGES)
    for uid in engine.record.trials:
        (tmp_path / "trials" / uid).mkdir(parents=True)
        (tmp_path / "trials" / uid / CHECKPOINT_NAME).touch()
    discard_leftovers(engine, tmp_path)
    paused = {trial.uid for trial in engine.record.with_state("paused")}
    assert paused and {path.parent.name for path in tmp_path.glob("trials/*/*")} == paused


def test_an_old_reader_takes_no_harm(pausing: Callable[..., StudySpec], tmp_path: Path) -> None:
    """Readers ignore events of unknown kinds; to one that does not know pauses, paused trials are still running."""
    run_study(tmp_path, pausing())
    unknown = ("paused", "promoted")
    old = replay(event for event in read_events(tmp_path) if event["event"] not in unknown)
    new = read_study(tmp_path)
    assert [trial.uid for trial in old.with_state("complete")] == [trial.uid for trial in new.with_state("complete")]
    assert {trial.uid for trial in old.with_state("running")} == {trial.uid for trial in new.with_state("paused")}
