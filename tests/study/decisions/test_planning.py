"""What a study runs next: seeds, budgets, constraints, confirmations, audits, a fixed order. Metrics are made up."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from driver import Driver, read_events, run_study, story
from optuna.distributions import CategoricalDistribution, IntDistribution

from study.decisions.optuna_search import as_optuna_study
from study.decisions.planning import end_of_search
from study.record.configurations import configurations
from study.record.identity import require_same_study
from study.record.journal import JOURNAL_NAME, Journal, StudyRecord, read_study
from study.record.plateau import front_gain
from study.spec import (
    Budget,
    Confirmation,
    Constraint,
    Factor,
    Grid,
    MoAsha,
    Objective,
    Plateau,
    RayAsha,
    Search,
    StudySpec,
)
from study.trainable import trainable_of
from trainables.trial_config import TrialConfig

MakeSpec = Callable[..., StudySpec]
FACTORS = (
    Factor(name="num_views", distribution=CategoricalDistribution([2, 4, 8])),
    Factor(name="epochs", distribution=CategoricalDistribution([2, 3, 4])),
)


def steady(config: TrialConfig, milestone: int) -> dict[str, Any]:
    """More views are better and cost more; seeds differ by a little."""
    noise = random.Random(f"{config.content_hash()}").uniform(-1, 1)
    clean = 40 + 3 * config.num_views + config.epochs + noise
    numbers = {"milestone": milestone, "view_passes": milestone, "train_pflop": milestone / 1e6}
    return numbers | {"val_clean": clean, "val_pgd_8": clean / 2, "val_n": 500}


# Seeds.


def test_every_configuration_is_run_with_every_seed(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(factors=FACTORS, design=Grid(), seeds=(0, 5, 2))
    driver = run_study(tmp_path, spec, concurrency=3, seed=10, made_up=steady)
    record = read_study(tmp_path)
    assert driver.engine.num_planned == len(record.trials) == 9 * 3
    for configuration in configurations(record, 3):
        assert [trial.seed for trial in configuration.trials] == [10, 15, 12]
        assert len({trial.config["num_views"] for trial in configuration.trials}) == 1


def test_further_seeds_are_for_what_survived_the_first(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(factors=FACTORS, design=Grid(), seeds=(0, 1), stopping=MoAsha(first_rung=2, eta=3))
    driver = run_study(tmp_path, spec, concurrency=3)
    record = read_study(tmp_path)
    states = Counter(configuration.state for configuration in configurations(record, 2))
    assert states["stopped"] > 0 and states["complete"] > 0
    for configuration in configurations(record, 2):
        first, *rest = configuration.trials
        assert (len(rest) == 1) == (first.state == "complete")
    assert driver.engine.num_planned == len(record.trials)


@pytest.mark.parametrize("order_seed", range(5))
def test_rungs_decide_about_first_seeds_alone(make_spec: MakeSpec, tmp_path: Path, order_seed: int) -> None:
    """At the rungs further seeds and confirmations would compete with their own equals, and most would be stopped."""
    spec = make_spec(
        factors=FACTORS,
        design=Grid(),
        seeds=(0, 1, 2),
        stopping=MoAsha(first_rung=2, eta=3, audit=0.3),
        confirmation=Confirmation(runs=3, settings={}),
    )
    driver = run_study(tmp_path, spec, concurrency=3, order_seed=order_seed, made_up=steady)
    record = read_study(tmp_path)
    assert len({trial.purpose for trial in record.trials.values()}) == 2
    for assignment in driver.assigned:
        trial = record.trials[assignment.uid]
        is_first = trial.purpose == "search" and trial.seed == 0
        assert bool(assignment.milestones) == bool(trial.decisions) == is_first
    for configuration in configurations(record, 3):
        assert configuration.state == configuration.trials[0].state


def test_seeds_are_told_to_optuna_as_one_mean(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(factors=FACTORS, design=Search(trials=3, sampler="random"), seeds=(0, 1))
    run_study(tmp_path, spec, made_up=steady)
    record = read_study(tmp_path)
    told = as_optuna_study(record, spec).trials
    assert len(told) == 3 and len(record.trials) == 6
    for trial, configuration in zip(told, configurations(record, 2), strict=True):
        values = [seed.metrics["val_clean"] for seed in configuration.trials]
        assert values[0] != values[1]
        assert trial.values[0] == pytest.approx(sum(values) / 2)


def test_more_seeds_extend_a_study(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(factors=FACTORS, design=Grid())
    run_study(tmp_path, spec, made_up=steady)
    before = (tmp_path / JOURNAL_NAME).read_text()
    more = make_spec(factors=FACTORS, design=Grid(), seeds=(0, 1))
    driver = run_study(tmp_path, more, made_up=steady)
    assert (tmp_path / JOURNAL_NAME).read_text().startswith(before)
    assert [assignment.config.seed for assignment in driver.assigned] == [1] * 9


# Budgets and constraints.


@pytest.mark.parametrize("budget", [Budget(spent={"view_passes": 300_000}), Budget(spent={"train_pflop": 0.3})])
def test_a_spent_budget_ends_the_search(make_spec: MakeSpec, tmp_path: Path, budget: Budget) -> None:
    spec = make_spec(design=Search(trials=200, sampler="random", budget=budget))
    driver = run_study(tmp_path, spec)
    trials = list(read_study(tmp_path).trials.values())
    spent = [trial.metrics.get("view_passes", 0) for trial in trials]
    assert sum(spent) >= 300_000 > sum(spent[:-1])
    assert driver.engine.num_planned == len(trials) < 200 and driver.engine.record.ended


def test_the_cost_of_stopped_trials_is_spent_too(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(
        design=Search(trials=500, sampler="random", budget=Budget(spent={"view_passes": 300_000})),
        stopping=MoAsha(first_rung=2, eta=2),
    )
    run_study(tmp_path, spec)
    record = read_study(tmp_path)
    spent = [t.metrics.get("view_passes") or (t.reports[-1]["view_passes"] if t.reports else 0)
             for t in record.trials.values()]  # fmt: skip
    assert any(trial.state == "stopped" for trial in record.trials.values())
    assert sum(spent) >= 300_000 > sum(spent[:-1])


def test_begun_configurations_get_their_seeds_whatever_the_budget(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Or they would be neither complete nor comparable."""
    design = Search(trials=20, sampler="random", budget=Budget(spent={"train_pflop": 1e-9}))
    run_study(tmp_path, make_spec(design=design, factors=FACTORS, seeds=(0, 1, 2)), made_up=steady)
    (only,) = configurations(read_study(tmp_path), 3)
    assert only.state == "complete" and len(only.trials) == 3


def test_hours_count_while_a_driver_is_there(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(design=Search(trials=10, sampler="random", budget=Budget(hours=1)))
    journal = Journal(tmp_path)
    journal.write("created", study="s", spec={}, environment={})
    record = journal.record
    assert record.last_event_at is not None
    for kind, hours in (("a", 0.4), ("resumed", 30.0), ("b", 0.5), ("ended", 40.0)):
        record.last_event_at -= 3600 * hours
        journal.write(kind, spec={}, environment={})
    assert record.active_seconds == pytest.approx(0.9 * 3600, abs=5)
    journal.close()
    assert Driver(tmp_path, spec).engine.next_assignment() is not None


def test_optuna_knows_which_results_break_a_constraint(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(
        factors=FACTORS,
        design=Search(trials=9, sampler="random"),
        constraints=(Constraint("train_pflop", at_most=0.05),),
    )
    run_study(tmp_path, spec, made_up=steady)
    told = as_optuna_study(read_study(tmp_path), spec)
    for trial in told.trials:
        assert trial.constraints == {"train_pflop": pytest.approx(trial.values[2] - 0.05)}
    feasible = {trial.values[2] <= 0.05 for trial in told.trials}
    assert feasible == {True, False}
    assert all(trial.values[2] <= 0.05 for trial in told.best_trials)


# Exclusions.


def test_a_grid_leaves_out_what_is_excluded_and_keeps_to_it(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(factors=FACTORS, design=Grid(), excluded=("num_views * epochs > 12",))
    driver = run_study(tmp_path, spec, made_up=steady)
    record = read_study(tmp_path)
    run = {(trial.params["num_views"], trial.params["epochs"]) for trial in record.trials.values()}
    assert run == {(2, 2), (2, 3), (2, 4), (4, 2), (4, 3)} and driver.engine.num_planned == 5 and record.ended
    other = spec.replace(excluded=("num_views * epochs > 8",))
    with pytest.raises(
        ValueError, match=r"excluded\[0\]: 'num_views \* epochs > 12' there, 'num_views \* epochs > 8' now"
    ):
        require_same_study(tmp_path, other.model_dump(mode="json"), trainable_of(other.base), other.base)
    with pytest.raises(ValueError, match="excluded: "):
        none = spec.replace(excluded=())
        require_same_study(tmp_path, none.model_dump(mode="json"), trainable_of(none.base), none.base)


# Plateau.


def moves_until_the_tenth(config: TrialConfig, milestone: int) -> dict[str, Any]:
    """Quality and cost of a front that is found with the tenth epoch; further epochs only cost."""
    numbers = {"milestone": milestone, "view_passes": milestone, "train_pflop": 1.0 + config.epochs}
    return numbers | {"val_clean": 40.0 + min(config.epochs, 10), "val_pgd_8": 10.0, "val_n": 500}


PLATEAU = Plateau(configurations=5, gain=0.02)


def search_to_plateau(make_spec: MakeSpec, budget: Budget, trials: int = 60, **changes: Any) -> StudySpec:
    factors = (Factor(name="epochs", distribution=IntDistribution(1, 60)),)
    design = Search(trials=trials, sampler="random", budget=budget)
    return make_spec(factors=factors, design=design, objectives=("val_clean", "train_pflop"), **changes)


def test_a_search_ends_when_the_front_no_longer_moves(make_spec: MakeSpec, tmp_path: Path) -> None:
    run_study(tmp_path / "all", search_to_plateau(make_spec, Budget()), made_up=moves_until_the_tenth)
    assert len(read_study(tmp_path / "all").trials) == 60
    spec = search_to_plateau(make_spec, Budget(plateau=PLATEAU))
    driver = run_study(tmp_path / "ended", spec, made_up=moves_until_the_tenth)
    record = read_study(tmp_path / "ended")
    gain = front_gain(record)
    assert (
        gain is not None and gain.is_plateau and record.ended and driver.engine.num_planned == len(record.trials) < 60
    )
    end = end_of_search(record, spec.design.budget, "none")  # type: ignore[union-attr]
    assert end == str(gain) and "no longer moves" in end
    *but_one, _ = record.trials.values()
    assert not front_gain(StudyRecord(spec=record.spec, trials={t.uid: t for t in but_one})).is_plateau  # type: ignore[union-attr]


@pytest.mark.parametrize("window", [None, 3])
def test_it_ends_at_the_same_configuration_after_a_kill(
    make_spec: MakeSpec, tmp_path: Path, window: int | None
) -> None:
    spec = search_to_plateau(make_spec, Budget(plateau=PLATEAU), window=window)
    driver = run_study(tmp_path / "whole", spec, made_up=moves_until_the_tenth)
    whole = (tmp_path / "whole" / JOURNAL_NAME).read_bytes().splitlines(keepends=True)
    for cut in (len(whole) // 3, len(whole) - 2):
        (tmp_path / str(cut)).mkdir()
        (tmp_path / str(cut) / JOURNAL_NAME).write_bytes(b"".join(whole[:cut]))
        run_study(tmp_path / str(cut), spec, made_up=moves_until_the_tenth)
        again = read_study(tmp_path / str(cut))
        assert [t.params for t in again.trials.values()] == [t.params for t in driver.engine.record.trials.values()]


@pytest.mark.parametrize(
    "budget, trials",
    [
        (Budget(plateau=Plateau(configurations=5, gain=0.2)), 70),
        (Budget(plateau=Plateau(configurations=5, gain=1e-6)), 60),
        (Budget(plateau=Plateau(configurations=30, gain=0.02)), 60),
        (Budget(), 60),
    ],
)
def test_asking_for_more_goes_on(make_spec: MakeSpec, tmp_path: Path, budget: Budget, trials: int) -> None:
    spec = search_to_plateau(make_spec, Budget(plateau=Plateau(configurations=5, gain=0.2)))
    run_study(tmp_path, spec, made_up=moves_until_the_tenth)
    ended_at = len(read_study(tmp_path).trials)
    more = search_to_plateau(make_spec, budget, trials)
    plain = more.model_dump(mode="json")
    require_same_study(tmp_path, plain, trainable_of(more.base), more.base)
    journal = Journal(tmp_path)
    journal.write("resumed", spec=plain, environment={})
    journal.close()
    run_study(tmp_path, more, made_up=moves_until_the_tenth)
    record = read_study(tmp_path)
    assert ended_at < len(record.trials) and record.ended
    if trials == 70:
        assert ended_at + PLATEAU.configurations <= len(record.trials) < 70, "judged anew, and ended anew"


@pytest.mark.parametrize(
    "plateau", [Plateau(configurations=4, gain=0.02), Plateau(configurations=5, gain=0.03)], ids=["fewer", "more gain"]
)
def test_ending_earlier_than_before_is_another_study(make_spec: MakeSpec, tmp_path: Path, plateau: Plateau) -> None:
    run_study(tmp_path, search_to_plateau(make_spec, Budget(plateau=PLATEAU), 6), made_up=moves_until_the_tenth)
    other = search_to_plateau(make_spec, Budget(plateau=plateau), 6)
    with pytest.raises(ValueError, match=r"design\.budget\.plateau"):
        require_same_study(tmp_path, other.model_dump(mode="json"), trainable_of(other.base), other.base)


# Region of interest.


def test_a_region_may_change_between_starts(make_spec: MakeSpec, tmp_path: Path) -> None:
    """It changes what is proposed and recommended from then on, and nothing that was measured."""
    spec = make_spec(design=Search(trials=6, sampler="tpe"))
    run_study(tmp_path, spec, made_up=steady)

    def resumed(**changes: Any) -> StudySpec:
        return spec.replace(objectives=(replace(spec.objectives[0], **changes), *spec.objectives[1:]))

    for other in (resumed(at_least=60), resumed()):
        require_same_study(tmp_path, other.model_dump(mode="json"), trainable_of(other.base), other.base)
        journal = Journal(tmp_path)
        journal.write("resumed", spec=other.model_dump(mode="json"), environment={})
        journal.close()
        assert read_study(tmp_path).spec["objectives"][0]["at_least"] == other.objectives[0].at_least
    plain = resumed(direction="minimize").model_dump(mode="json")
    with pytest.raises(ValueError, match=r"objectives\[0\]\.direction"):
        require_same_study(tmp_path, plain, trainable_of(spec.base), spec.base)


# Confirmation.


def test_confirmations_come_last_with_new_seeds_and_the_fuller_attack(make_spec: MakeSpec, tmp_path: Path) -> None:
    confirmation = Confirmation(runs=6, settings={"eval_autoattack_samples": 30})
    spec = make_spec(factors=FACTORS, design=Grid(), confirmation=confirmation)
    driver = run_study(tmp_path, spec, concurrency=2, made_up=steady)
    trials = list(read_study(tmp_path).trials.values())
    assert [trial.purpose for trial in trials] == ["search"] * 9 + ["confirmation"] * 6
    assert driver.engine.num_planned == 15 and driver.engine.record.ended
    assert all(trial.config["eval_autoattack_samples"] == 30 for trial in trials[9:])
    assert {trial.config["eval_autoattack_samples"] for trial in trials[:9]} == {0}
    seeds = [(trial.configuration, trial.seed) for trial in trials]
    assert len(set(seeds)) == 15 and min(trial.seed for trial in trials[9:]) == 1
    assert len(configurations(read_study(tmp_path), 1)[0].trials) == 1, "they are no seeds of the search"


def test_seeds_go_where_membership_is_uncertain(make_spec: MakeSpec, tmp_path: Path) -> None:
    """One configuration is far ahead, one far behind, and two are level."""

    def level(config: TrialConfig, milestone: int) -> dict[str, Any]:
        noise = random.Random(config.content_hash()).gauss(0, 1)
        clean = {1: 90.0, 2: 50.0, 3: 50.1, 4: 10.0}[config.epochs] + noise
        cost = {1: 5.0, 2: 1.0, 3: 1.0, 4: 9.0}[config.epochs]
        return steady(config, milestone) | {"val_clean": clean, "val_pgd_8": clean, "train_pflop": cost}

    factors = (Factor(name="epochs", distribution=CategoricalDistribution([1, 2, 3, 4])),)
    spec = make_spec(factors=factors, design=Grid(), confirmation=Confirmation(runs=6, settings={}))
    run_study(tmp_path, spec, made_up=level)
    confirmed = Counter(t.params["epochs"] for t in read_study(tmp_path).trials.values() if t.purpose == "confirmation")
    assert set(confirmed) == {2, 3}
    assert max(confirmed.values()) <= 4


def test_confirmations_leave_out_what_cannot_be_trusted(make_spec: MakeSpec, tmp_path: Path) -> None:
    def best_is_broken(config: TrialConfig, milestone: int) -> dict[str, Any]:
        broken = {"val_clean": 99.0, "validity": ["the attack looks broken"]} if config.num_views == 8 else {}
        return steady(config, milestone) | broken

    spec = make_spec(factors=FACTORS, design=Grid(), confirmation=Confirmation(runs=4, settings={}))
    run_study(tmp_path, spec, made_up=best_is_broken)
    confirmed = [trial for trial in read_study(tmp_path).trials.values() if trial.purpose == "confirmation"]
    assert len(confirmed) == 4 and all(trial.params["num_views"] != 8 for trial in confirmed)


def test_confirmations_are_spent_inside_the_region(make_spec: MakeSpec, tmp_path: Path) -> None:
    objectives = (
        Objective("val_clean", "maximize", at_least=60),
        Objective("val_pgd_8", "maximize"),
        Objective("train_pflop", "minimize"),
    )
    spec = make_spec(factors=FACTORS, design=Grid(), confirmation=Confirmation(runs=4, settings={}))
    for place, region, views in (("everywhere", spec.objectives, {2, 4, 8}), ("inside", objectives, {8})):
        run_study(tmp_path / place, spec.replace(objectives=region), made_up=steady)
        trials = read_study(tmp_path / place).trials.values()
        confirmed = [trial.params["num_views"] for trial in trials if trial.purpose == "confirmation"]
        assert confirmed and set(confirmed) <= views and (place == "inside" or min(confirmed) < 8)


# Audits.


def test_audited_trials_run_on_and_change_nothing_else(make_spec: MakeSpec, tmp_path: Path) -> None:
    def spec_with(audit: float) -> StudySpec:
        return make_spec(design=Search(trials=40, sampler="random"), stopping=MoAsha(first_rung=2, eta=2, audit=audit))

    run_study(tmp_path / "plain", spec_with(0.0), concurrency=2)
    run_study(tmp_path / "audited", spec_with(0.4), concurrency=1)
    record = read_study(tmp_path / "audited")
    audited = [trial for trial in record.trials.values() if trial.is_audited]
    stopped = record.with_state("stopped")
    assert 3 <= len(audited) <= len(stopped) * 1.5
    for trial in audited:
        assert trial.state in ("complete", "failed")
        decisions = [decision["decision"] for decision in trial.decisions]
        assert decisions.count("audit") == 1 and "stop" not in decisions
        assert all(d["reason"] == "audited" for d in trial.decisions[decisions.index("audit") + 1 :])
    everything, _ = (run_study(tmp_path / f"audit {share}", spec_with(share)) for share in (1.0, 0.0))
    assert everything.engine.record.with_state("stopped") == []
    # Those that were audited count at later rungs no more than if they had been stopped.
    without = {(d["uid"], d["milestone"]) for d in read_study(tmp_path / "audit 0.0").decisions}
    decided = {(d["uid"], d["milestone"]): d for d in read_study(tmp_path / "audit 1.0").decisions}
    for key in without:
        expected = next(d for d in read_study(tmp_path / "audit 0.0").decisions if (d["uid"], d["milestone"]) == key)
        assert decided[key]["reason"].removeprefix("audited, ") == expected["reason"]


def test_audits_survive_a_restart(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(design=Search(trials=15, sampler="random"), stopping=MoAsha(first_rung=2, eta=2, audit=0.5))
    run_study(tmp_path / "whole", spec)
    lines = (tmp_path / "whole" / JOURNAL_NAME).read_text().splitlines(keepends=True)
    whole = story(read_events(tmp_path / "whole"))
    assert "audit" in {event.get("decision") for event in whole}
    for count in range(1, len(lines), 5):
        (tmp_path / f"cut{count}").mkdir()
        (tmp_path / f"cut{count}" / JOURNAL_NAME).write_text("".join(lines[:count]))
        run_study(tmp_path / f"cut{count}", spec)
        assert story(read_events(tmp_path / f"cut{count}")) == whole


# A fixed order.


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_window_makes_decisions_independent_of_who_is_faster(
    make_spec: MakeSpec, tmp_path: Path, sampler: str
) -> None:
    spec = make_spec(
        design=Search(trials=14, sampler=sampler),  # type: ignore[arg-type]
        stopping=MoAsha(first_rung=2, eta=2, audit=0.2),
        seeds=(0, 1),
        window=4,
        confirmation=Confirmation(runs=3, settings={}),
    )
    stories = []
    for run, (concurrency, order_seed) in enumerate([(1, 0), (2, 1), (4, 2), (4, 3), (8, 4)]):
        driver = run_study(tmp_path / str(run), spec, concurrency=concurrency, order_seed=order_seed)
        trials = driver.engine.record.trials.values()
        stories.append([(t.params, t.seed, t.purpose, t.state, [d["reason"] for d in t.decisions]) for t in trials])
        assert driver.most_at_a_time == min(concurrency, 4)
    assert all(other == stories[0] for other in stories[1:])
    assert {state for _, _, _, state, _ in stories[0]} >= {"complete", "stopped"}


def test_without_a_window_the_order_matters(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Or the test above would hold for nothing."""
    spec = make_spec(design=Search(trials=14, sampler="tpe"), stopping=MoAsha(first_rung=2, eta=2))
    told = []
    for order_seed in range(3):
        run_study(tmp_path / str(order_seed), spec, concurrency=4, order_seed=order_seed)
        told.append([(t.params, t.state) for t in read_study(tmp_path / str(order_seed)).trials.values()])
    assert any(other != told[0] for other in told[1:])


# Ray's ASHA, shared encoders, memory.


def test_rays_asha_stops_by_its_one_objective(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(design=Search(trials=20, sampler="random"), stopping=RayAsha(first_rung=2, eta=2))
    run_study(tmp_path / "whole", spec)
    record = read_study(tmp_path / "whole")
    states = Counter(trial.state for trial in record.trials.values())
    assert states["stopped"] >= 3 and states["complete"] >= 3
    lines = (tmp_path / "whole" / JOURNAL_NAME).read_text().splitlines(keepends=True)
    for count in range(5, len(lines), 12):
        (tmp_path / f"cut{count}").mkdir()
        (tmp_path / f"cut{count}" / JOURNAL_NAME).write_text("".join(lines[:count]))
        run_study(tmp_path / f"cut{count}", spec)
        assert story(read_events(tmp_path / f"cut{count}")) == story(read_events(tmp_path / "whole"))


def test_an_encoder_is_trained_by_one_trial_at_a_time(make_spec: MakeSpec, tmp_path: Path) -> None:
    factors = (
        Factor(name="probe", distribution=CategoricalDistribution(["central", "robust_central"])),
        Factor(name="eval_pgd_steps", distribution=CategoricalDistribution([5, 10, 20])),
        Factor(name="num_views", distribution=CategoricalDistribution([2, 4])),
    )
    spec = make_spec(factors=factors, design=Grid())
    driver = Driver(tmp_path, spec)
    first, second = driver.engine.next_assignment(), driver.engine.next_assignment()
    assert first is not None and second is not None
    assert (first.config.num_views, second.config.num_views) == (2, 4), "the next one that needs another encoder"
    assert driver.engine.next_assignment() is None and not driver.engine.is_exhausted()
    driver.engine.complete(first.uid, steady(first.config, 1))
    more = [driver.engine.next_assignment() for _ in range(6)]
    assert [m.config.num_views for m in more if m is not None] == [2] * 5, "all of them beside each other"
    driver.engine.fail(second.uid, "gone")
    follower = driver.engine.next_assignment()
    assert follower is not None and follower.config.num_views == 4


def test_what_ran_out_of_memory_is_run_once_more_alone(make_spec: MakeSpec, tmp_path: Path) -> None:
    engine = Driver(tmp_path, make_spec(factors=FACTORS, design=Grid())).engine
    first, second, third = (engine.next_assignment() for _ in range(3))
    assert first is not None and second is not None and third is not None
    engine.fail(second.uid, "OutOfMemoryError", out_of_memory=True)
    assert engine.record.trials[second.uid].state == "proposed"
    assert engine.next_assignment() is None and not engine.is_exhausted(), "the others end first"
    engine.complete(first.uid, steady(first.config, 1))
    assert engine.next_assignment() is None
    engine.complete(third.uid, steady(third.config, 1))
    again = engine.next_assignment()
    assert again is not None and again.uid == second.uid
    assert engine.next_assignment() is None, "nothing runs beside it"
    engine.fail(again.uid, "OutOfMemoryError", out_of_memory=True)
    assert engine.record.trials[second.uid].state == "failed"
    assert engine.record.trials[second.uid].reason == "out of memory, even when run alone: OutOfMemoryError"
    following = engine.next_assignment()
    assert following is not None and following.uid == "t0003"


def test_nothing_is_proposed_while_one_waits_to_run_alone(make_spec: MakeSpec, tmp_path: Path) -> None:
    """It would be chosen without the results of what is being run."""
    engine = Driver(tmp_path, make_spec(design=Search(trials=20, sampler="random"))).engine
    first, second = engine.next_assignment(), engine.next_assignment()
    assert first is not None and second is not None
    engine.fail(second.uid, "OutOfMemoryError", out_of_memory=True)
    assert engine.next_assignment() is None and len(engine.record.trials) == 2


def test_running_out_of_memory_without_company_is_tried_again_too(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Its company may have ended the moment before; and alone it may have what all together may."""
    engine = Driver(tmp_path, make_spec(factors=FACTORS, design=Grid())).engine
    only = engine.next_assignment()
    assert only is not None and not only.runs_alone
    engine.fail(only.uid, "OutOfMemoryError", out_of_memory=True)
    again = engine.next_assignment()
    assert again is not None and again.uid == only.uid and again.runs_alone
    engine.fail(only.uid, "OutOfMemoryError", out_of_memory=True)
    assert engine.record.trials[only.uid].state == "failed"
