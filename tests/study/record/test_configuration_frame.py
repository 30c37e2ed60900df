"""Means and spreads over seeds, worked out by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from study.record.configurations import configurations
from study.record.trials import spread_of, tabulate, whisker_of
from study.trainable import Metric

NewStudy = Callable[..., Any]
FOUR, EIGHT = {"num_views": 4}, {"num_views": 8}
CLEAN = Metric("val_clean", kind="share", count="val_n")


def test_one_row_a_configuration_with_mean_and_sample_deviation(new_study: NewStudy) -> None:
    study = new_study()
    for seed, clean in enumerate((70.0, 72.0, 77.0)):
        study.complete(clean, 40.0, 2.0, FOUR, seed=seed)
    study.complete(90.0, 20.0, 3.0, EIGHT)
    four, eight = tabulate(study.read()).configurations.to_dict("records")
    assert (four["uid"], four["uids"], four["seeds"]) == ("t000", ["t000", "t001", "t002"], [0, 1, 2])
    assert four["val_clean"] == 73.0
    assert spread_of(four, "val_clean") == (pytest.approx(math.sqrt(13)), 3)  # squares 9, 1, 16; two degrees of freedom
    assert eight["factor_num_views"] == 8 and math.isnan(spread_of(eight, "val_clean")[0])


def test_whiskers_are_the_spread_over_seeds_or_wilson_for_one_seed(new_study: NewStudy) -> None:
    study = new_study()
    for seed, clean in enumerate((70.0, 76.0)):
        study.complete(clean, 40.0, 2.0, FOUR, seed=seed, val_n=100)
    study.complete(50.0, 20.0, 3.0, EIGHT, val_n=100)
    four, eight = tabulate(study.read()).configurations.to_dict("records")
    assert whisker_of(four, CLEAN) == pytest.approx((math.sqrt(18), math.sqrt(18)))
    assert whisker_of(eight, CLEAN) == pytest.approx((9.6168, 9.6168), abs=1e-4)
    assert whisker_of(eight, Metric("train_pflop", "minimize", kind="cost")) is None


def test_a_seed_that_was_run_twice_counts_once(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(70.0, 40.0, 2.0, FOUR, seed=0)
    study.complete(74.0, 40.0, 2.0, FOUR, seed=0, purpose="confirmation", test_aa_8=30.0)
    study.complete(78.0, 40.0, 2.0, FOUR, seed=1, purpose="confirmation", test_aa_8=34.0)
    (row,) = tabulate(study.read()).configurations.to_dict("records")
    assert (row["val_clean"], row["num_seeds"], row["seeds_of_val_clean"]) == (75.0, 2, 2)
    assert row["purposes"] == ["confirmation", "search"]


def test_autoattack_is_averaged_over_the_seeds_that_have_it(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(70.0, 40.0, 2.0, FOUR, seed=0)
    study.complete(70.0, 40.0, 2.0, FOUR, seed=1, purpose="confirmation", test_aa_8=30.0, test_aa_n=50)
    (row,) = tabulate(study.read()).configurations.to_dict("records")
    assert row["test_aa_8"] == 30.0 and spread_of(row, "test_aa_8")[1] == 1
    autoattack = Metric("test_aa_8", kind="share", count="test_aa_n")
    assert whisker_of(row, autoattack) == pytest.approx((10.90, 13.75), abs=0.01)  # 15 of 50


def test_a_lost_seed_is_counted_and_not_averaged(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(70.0, 40.0, 2.0, FOUR, seed=0)
    study.finish(study.start(seed=1, **FOUR), "failed", reason="diverged")
    study.finish(study.start(seed=2, **FOUR), "stopped", {"val_clean": 10.0}, "rung 10")
    study.start(seed=3, **FOUR)
    (row,) = tabulate(study.read()).configurations.to_dict("records")
    assert (row["val_clean"], row["num_seeds"], row["num_lost"], row["state"]) == (70.0, 1, 2, "failed")


@pytest.mark.parametrize("lost", ["failed", "stopped"])
def test_a_configuration_that_lost_a_seed_is_what_the_study_calls_it_and_on_no_front(
    new_study: NewStudy, lost: str
) -> None:
    study = new_study(seeds=[0, 1])
    study.complete(90.0, 90.0, 1.0, FOUR, seed=0)
    study.complete(70.0, 40.0, 2.0, EIGHT, seed=0)
    study.start(seed=1, **EIGHT)
    assert tabulate(study.read()).front["uid"].tolist() == ["t000"]
    study.finish(study.start(seed=1, **FOUR), lost, reason="the loss is not finite")
    table = tabulate(study.read())
    assert table.front["uid"].tolist() == ["t001"], "a seed that still runs is not lost"
    assert table.certainty[0]["front_probability"].tolist() == [0.0, 1.0]
    assert table.configurations["state"].tolist() == [lost, "running"]
    assert table.configurations["is_lost"].tolist() == [True, False] and table.whole["uid"].tolist() == ["t001"]
    assert configurations(table.study, num_seeds=2)[0].state == lost


def test_a_warning_of_one_seed_keeps_the_configuration_off_the_front(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 90.0, 1.0, FOUR, seed=0)
    study.complete(90.0, 90.0, 1.0, FOUR, seed=1, validity=["masked"])
    study.complete(70.0, 40.0, 2.0, EIGHT)
    table = tabulate(study.read())
    assert table.front["uid"].tolist() == ["t002"]
    assert table.trusted["uid"].tolist() == ["t002"]


def test_the_front_is_that_of_the_means_not_of_the_luckiest_seeds(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 40.0, 1.0, FOUR, seed=0)
    study.complete(60.0, 40.0, 1.0, FOUR, seed=1)
    study.complete(80.0, 40.0, 1.0, EIGHT, seed=0)
    assert tabulate(study.read()).front["uid"].tolist() == ["t002"]


def test_a_seed_without_a_finite_objective_leaves_no_mean(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 40.0, 1.0, FOUR, seed=0)
    study.complete(90.0, 40.0, 1.0, FOUR, seed=1, val_pgd_8=math.nan)
    table = tabulate(study.read())
    assert math.isnan(table.configurations["val_pgd_8"][0]) and table.front.empty


def test_a_study_without_trials_has_no_configurations(new_study: NewStudy) -> None:
    table = tabulate(new_study().read())
    assert len(table.configurations) == 0 and table.certainty[1] is None


def test_rounding_of_a_mean_breaks_no_tie(new_study: NewStudy) -> None:
    study = new_study()
    for seed in range(3):
        study.complete(70.0, 40.0, 0.1, FOUR, seed=seed, train_pflop=0.1)
    study.complete(70.0, 40.0, 0.1, EIGHT, train_pflop=0.1)
    table = tabulate(study.read())
    assert table.configurations["train_pflop"].tolist() == [0.1, 0.1]
    assert table.configurations["on_front"].all() and (table.certainty[0]["front_probability"] > 0).all()


def test_values_of_a_conditional_factor_stay_whole_numbers(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(70.0, 40.0, 2.0, {"adversary": "free", "replays": 3})
    study.complete(70.0, 40.0, 2.0, {"adversary": "none"})
    values = tabulate(study.read()).configurations["factor_replays"].tolist()
    assert values == [3, None] and isinstance(values[0], int)
