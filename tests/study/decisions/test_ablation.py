"""Executed ablations: which configs are trained, and that the greedy path takes the best step. Metrics are made up."""

from pathlib import Path
from typing import Any

import pytest
from driver import run_study

from study.decisions.ablation import Outcome, as_choice, as_params, greedy_path, wanted_choices
from study.record.journal import read_study
from study.spec import Ablation, MoAsha, Objective, StudySpec
from study.spec.choices import check_space
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

SIMCLR_PGD = TrialConfig(**(LAPTOP | {"method": "simclr", "num_views": 2, "adversary": "pgd"}))
CF_AMC_SSL = TrialConfig(**(LAPTOP | {"num_views": 4, "adversary": "free", "view_scale_min": 0.2}))
GROUPS = {"method": ("method", "num_views")}
GAINS = {"method": 5.0, "adversary": 2.0, "view_scale_min": 3.0}  # of robust accuracy, if brought in


def make(**changes: Any) -> StudySpec:
    parts: dict[str, Any] = {"from_": SIMCLR_PGD, "to": CF_AMC_SSL, "groups": GROUPS} | changes
    stopping = parts.pop("stopping", None)
    extra = {} if stopping is None else {"stopping": stopping}
    seeds = parts.pop("seeds", (0,))
    return StudySpec(name="a", question="What makes it?", design=Ablation(**parts), seeds=seeds, **extra)


def additive(config: TrialConfig, milestone: int) -> dict[str, Any]:
    """Robust accuracy is 20 and the gains of what was brought in; the adversary is worth more once the method is."""
    robust = 20.0 + GAINS["view_scale_min"] * (config.view_scale_min == 0.2)
    robust += GAINS["method"] * (config.method == "emp_ssl")
    robust += GAINS["adversary"] * (config.adversary == "free") * (3 if config.method == "emp_ssl" else 1)
    numbers = {"milestone": milestone, "view_passes": milestone, "train_pflop": 1.0, "val_clean": 50.0}
    return numbers | {"val_pgd_8": robust + 0.01 * config.seed}


def test_the_ends_are_those_that_were_given_and_factors_what_lies_between() -> None:
    spec = make()
    assert {factor.name for factor in spec.factors} == {"method", "adversary", "view_scale_min"}
    assert spec.config({factor.name: "from" for factor in spec.factors}, seed=0) == SIMCLR_PGD
    assert spec.config({factor.name: "to" for factor in spec.factors}, seed=0) == CF_AMC_SSL
    check_space(spec)


def test_leave_one_out_add_one_in_and_the_greedy_path_are_trained(tmp_path: Path) -> None:
    driver = run_study(tmp_path, make(seeds=(0, 1)), concurrency=3, made_up=additive)
    trials = list(read_study(tmp_path).trials.values())
    choices = {as_choice(trial.params) for trial in trials}
    everything = frozenset(GAINS)
    expected = {frozenset(), everything} | {everything - {n} for n in GAINS} | {frozenset({n}) for n in GAINS}
    assert choices == expected  # with three factors the path adds nothing that is not there
    assert len(trials) == 2 * len(choices) == driver.engine.num_planned
    assert driver.engine.record.ended


def test_the_greedy_path_takes_the_best_step_each_time(tmp_path: Path) -> None:
    spec = make(leave_one_out=False, add_one_in=False)
    run_study(tmp_path, spec, made_up=additive)
    outcomes = {
        as_choice(trial.params): Outcome(True, trial.metrics["val_pgd_8"])
        for trial in read_study(tmp_path).trials.values()
    }
    steps = greedy_path(spec, outcomes)
    taken = [sorted(step.taken - step.start) for step in steps if step.taken is not None]
    assert taken == [["method"], ["adversary"], ["view_scale_min"]]  # 5, then 6 for the interaction, then 3
    assert [len(step.candidates) for step in steps] == [3, 2, 1]


def test_less_may_be_better(tmp_path: Path) -> None:
    spec = StudySpec(
        name="a",
        question="?",
        design=Ablation(from_=SIMCLR_PGD, to=CF_AMC_SSL, groups=GROUPS, objective="train_pflop"),
        objectives=(Objective("val_clean", "maximize"), Objective("train_pflop", "minimize")),
    )

    def cheap_views(config: TrialConfig, milestone: int) -> dict[str, Any]:
        return additive(config, milestone) | {"train_pflop": 5.0 - 2.0 * (config.view_scale_min == 0.2)}

    driver = run_study(tmp_path, spec, made_up=cheap_views)
    first = [trial for trial in driver.engine.record.trials.values()]
    outcomes = {as_choice(t.params): Outcome(True, -t.metrics["train_pflop"]) for t in first}
    assert greedy_path(spec, outcomes)[0].taken == frozenset({"view_scale_min"})


def test_impossible_configs_between_the_ends_are_left_out() -> None:
    """Without the group, SimCLR with four views and EMP-SSL with two lie between: the first cannot be."""
    spec = make(groups={})
    assert {factor.name for factor in spec.factors} == {"method", "num_views", "adversary", "view_scale_min"}
    wanted = wanted_choices(spec, {})
    assert frozenset({"num_views"}) not in wanted and frozenset({"method"}) in wanted
    for choice in wanted:
        spec.config(as_params(choice, spec), seed=0)


def test_the_path_waits_for_its_candidates_and_breaks_off_where_none_is_left() -> None:
    spec = make()
    a, b, c = (frozenset({name}) for name in ("method", "adversary", "view_scale_min"))
    waiting = greedy_path(spec, {a: Outcome(True, 1.0), b: Outcome(True, 2.0), c: Outcome(False, None)})
    assert len(waiting) == 1 and waiting[0].taken is None
    one_failed = greedy_path(spec, {a: Outcome(True, 1.0), b: Outcome(True, 2.0), c: Outcome(True, None)})
    assert one_failed[0].taken == b and one_failed[1].taken is None
    all_failed = greedy_path(spec, {choice: Outcome(True, None) for choice in (a, b, c)})
    assert len(all_failed) == 1 and all_failed[0].taken is None


def test_rungs_drop_branches_but_never_the_ends(tmp_path: Path) -> None:
    run_study(tmp_path, make(stopping=MoAsha(first_rung=2, eta=2)), made_up=additive)
    record = read_study(tmp_path)
    states = {as_choice(trial.params): trial.state for trial in record.trials.values()}
    assert states[frozenset()] == states[frozenset(GAINS)] == "complete"
    assert "stopped" in states.values()
    assert record.ended


def test_fields_that_are_set_no_longer_differ() -> None:
    spec = make().with_settings({"adversary": "free", "epochs": 1})
    assert {factor.name for factor in spec.factors} == {"method", "view_scale_min"}
    design = spec.design
    assert isinstance(design, Ablation)
    assert design.from_.epochs == design.to.epochs == spec.base.epochs == 1


def test_one_difference_is_no_ablation() -> None:
    with pytest.raises(ValueError, match="at least two factors"):
        Ablation(from_=CF_AMC_SSL, to=CF_AMC_SSL.replace(epochs=9))
    with pytest.raises(ValueError, match="must not share fields"):
        Ablation(from_=SIMCLR_PGD, to=CF_AMC_SSL, groups={"a": ("method",), "b": ("method",)})


def test_excluded_combinations_between_the_ends_are_left_out_and_excluded_ends_refused(tmp_path: Path) -> None:
    between = ("adversary == 'free' and method == 'simclr'",)
    spec = make().replace(excluded=between)
    run_study(tmp_path, spec, made_up=additive)
    choices = {as_choice(trial.params) for trial in read_study(tmp_path).trials.values()}
    assert frozenset({"method"}) in choices and frozenset({"adversary"}) not in choices
    with pytest.raises(ValueError, match=r"reference or arm .* is excluded by 'adversary == \"free\"'"):
        check_space(make().replace(excluded=('adversary == "free"',)))
