"""What mattered, as sections: shown with intervals, or said to be missing."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest

from reports.effects.effect_sections import effect_sections, stopping_sections
from reports.page.page import Section
from study.record.trials import TrialTable, tabulate

NewStudy = Callable[..., Any]
FACTORS = [{"name": "num_views"}, {"name": "adversary"}]


def grid(new_study: NewStudy, seeds: int) -> TrialTable:
    """Four more views add 2 points of clean accuracy and 1 more a seed; free training takes 10."""
    study = new_study(factors=FACTORS)
    for views, adversary, seed in itertools.product((4, 8), ("free", "none"), range(seeds)):
        clean = 70 + (2 + seed) * (views == 8) - 10 * (adversary == "free")
        study.complete(clean, 20.0 + views, float(views), {"num_views": views, "adversary": adversary}, seed=seed)
    return tabulate(study.read())


def section_of(sections: list[Section], title: str) -> Section:
    (found,) = [section for section in sections if section.title == title]
    return found


def test_a_row_for_each_change_with_the_effect_on_each_metric_beside_the_other(new_study: NewStudy) -> None:
    section = section_of(effect_sections(grid(new_study, seeds=3)), "What mattered")
    main, crossed = section.tables
    assert main.text.columns.tolist() == [
        "factor", "change", "val clean (points)", "val PGD-20 (cross-entropy and margin) at 8/255 (points)",
        "training compute", "pairs",
    ]  # fmt: skip
    views, _ = main.text.to_dict("records")
    assert (views["factor"], views["change"], views["pairs"]) == ("num_views", "4 → 8", "6")
    # 2, 3 and 4 points, each twice: t(0.975, 5) = 2.5706, standard error 0.8944 / sqrt(6).
    assert views["val clean (points)"].startswith("+3.0 [+2.1, +3.9], p ") and views["training compute"] == "× 2.00"
    assert main.data.loc[0, ["val_clean_effect", "val_clean_pairs"]].tolist() == [3.0, 6]
    assert main.data.loc[0, "val_clean_high"] == pytest.approx(3 + 2.5706 * 0.8944 / 6**0.5, abs=1e-3)
    assert crossed.text["pairs"].tolist() == ["3"]
    assert list(section.figures) == ["main_effects_val_clean", "main_effects_val_pgd_8"]
    (trace,) = section.figures["main_effects_val_clean"].data
    assert list(trace.y) == ["num_views<br>4 → 8", "adversary<br>free → none"] and trace.x[0] == 3.0
    assert trace.error_x.array[0] == trace.error_x.arrayminus[0] == pytest.approx(0.9386, abs=1e-3)


def test_one_sentence_and_the_method_behind_it(new_study: NewStudy) -> None:
    section = section_of(effect_sections(grid(new_study, seeds=3)), "What mattered")
    assert len(re.findall(r"\.(?= |$)", section.caption)) == 1 and "Holm" in section.method


def test_one_pair_is_no_evidence(new_study: NewStudy) -> None:
    section = section_of(effect_sections(grid(new_study, seeds=1)), "What mattered")
    assert not section.figures and not section.tables
    assert "needs 3 pairs" in section.missing and "the most is 2 (num_views: 4 → 8)" in section.missing


def test_importance_of_few_trials_is_missing(new_study: NewStudy) -> None:
    section = section_of(effect_sections(grid(new_study, seeds=3)), "Parameter importance")
    assert not section.figures and "needs 30 complete trials, of which there are 12" in section.missing


def ranked(new_study: NewStudy, trials: int) -> TrialTable:
    """Trials whose order at the rung is that of the end, but for the first two."""
    study = new_study(factors=FACTORS)
    for index in range(trials):
        report = {
            "milestone": 10,
            "view_passes": 10,
            "val_clean": 10.0 + max(index, 1) + (index == 0),
            "val_pgd_8": 1.0,
        }
        uid = study.start([report], num_views=2 + index)
        ends = {"val_clean": 50.0 + index, "val_pgd_8": 20.0, "train_pflop": 1.0, "val_n": 144, "validity": []}
        study.finish(uid, "complete", ends)
    return tabulate(study.read())


def test_agreement_of_rankings_is_shown_with_an_interval_or_not_at_all(new_study: NewStudy) -> None:
    (section,) = stopping_sections(ranked(new_study, 9))
    assert not section.tables and "needs 10 configurations" in section.missing
    (section,) = stopping_sections(ranked(new_study, 12))
    (row,) = section.tables[0].text.to_dict("records")
    assert re.fullmatch(r"\[0\.\d\d, 0\.\d\d\]", row["95% interval"]) and not section.missing
