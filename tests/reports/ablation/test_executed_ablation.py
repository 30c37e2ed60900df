"""Statistics of executed ablations on journals with known effects, and that the path is the study's own."""

import math
from typing import Any

import pytest
from ablation_study import ablation_spec, additive, run, unless
from scipy.stats import ttest_rel

from reports.ablation.ablation_waterfall import waterfall
from reports.ablation.executed_ablation import (
    FROM,
    executed_ablation,
    paired_change,
    path_of,
    single_changes,
    standing,
)
from study.decisions.ablation import Outcome, greedy_path, outcomes
from study.record.configurations import configurations
from study.spec import Objective, StudySpec
from study.trainable import Metric

ROBUST, COST = Metric("val_pgd_8"), Metric("train_pflop", "minimize", kind="cost")
FAILED = {"state": "failed", "metrics": {}, "reason": "diverged at epoch 2\nand a traceback"}
STOPPED = {"state": "stopped", "metrics": {}, "reason": "rung 10: rank 4 of 4"}


def executed(spec: StudySpec, made_up: Any = additive, most: int = 1000) -> Any:
    return executed_ablation(run(spec, made_up, most))


def test_the_spec_comes_back_from_the_journal() -> None:
    spec = ablation_spec(greedy=False)
    again = executed(spec, most=1).spec
    assert again.design == spec.design and again.factors == spec.factors and again.seeds == spec.seeds
    assert again.objectives == spec.objectives


@pytest.mark.parametrize("lost", [None, {"method"}, {"method", "view_scale_min"}, {"method", "adversary"}])
@pytest.mark.parametrize("most", [7, 20, 1000])
def test_the_path_is_that_of_the_study(lost: set[str] | None, most: int) -> None:
    spec = ablation_spec()
    record = run(spec, additive if lost is None else unless(lost, FAILED, (1,)), most)
    ablation = executed_ablation(record)
    steps = greedy_path(spec, outcomes(configurations(record, len(spec.seeds)), "val_pgd_8", maximise=True))
    assert [(step.before, step.after) for step in path_of(ablation)] == [
        (step.start, step.start if step.taken is None else step.taken) for step in steps
    ]


def test_outcomes_are_means_of_what_can_be_trusted_larger_is_better() -> None:
    spec = ablation_spec(greedy=False)
    ended = configurations(run(spec, unless({"method"}, FAILED, (1,))), 3)
    found = outcomes(ended, "val_pgd_8", maximise=True)
    assert found[FROM] == Outcome(True, 30.0) and found[frozenset({"adversary"})] == Outcome(True, 32.0)
    assert found[frozenset({"method"})] == Outcome(True, None)  # one of its seeds failed
    assert outcomes(ended, "train_pflop", maximise=False)[FROM] == Outcome(True, -1.0)
    begun = outcomes(configurations(run(spec, most=2), 3), "val_pgd_8", maximise=True)
    assert list(begun.values()) == [Outcome(False, None)]


def test_the_path_where_less_is_better() -> None:
    objectives = (Objective("val_clean", "maximize"), Objective("train_pflop", "minimize"))
    design = ablation_spec(objective="train_pflop").design
    spec = StudySpec(name="made", question="?", design=design, objectives=objectives)
    # The method doubles the cost, so it comes last; of the other two, which cost nothing, the first in order is first.
    assert [step.brought_in for step in path_of(executed(spec))] == ["view_scale_min", "adversary", "method"]


def test_known_effects_along_the_path() -> None:
    ablation = executed(ablation_spec())
    path = path_of(ablation)
    assert [step.brought_in for step in path] == ["method", "adversary", "view_scale_min"]
    found = waterfall(ablation, path, ROBUST)
    assert found is not None and found.reaches_end and found.seeds == (0, 1, 2) and found.start == 30.0
    assert [bar.change.mean for bar in found.bars] == pytest.approx([6.0, 6.0, 3.0])
    assert [(bar.before, bar.after) for bar in found.bars] == [(30.0, 36.0), (36.0, 42.0), (42.0, 45.0)]
    # The method's gain is 5, 6, 7 by seed: t with 2 degrees of freedom, 4.3027 times 1 / sqrt(3).
    reach = 4.302653 / math.sqrt(3)
    assert (found.bars[0].change.low, found.bars[0].change.high) == pytest.approx((6 - reach, 6 + reach), abs=1e-5)
    costs = waterfall(ablation, path, COST)
    assert costs is not None and [bar.change.mean for bar in costs.bars] == [1.0, 0.0, 0.0]


def test_single_changes_are_against_the_right_end() -> None:
    ablation = executed(ablation_spec())
    found = {}
    for row in single_changes(ablation):
        ends = [ablation.by_seed(choice, "val_pgd_8") for choice in (row.before, row.after)]
        found[row.kind, row.factor] = paired_change(*ends).mean
    assert found == pytest.approx({
        ("all", None): 15.0,
        ("brought in", "method"): 6.0, ("brought in", "adversary"): 2.0, ("brought in", "view_scale_min"): 3.0,
        ("taken back", "method"): -10.0, ("taken back", "adversary"): -6.0, ("taken back", "view_scale_min"): -3.0,
    })  # fmt: skip


def test_only_what_was_asked_for_or_trained_is_compared() -> None:
    ablation = executed(ablation_spec(leave_one_out=False, add_one_in=False))
    # The path's first round brought each factor in, its second left one out but the method.
    kinds = {(row.kind, row.factor) for row in single_changes(ablation)}
    assert ("brought in", "view_scale_min") in kinds and ("taken back", "adversary") in kinds
    assert ("taken back", "method") not in kinds and len(kinds) == 6


def test_the_paired_interval_is_that_of_the_paired_t_test() -> None:
    before, after = {0: 30.0, 1: 41.0, 2: 35.5, 9: 1.0}, {2: 37.0, 0: 34.0, 1: 42.5, 8: 99.0}
    change = paired_change(before, after)
    expected = ttest_rel([34.0, 42.5, 37.0], [30.0, 41.0, 35.5]).confidence_interval(0.95)
    assert change.seeds == (0, 1, 2) and change.mean == pytest.approx(7 / 3)
    assert (change.low, change.high) == pytest.approx((expected.low, expected.high))
    ratio = paired_change({0: 1.0, 1: 2.0, 2: 0.0}, {0: 2.0, 1: 8.0, 2: 1.0}, as_ratio=True)
    assert math.exp(ratio.mean) == pytest.approx(math.sqrt(2 * 4)) and ratio.seeds == (0, 1)


def test_one_seed_has_no_interval_and_no_seed_no_change() -> None:
    lone = paired_change({0: 1.0}, {0: 4.0, 1: 9.0})
    assert lone.mean == 3.0 and math.isnan(lone.low) and math.isnan(lone.high) and lone.seeds == (0,)
    assert math.isnan(paired_change({0: 1.0}, {1: 4.0}).mean)


def test_a_path_that_breaks_off_says_where_and_why() -> None:
    lost = {"method", "adversary"}
    ablation = executed(ablation_spec(), unless(lost, FAILED, (1,)))
    path = path_of(ablation)
    assert [step.brought_in for step in path] == ["method", "view_scale_min", "adversary"]
    assert path[1].without == {"adversary": "seed 1 failed: diverged at epoch 2"}

    def both(trial: Any) -> Any:
        one_of_them = unless({"method", "view_scale_min"}, STOPPED)
        return unless(lost, FAILED)(trial) if trial.params["adversary"] == "to" else one_of_them(trial)

    ablation = executed(ablation_spec(), both)
    path = path_of(ablation)
    assert [step.brought_in for step in path] == ["method", None]
    assert path[1].without == {
        "adversary": "seed 0 failed: diverged at epoch 2",  # without the traceback
        "view_scale_min": "seed 0 stopped: rung 10: rank 4 of 4",
    }
    found = waterfall(ablation, path, ROBUST)
    assert found is not None and [bar.name for bar in found.bars] == [
        "method: simclr → emp_ssl, num_views 2 → 4",
        "the rest: view_scale_min, adversary",
    ]
    assert [bar.is_step for bar in found.bars] == [True, False] and found.bars[1].change.mean == pytest.approx(9.0)


def test_a_path_whose_end_failed_stops_before_it() -> None:
    ablation = executed(ablation_spec(), unless({"method", "adversary", "view_scale_min"}, FAILED))
    path = path_of(ablation)
    assert [step.brought_in for step in path] == ["method", "adversary", None]
    found = waterfall(ablation, path, ROBUST)
    assert found is not None and not found.reaches_end and len(found.bars) == 2
    assert waterfall(executed(ablation_spec(), unless(set(), FAILED)), path, ROBUST) is None
    begun = executed(ablation_spec(), most=7)
    assert waterfall(begun, path_of(begun), ROBUST) is None  # without a step there is nothing to split


def test_steps_add_up_over_the_seeds_that_all_configs_completed() -> None:
    ablation = executed(ablation_spec(), unless(set(), FAILED, (2,)))
    found = waterfall(ablation, path_of(ablation), ROBUST)
    assert found is not None and found.seeds == (0, 1) and found.start == 25.0
    assert [bar.change.mean for bar in found.bars] == pytest.approx([5.5, 6.0, 3.0])


def test_standings() -> None:
    def doubtful(trial: Any) -> Any:
        ending = additive(trial)
        is_doubtful = trial.params == {"method": "from", "adversary": "to", "view_scale_min": "from"}
        return ending | {"metrics": ending["metrics"] | {"validity": ["masked gradients"]}} if is_doubtful else ending

    ablation = executed(ablation_spec(), doubtful)
    assert standing(ablation, FROM) == "" and standing(ablation, ablation.everything) == ""
    assert standing(ablation, frozenset({"adversary"})) == "failed a check: masked gradients"
    assert ablation.by_seed(frozenset({"adversary"}), "val_pgd_8") == {}
    assert set(path_of(ablation)[0].candidates) == {"method", "view_scale_min"}
    begun = executed(ablation_spec(), most=4)
    assert standing(begun, begun.everything) == "still being trained"
    assert standing(begun, frozenset({"method"})) == "not trained yet"
    ungrouped = executed(ablation_spec(groups={}))
    words = standing(ungrouped, frozenset({"num_views"}))
    assert words == "impossible: num_views must be 2 for method simclr: num_views=4"
    assert path_of(ungrouped)[0].without["num_views"] == words


def test_a_spec_of_another_version_is_refused_in_words() -> None:
    spec = ablation_spec()
    record = run(spec, most=1)
    record.spec["design"]["to"]["no_such_field"] = 1
    with pytest.raises(ValueError, match="does not accept the recorded spec: no_such_field"):
        executed_ablation(record)
    del record.spec["design"]["to"]
    with pytest.raises(ValueError, match="does not accept the recorded spec: KeyError: 'to'"):
        executed_ablation(record)
