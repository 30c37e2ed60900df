"""When a front has stopped moving: constructed studies whose gain is known, in any unit and with any outlier."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from study.record.plateau import FrontGain, front_gain

NewStudy = Callable[..., Any]
OBJECTIVES = [{"name": "val_clean", "direction": "maximize"}, {"name": "train_pflop", "direction": "minimize"}]
CORNERS = [(50.0, 1.0), (90.0, 10.0)]  # the ends of the front
MIDDLE = (80.0, 3.0)
BEHIND = (40.0, 20.0)


def gain_of(
    new_study: NewStudy, points: Sequence[tuple[float, float]], *, over: int = 3, least: float = 0.01, **changes: Any
) -> FrontGain:
    design = {"kind": "Search", "trials": 99, "budget": {"plateau": {"configurations": over, "gain": least}}}
    study = new_study(**({"objectives": OBJECTIVES, "design": design} | changes))
    for number, (clean, cost) in enumerate(points):
        study.complete(clean, 30.0, cost, {"epochs": number + 1})
    found = front_gain(study.read())
    assert found is not None
    return found


def test_without_the_criterion_there_is_no_gain(new_study: NewStudy) -> None:
    study = new_study(objectives=OBJECTIVES)
    study.complete(50.0, 30.0, 1.0)
    assert front_gain(study.read()) is None


def test_the_gain_by_hand(new_study: NewStudy) -> None:
    """In halves of the ranges (clean, log cost), the front (0, 1), (1, 0) gains (0.5, 0.5)."""
    costs = [1.0, 10.0, 10**0.5]
    found = gain_of(new_study, [(50.0, costs[0]), (90.0, costs[1]), BEHIND, BEHIND, (70.0, costs[2])])
    before = 0.1 * 1.1 + 1.1 * 0.1 - 0.1 * 0.1
    assert found.share == pytest.approx(0.25 / (before + 0.25))
    assert not found.is_plateau


def test_nothing_new_is_a_plateau(new_study: NewStudy) -> None:
    found = gain_of(new_study, [*CORNERS, MIDDLE, BEHIND, BEHIND, BEHIND])
    assert found.share == 0 and found.is_plateau
    assert str(found) == (
        "front: hypervolume +0% over the last 3 complete configurations; it no longer moves, below 1%"
    )


def test_too_few_are_no_plateau(new_study: NewStudy) -> None:
    for points, words in (([*CORNERS], "2 of 3 complete"), ([*CORNERS, BEHIND], "nothing on it before the last 3")):
        found = gain_of(new_study, points)
        assert found.share is None and not found.is_plateau and words in str(found)


@pytest.mark.parametrize("scale", [1e-6, 1e9])
def test_the_unit_of_a_cost_does_not_matter(new_study: NewStudy, scale: float) -> None:
    points = [*CORNERS, MIDDLE, BEHIND, (82.0, 3.5), BEHIND]
    scaled = [(clean, scale * cost) for clean, cost in points]
    assert gain_of(new_study, scaled).share == pytest.approx(gain_of(new_study, points).share)


def test_a_diverged_configuration_does_not_hide_the_gain(new_study: NewStudy) -> None:
    points = [*CORNERS, MIDDLE, BEHIND, (82.0, 3.5), BEHIND]
    with_outlier = [*CORNERS, MIDDLE, (0.1, 1e9), (82.0, 3.5), BEHIND]
    assert gain_of(new_study, with_outlier).share == gain_of(new_study, points).share


def test_in_a_region_only_what_is_inside_counts(new_study: NewStudy) -> None:
    bounded = [OBJECTIVES[0] | {"at_least": 75.0}, OBJECTIVES[1] | {"at_most": 12.0}]
    points = [*CORNERS, MIDDLE, (60.0, 1.5), (55.0, 1.2), BEHIND]
    assert gain_of(new_study, points, objectives=bounded).share == 0
    assert (gain_of(new_study, points).share or 0) > 0.1
    outside = [{**bounded[0], "at_least": 95.0}, bounded[1]]
    found = gain_of(new_study, points, objectives=outside)
    assert found.share is None and not found.is_plateau, "the search has not found the region yet"


def test_the_order_is_that_of_the_proposals(new_study: NewStudy) -> None:
    design = {"kind": "Search", "trials": 99, "budget": {"plateau": {"configurations": 2, "gain": 0.01}}}
    orders = []
    for order in ((0, 1, 2, 3), (3, 0, 2, 1)):
        study = new_study(objectives=OBJECTIVES, design=design)
        uids = [study.start(epochs=number + 1) for number in range(4)]
        for number in order:
            clean, cost = [*CORNERS, MIDDLE, BEHIND][number]
            metrics = {"val_clean": clean, "val_pgd_8": 1.0, "train_pflop": cost}
            study.finish(uids[number], "complete", metrics)
        orders.append(front_gain(study.read()))
    assert orders[0] == orders[1] and orders[0] is not None and (orders[0].share or 0) > 0.1


def test_a_trial_that_went_on_after_a_pause_counts_when_it_went_on(new_study: NewStudy) -> None:
    """The third configuration is paused and promoted after the others, so that its gain is the last."""
    design = {"kind": "Search", "trials": 99, "budget": {"plateau": {"configurations": 2, "gain": 0.01}}}
    study = new_study(objectives=OBJECTIVES, design=design)
    for clean, cost in CORNERS:
        study.complete(clean, 30.0, cost)
    uid = study.start([{"milestone": 1, "val_clean": 1.0}])
    study.journal.write("decided", uid=uid, milestone=1, decision="pause", reason="")
    study.journal.write("paused", uid=uid, milestone=1, reason="")
    for _ in range(3):
        study.complete(BEHIND[0], 30.0, BEHIND[1])
    assert front_gain(study.read()).is_plateau  # type: ignore[union-attr]
    study.journal.write("promoted", uid=uid, milestone=1, reason="")
    study.journal.write("launched", uid=uid, attempt=2)
    metrics = {"val_clean": MIDDLE[0], "val_pgd_8": 1.0, "train_pflop": MIDDLE[1]}
    study.finish(uid, "complete", metrics)
    assert not front_gain(study.read()).is_plateau  # type: ignore[union-attr]


def test_confirmations_arms_and_the_unfinished_do_not_count(new_study: NewStudy) -> None:
    design = {"kind": "Search", "trials": 99, "budget": {"plateau": {"configurations": 3, "gain": 0.01}}}
    study = new_study(objectives=OBJECTIVES, design=design)
    for number, (clean, cost) in enumerate([*CORNERS, BEHIND]):
        study.complete(clean, 30.0, cost, {"epochs": number + 1})
    before = front_gain(study.read())
    study.complete(99.0, 30.0, 0.1, {"epochs": 1}, seed=1, purpose="confirmation")
    study.complete(99.0, 30.0, 0.1, {"epochs": 32}, purpose="comparison")
    study.finish(study.start(epochs=33), "stopped")
    study.start(epochs=34)
    assert front_gain(study.read()) == before


def test_raising_the_trials_starts_to_judge_anew(new_study: NewStudy) -> None:
    design = {"kind": "Search", "trials": 6, "budget": {"plateau": {"configurations": 3, "gain": 0.01}}}
    study = new_study(objectives=OBJECTIVES, design=design)
    for number, (clean, cost) in enumerate([*CORNERS, MIDDLE, BEHIND, BEHIND, BEHIND]):
        study.complete(clean, 30.0, cost, {"epochs": number + 1})
    record = study.read()
    assert front_gain(record).is_plateau  # type: ignore[union-attr]
    more = front_gain(record, design | {"trials": 9})
    assert more is not None and not more.is_plateau and more.judged == 0, "asked for, not yet in the journal"
    study.journal.write("resumed", spec=record.spec | {"design": design | {"trials": 9}}, environment={})
    assert front_gain(study.read()) == more
    for number in range(3):
        study.complete(*BEHIND[:1], 30.0, BEHIND[1], {"epochs": 10 + number})
    assert front_gain(study.read()).is_plateau  # type: ignore[union-attr]
