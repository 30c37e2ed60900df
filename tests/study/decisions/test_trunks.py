"""Trials whose trunk another one is training wait where that saves work; what they find depends on no clock."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driver import Driver, run_study
from optuna.distributions import CategoricalDistribution
from trunks import Config

from study.decisions.engine import StudyEngine
from study.record.journal import Journal, read_study
from study.spec import Factor, Grid, MoAsha, NoStopping, Objective, PausingMoAsha, Search, StudySpec
from study.workers.launch import discard_shared


def spec_of(recipes: list[int], lengths: list[int], **changes: Any) -> StudySpec:
    parts: dict[str, Any] = {
        "name": "trunks",
        "question": "Who waits for whom?",
        "base": Config(),
        "factors": (
            Factor(name="recipe", distribution=CategoricalDistribution(recipes)),
            Factor(name="length", distribution=CategoricalDistribution(lengths)),
        ),
        "objectives": (Objective("accuracy", "maximize"), Objective("steps", "minimize")),
        "stopping": NoStopping(),
        "design": Grid(),
    }
    return StudySpec(**(parts | changes))


def reused(driver: Driver) -> dict[tuple[int, int], float]:
    trials = driver.engine.record.with_state("complete")
    return {(t.config["recipe"], t.config["length"]): t.metrics["reused_steps"] for t in trials}


@pytest.mark.parametrize("order_seed", range(4))
@pytest.mark.parametrize("lengths", [[2, 4, 8, 16], [16, 8, 4, 2], [4, 16, 2, 8]])
def test_no_step_of_a_trunk_is_made_twice(tmp_path: Path, lengths: list[int], order_seed: int) -> None:
    driver = run_study(tmp_path, spec_of([0], lengths), concurrency=4, order_seed=order_seed, is_real=True)
    found = reused(driver)
    own = sum(length - found[0, length] for length in lengths)
    assert own == 8 + sum(length // 2 for length in lengths), "the longest trunk once, and a second half for each"


def test_recipes_do_not_wait_for_each_other(tmp_path: Path) -> None:
    driver = run_study(tmp_path, spec_of([0, 1, 2], [2, 4]), concurrency=4, is_real=True)
    assert driver.most_at_a_time >= 3


def test_who_would_save_nothing_does_not_wait(tmp_path: Path) -> None:
    driver = run_study(tmp_path, spec_of([0], [16, 2, 4, 8]), concurrency=4, is_real=True)
    told = [(event["event"], event["uid"]) for event in driver.events if event["event"] in ("launched", "finished")]
    longest, *others = (uid for event, uid in told if event == "launched")
    assert all(told.index(("launched", uid)) < told.index(("finished", longest)) for uid in others)
    assert reused(driver) == {(0, 16): 0, (0, 2): 1, (0, 4): 2, (0, 8): 4}, "each began when its state was there"


@pytest.mark.parametrize("window", [None, 1])
def test_trunks_are_removed_when_a_study_is_complete_unless_it_is_repeatable(
    tmp_path: Path, window: int | None
) -> None:
    """What is added or finished later can do without them."""
    stopping = PausingMoAsha(first_rung=2, eta=2, objectives=("accuracy",))
    spec = spec_of([0, 1], [2, 4, 8], design=Search(trials=4, sampler="random"), stopping=stopping, window=window)
    more = spec.model_copy(update={"design": Search(trials=6, sampler="random")})
    run_study(tmp_path, spec, is_real=True)
    kept = {*tmp_path.glob("recipe */*")}
    for planned, left in ((more, kept), (spec, kept if window else set())):
        journal = Journal(tmp_path)
        discard_shared(StudyEngine(journal, planned, 0, 1), tmp_path / "any")
        journal.close()
        assert kept and {*tmp_path.glob("recipe */*")} == left
    assert read_study(tmp_path).with_state("paused")
    record = run_study(tmp_path, more, is_real=True, finishes_paused=True).engine.record
    assert len(record.with_state("complete")) == len(record.trials) == 6


def told(study_dir: Path) -> list[Any]:
    record = read_study(study_dir)
    return [
        (uid, t.config, t.state, t.reports, [(d["milestone"], d["decision"]) for d in t.decisions], t.metrics)
        for uid, t in sorted(record.trials.items())
    ]


@pytest.mark.parametrize("seed", [10, 11, 15])
def test_a_deterministic_study_is_the_same_whichever_trial_is_faster(tmp_path: Path, seed: int) -> None:
    """Under these seeds it would not be if trials waited only where that saves work, as others stop at rungs."""
    spec = spec_of(
        [0, 1, 2], [4, 6, 8, 12, 16, 20, 24], design=Search(trials=16, sampler="random"), window=8,
        stopping=MoAsha(first_rung=3, eta=2, objectives=("accuracy",)),
    )  # fmt: skip
    stories = []
    for order_seed in range(10):
        folder = tmp_path / str(order_seed)
        run_study(folder, spec, concurrency=6, seed=seed, order_seed=order_seed, is_real=True)
        stories.append(told(folder))
    assert all(story == stories[0] for story in stories[1:])
    assert {state for _, _, state, *_ in stories[0]} == {"complete", "stopped"}


@pytest.mark.parametrize("killed_after", [3, 8, 20])
def test_a_study_that_is_killed_goes_on_and_saves_as_much(tmp_path: Path, killed_after: int) -> None:
    driver = Driver(tmp_path, spec_of([0], [2, 4, 8, 16]), concurrency=4, is_real=True)
    running: dict[str, Iterator[None]] = {}
    steps = 0
    while steps < killed_after:
        while assignment := driver.engine.next_assignment():
            running[assignment.uid] = driver._train(assignment)
        uid = min(running)
        steps += 1
        if next(running[uid], "ended") == "ended":
            del running[uid]
    driver.close()
    resumed = run_study(tmp_path, spec_of([0], [2, 4, 8, 16]), concurrency=4, is_real=True)
    assert all(trial.state == "complete" for trial in resumed.engine.record.trials.values())
    assert reused(resumed) == {(0, 2): 0, (0, 4): 1, (0, 8): 2, (0, 16): 4}
