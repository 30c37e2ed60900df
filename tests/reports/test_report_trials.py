"""The table of trials against what was written to the journal."""

import math
from collections.abc import Callable
from typing import Any

from written_studies import SPEC

from study.record.measures import examples_behind
from study.record.trials import tabulate

NewStudy = Callable[..., Any]


def test_one_row_a_trial_with_factors_and_metrics(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(80.0, 40.0, 2.0, {"num_views": 8, "adversary": "free", "replays": 3}, validity=["suspicious"])
    study.complete(90.0, 5.0, 1.0, {"num_views": 4, "adversary": "none"})
    study.finish(study.start(num_views=2, adversary="pgd"), "failed", reason="out of memory")
    frame = tabulate(study.read()).frame
    assert frame["uid"].tolist() == ["t000", "t001", "t002"]
    assert frame["state"].tolist() == ["complete", "complete", "failed"]
    assert frame["reason"].tolist() == ["", "", "out of memory"]
    assert frame["validity"].tolist() == [["suspicious"], [], []]
    assert frame["factor_num_views"].tolist() == [8, 4, 2]
    assert frame["factor_replays"].tolist() == [3, None, None]
    assert frame["val_pgd_8"].tolist()[:2] == [40.0, 5.0]
    assert frame["test_clean"].tolist()[:2] == [79.0, 89.0]
    assert frame["train_pflop"].dtype == float and math.isnan(frame["train_pflop"][2])


def test_numbers_of_a_stopped_trial_are_no_results(new_study: NewStudy) -> None:
    study = new_study()
    report = {"milestone": 10, "view_passes": 10, "val_clean": 99.0, "val_pgd_8": 99.0, "train_pflop": 0.1}
    study.finish(
        study.start([report]), "stopped", {"val_clean": 99.0, "val_pgd_8": 99.0, "train_pflop": 0.1}, "rung 10"
    )
    study.complete(80.0, 40.0, 2.0)
    table = tabulate(study.read())
    assert math.isnan(table.frame["val_clean"][0])
    assert table.front["uid"].tolist() == ["t001"]


def test_radii_and_cost_are_read_from_the_study(new_study: NewStudy) -> None:
    objectives = [{"name": "val_pgd_2.5", "direction": "maximize"}, {"name": "train_seconds", "direction": "minimize"}]
    config = {"eval_radii_255": [2.5, 4, 8, 16], "eval_autoattack_samples": 50}
    study = new_study(objectives=objectives, base=SPEC["base"] | config)
    study.complete(80.0, 40.0, 2.0, config, **{"val_pgd_2.5": 60.0, "test_pgd_2.5": 59.0, "test_aa_8": 30.0})
    table = tabulate(study.read())
    assert table.headline is not None and table.cost is not None
    assert (table.headline.name, table.cost.name) == ("val_pgd_2.5", "train_seconds")
    assert [metric.name for metric in table.shares("test")] == [
        "test_clean",
        "test_pgd_2.5",
        "test_pgd_4",
        "test_pgd_8",
        "test_pgd_16",
        "test_aa_8",
    ]


def test_autoattack_counts_its_own_images(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(80.0, 40.0, 2.0, {"eval_autoattack_samples": 50}, test_aa_8=30.0, test_aa_n=50)
    table = tabulate(study.read())
    row = table.configurations.to_dict("records")[0]
    assert (
        examples_behind(row, table.metric("test_aa_8")) == 50
        and examples_behind(row, table.metric("test_pgd_8")) == 360
    )


def test_a_study_without_trials_has_every_objective_as_a_column(new_study: NewStudy) -> None:
    table = tabulate(new_study().read())
    assert len(table.frame) == 0 and table.front.empty
    assert {"uid", "state", "factor_num_views", "val_clean", "val_pgd_8", "train_pflop"} <= set(table.frame.columns)
