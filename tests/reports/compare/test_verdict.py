"""Who is ahead: differences built with known answers, and what is not decided."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from reports.compare.__main__ import compare
from reports.compare.compared_trials import EvaluatedTrial, PairedTest, paired_test
from reports.compare.verdict import gap_of_trials, gap_over_seeds, paired_difference_95, sentence
from study.record.metrics import merged
from trainables.presets import LAPTOP
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import TrialConfig

NewStudy = Callable[..., Any]
CONFIG = TrialConfig(**LAPTOP)
METRICS = merged(ROBUST_SSL.metrics(CONFIG))
ROBUST, COST = METRICS["test_pgd_8"], METRICS["train_pflop"]


def trial(name: str, flags: np.ndarray | None = None, **metrics: Any) -> EvaluatedTrial:
    given = {} if flags is None else {"test_pgd_8": flags}
    return EvaluatedTrial(Path(name), CONFIG, metrics, given)


def flags_with(correct: int, total: int) -> np.ndarray:
    return np.arange(total) < correct


def test_seeds_are_compared_pairwise_from_three_on() -> None:
    first, second = {0: 60.0, 1: 62.0, 2: 64.0, 9: 1.0}, {0: 63.0, 1: 66.0, 2: 66.0, 7: 99.0}
    gap = gap_over_seeds(ROBUST, first, second)
    expected = ttest_rel([63, 66, 66], [60, 62, 64]).confidence_interval(0.95)
    assert gap is not None and (gap.difference, gap.low, gap.high) == pytest.approx((3, expected.low, expected.high))
    assert gap.over == "3 common seeds" and gap.ahead == "B"
    assert gap_over_seeds(ROBUST, {0: 1.0, 1: 2.0}, second) is None


def test_the_same_examples_are_compared_pairwise() -> None:
    gap = gap_of_trials(ROBUST, trial("a", flags_with(50, 100)), trial("b", flags_with(60, 100)))
    # 10 of 100 that only B got right: p = 2 / 2^10, a difference of 10 / 102 after half was added to each of four.
    assert gap.ahead == "B" and gap.p_value == pytest.approx(2 / 2**10) and gap.difference == 10
    assert (gap.low + gap.high) / 2 == pytest.approx(100 * 10 / 102)
    assert gap_of_trials(ROBUST, trial("a", flags_with(50, 100)), trial("b", flags_with(53, 100))).ahead == ""
    better = gap_of_trials(COST, trial("a", train_pflop=2.0), trial("b", train_pflop=1.0))
    assert better.ahead == "" and math.isnan(better.low)


def test_other_examples_have_a_wider_interval() -> None:
    paired = gap_of_trials(ROBUST, trial("a", flags_with(50, 100)), trial("b", flags_with(60, 100)))
    numbers = {"test_n": 100}
    lone = gap_of_trials(ROBUST, trial("a", test_pgd_8=50.0, **numbers), trial("b", test_pgd_8=60.0, **numbers))
    assert lone.ahead == "" and "unpaired" in lone.over
    assert lone.low < paired.low < paired.high < lone.high


def test_paired_intervals_cover_the_truth() -> None:
    luck, hits = np.random.default_rng(0), 0
    for _ in range(1000):
        drawn = luck.random(150)
        low, high = paired_difference_95(paired_test(drawn < 0.6, (drawn > 0.25) & (drawn < 0.95)))
        hits += low <= 10 <= high
    assert 0.93 < hits / 1000 < 0.99
    assert paired_difference_95(PairedTest(10, 0, 0, 1.0))[0] < 0 < paired_difference_95(PairedTest(10, 0, 0, 1.0))[1]


def test_the_sentence_names_who_is_ahead_and_the_cost() -> None:
    gap = gap_over_seeds(ROBUST, dict.fromkeys(range(3), 60.0), dict.fromkeys(range(3), 64.0))
    assert gap is not None
    label = "test PGD-20 (cross-entropy and margin) at 8/255"
    assert sentence(gap, COST, (1.0, 1.5)) == (
        f"B is ahead in {label}: A 60.0%, B 64.0%, B - A = +4.0 points [+4.0, +4.0] over 3 common seeds; "
        "B has × 1.50 the training compute of A."
    )


def study(new_study: NewStudy, robust: float) -> Path:
    """Two configurations over three seeds; the better one is as robust as asked for."""
    made = new_study()
    for seed in range(3):
        for views, gain, pflop in ((2, 0.0, 0.1), (4, 10.0, 0.2)):
            uid = made.complete(80.0, robust + gain + seed, pflop, {"num_views": views}, seed=seed)
            folder = made.study_dir / "trials" / uid
            folder.mkdir(parents=True)
            metrics = made.journal.record.trials[uid].metrics
            config = made.journal.record.trials[uid].config
            (folder / "result.json").write_text(json.dumps({"config": config, "metrics": metrics}))
    return Path(made.study_dir)


def test_two_studies_have_their_fronts_in_one_frame_and_a_verdict(new_study: NewStudy) -> None:
    verdict, studies, *_ = compare(study(new_study, 30.0), study(new_study, 34.0))
    assert verdict.caption.startswith("B is ahead in test PGD-20 (cross-entropy and margin) at 8/255: A 40.0%, B 44.0%")
    assert "3 common seeds" in verdict.caption
    assert list(studies.figures) == ["fronts_val_clean", "fronts_val_pgd_8"]
    marks = [trace for trace in studies.figures["fronts_val_pgd_8"].data if trace.mode == "markers"]
    assert [list(trace.customdata) for trace in marks] == [["A/t000", "A/t001"], ["B/t000", "B/t001"]]
    assert [list(trace.y) for trace in marks] == [[31.0, 41.0], [35.0, 45.0]]
    assert marks[0].error_y.array[0] == pytest.approx(1.0)
