"""The trials of a comparison: which are run, that none is stopped, and that a study goes on with more of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driver import Driver, run_study
from optuna.distributions import CategoricalDistribution

from study.checks.journal_checks import order_disagreements, repetition_disagreements
from study.checks.projection_checks import optuna_disagreements, rung_disagreements
from study.record.identity import require_same_study
from study.record.journal import StudyRecord, read_journal, read_study
from study.spec import Comparison, Confirmation, Factor, Grid, MoAsha, Search, StudySpec
from study.spec.choices import check_space
from study.trainable import trainable_of
from trainables.trial_config import TrialConfig

MakeSpec = Callable[..., StudySpec]
FACTORS = (
    Factor(name="num_views", distribution=CategoricalDistribution([2, 4, 8])),
    Factor(name="epochs", distribution=CategoricalDistribution([2, 4])),
)
ARMS = Comparison(arms={"few": {"num_views": 2}, "many": {"num_views": 8}}, given={"epochs": 2}, pairs=3)
FEW, MANY = {"epochs": 2, "num_views": 2}, {"epochs": 2, "num_views": 8}


def compared(record: StudyRecord) -> list[tuple[dict[str, Any], int]]:
    return [(trial.params, trial.seed) for trial in record.trials.values() if trial.purpose == "comparison"]


def assert_in_order(study_dir: Path, spec: StudySpec) -> StudyRecord:
    record = read_study(study_dir)
    assert order_disagreements(read_journal(study_dir).events) == repetition_disagreements(record) == []
    assert optuna_disagreements(record, spec) == rung_disagreements(record, spec) == []
    return record


@pytest.mark.parametrize("window", [None, 2])
def test_it_is_run_first_seed_by_seed_and_never_stopped(
    make_spec: MakeSpec, tmp_path: Path, window: int | None
) -> None:
    spec = make_spec(
        factors=FACTORS,
        design=Search(trials=4, sampler="tpe"),
        stopping=MoAsha(first_rung=2, eta=2),
        compares=ARMS,
        confirmation=Confirmation(runs=1, settings={}),
        window=window,
    )
    driver = run_study(tmp_path, spec, concurrency=2, seed=10)
    record = assert_in_order(tmp_path, spec)
    wanted = [(arm, seed) for seed in (10, 11, 12) for arm in (FEW, MANY)]
    assert compared(record) == wanted
    assert [trial.purpose for trial in record.trials.values()] == ["comparison"] * 6 + ["search"] * 4 + ["confirmation"]
    assert driver.engine.num_planned == len(record.trials) == 11
    for trial in list(record.trials.values())[:6]:
        assert trial.state == "complete" and not trial.decisions and not trial.reports
    searched = [trial.params for trial in record.trials.values() if trial.purpose == "search"]
    assert FEW not in searched and MANY not in searched and len(searched) == 4


def test_a_grid_runs_nothing_twice(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(factors=FACTORS, design=Grid(), seeds=(0, 5), compares=ARMS)
    driver = run_study(tmp_path, spec, concurrency=2)
    record = assert_in_order(tmp_path, spec)
    assert compared(record) == [(FEW, 1), (MANY, 1)]  # the third seed, where the grid has the first two
    assert driver.engine.num_planned == len(record.trials) == 6 * 2 + 2


def test_a_killed_study_goes_on_where_it_was(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(factors=FACTORS, design=Search(trials=2, sampler="tpe"), compares=ARMS)
    run_study(tmp_path / "whole", spec)
    (tmp_path / "cut").mkdir()
    lines = (tmp_path / "whole" / "journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "cut" / "journal.jsonl").write_text("".join(lines[:8]))
    driver = Driver(tmp_path / "cut", spec)
    driver.run()
    driver.close()
    whole, cut = (assert_in_order(tmp_path / name, spec) for name in ("whole", "cut"))
    assert [(t.params, t.seed) for t in cut.trials.values()] == [(t.params, t.seed) for t in whole.trials.values()]


def test_a_comparison_or_more_pairs_extend_a_finished_study(make_spec: MakeSpec, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"factors": FACTORS, "design": Search(trials=2, sampler="tpe")}
    run_study(tmp_path, make_spec(**changes))
    for pairs, expected in ((1, 4), (2, 6)):
        spec = make_spec(**changes, compares=ARMS.replace(pairs=pairs))
        require_same_study(tmp_path, spec.model_dump(mode="json"), trainable_of(spec.base), spec.base)
        driver = Driver(tmp_path, spec)
        driver.journal.write("resumed", spec=spec.model_dump(mode="json"), environment={})
        driver.run()
        driver.close()
        assert len(assert_in_order(tmp_path, spec).trials) == expected


def identity_of(tmp_path: Path, then: StudySpec, now: StudySpec) -> None:
    Driver(tmp_path, then).close()
    require_same_study(tmp_path, now.model_dump(mode="json"), trainable_of(now.base), now.base)


def test_which_changes_of_a_comparison_are_another_study(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(factors=FACTORS, design=Search(trials=2, sampler="tpe"))
    identity_of(tmp_path / "added", spec, spec.replace(compares=ARMS, asks=("epochs",), smallest_difference=2.0))
    with_arms = spec.replace(compares=ARMS)
    identity_of(tmp_path / "more", with_arms, spec.replace(compares=ARMS.replace(pairs=4, means={"better": "Yes"})))
    others = {"arms": {"few": {"num_views": 2}, "many": {"num_views": 4}}}, {"pairs": 2}
    for number, changes in enumerate(others):
        with pytest.raises(ValueError, match=r"holds a different study \(compares"):
            identity_of(tmp_path / str(number), with_arms, spec.replace(compares=ARMS.replace(**changes)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": 0}, "pairs must be at least 1"),
        ({"arms": {"one": {"num_views": 2}}}, "at least two arms"),
        ({"arms": {"one": {"num_views": 2}, "two": {"num_views": 2}}}, "all of them different"),
        ({"given": {"num_views": 2}}, "an arm must not set what is given for all: 'num_views'"),
    ],
)
def test_arms_that_cannot_be_compared(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ARMS.replace(**changes)


@pytest.mark.parametrize("arm", [{"num_views": 3}, {"view_scale_min": 0.1}])
def test_arms_outside_the_space(make_spec: MakeSpec, arm: dict[str, Any]) -> None:
    comparison = ARMS.replace(arms={"few": {"num_views": 2}, "other": arm})
    with pytest.raises(ValueError, match="reference or arm"):
        check_space(make_spec(factors=FACTORS, design=Search(trials=2, sampler="tpe"), compares=comparison))


def test_settings_keep_what_can_still_be_compared(make_spec: MakeSpec) -> None:
    spec = make_spec(
        factors=FACTORS, design=Search(trials=2, sampler="tpe"), compares=ARMS, asks=("num_views", "epochs")
    )
    fixed = spec.with_settings({"epochs": 3})
    assert fixed.compares is not None and fixed.compares.choices() == {
        "few": {"num_views": 2},
        "many": {"num_views": 8},
    }
    assert fixed.asks == ("num_views",)
    assert spec.with_settings({"num_views": 4}).compares is None
    assert spec.with_settings({"batch_size": 20}).compares == ARMS
    assert isinstance(fixed.base, TrialConfig)


def test_arms_that_a_setting_makes_equal_are_no_longer_compared(make_spec: MakeSpec) -> None:
    adversary = Factor(name="adversary", distribution=CategoricalDistribution(["free", "none"]))
    replays = Factor(name="replays", distribution=CategoricalDistribution([3, 5]), when={"adversary": ("free",)})
    arms = Comparison(arms={"few": {"replays": 3}, "many": {"replays": 5}}, given={"adversary": "free"})
    spec = make_spec(factors=(*FACTORS, adversary, replays), design=Grid())
    given = {"num_views": 2, "epochs": 2}
    spec = spec.replace(compares=arms.replace(given=dict(arms.given) | given))
    check_space(spec)
    assert spec.with_settings({"adversary": "none"}).compares is None


def test_what_a_study_cannot_ask(make_spec: MakeSpec) -> None:
    with pytest.raises(ValueError, match="asks about 'width', which is no factor"):
        make_spec(factors=FACTORS, design=Grid(), asks=("width",))
    with pytest.raises(ValueError, match="smallest difference of interest must be positive: 0"):
        make_spec(factors=FACTORS, design=Grid(), smallest_difference=0.0)
