"""Agreement of rungs with ends, and audits, by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau
from written_studies import results

from reports.effects.early_stopping import audit_of, rank_agreement, tau_interval
from study.record.intervals import wilson_95
from study.record.trials import tabulate

NewStudy = Callable[..., Any]


def finish(
    study: Any,
    at_rung: float,
    clean: float,
    decision: str | None = None,
    seed: int = 0,
    params: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """A complete trial with one rung; only its clean accuracy varies. Without ``params`` it is one of a kind."""
    report = {"milestone": 10, "view_passes": 10, "val_clean": at_rung, "val_pgd_8": 10.0, "train_pflop": 0.1}
    uid: str = study.start([report], seed=seed, **(params or {}))
    if decision:
        study.journal.write("decided", uid=uid, milestone=10, decision=decision, reason="")
    return study.finish(uid, "complete", results(clean, 20.0, 1.0, **changes))  # type: ignore[no-any-return]


def test_tau_between_rung_and_end(new_study: NewStudy) -> None:
    study = new_study()
    # One of six pairs is the other way round: (5 - 1) / 6.
    for at_rung, clean in ((10.0, 50.0), (20.0, 60.0), (30.0, 80.0), (40.0, 70.0)):
        finish(study, at_rung, clean)
    stopped = {"milestone": 10, "view_passes": 10, "val_clean": 5.0, "val_pgd_8": 1.0}
    study.finish(study.start([stopped]), "stopped", {"val_clean": 99.0})
    row = rank_agreement(tabulate(study.read())).iloc[0]
    assert (row["milestone"], row["objective"], row["configurations"]) == (10, "val_clean", 4)
    assert row["tau"] == pytest.approx(4 / 6) and math.isnan(row["low"])
    assert "train_pflop" not in set(rank_agreement(tabulate(study.read()))["objective"])


def test_seeds_of_a_configuration_are_averaged_and_counted_once(new_study: NewStudy) -> None:
    # The luck of a seed turns the ranking of single trials around; that of the means agrees but for the last two.
    study, ends = new_study(), (10.0, 20.0, 30.0, 50.0, 40.0)
    for index, end in enumerate(ends):
        for seed, luck in enumerate((-30.0, 0.0, 30.0)):
            finish(study, 10.0 * index + 40.0 + luck, end + 40.0 - luck, seed=seed, params={"num_views": 2 + index})
    row = rank_agreement(tabulate(study.read())).iloc[0]
    assert (row["configurations"], row["tau"]) == (5, pytest.approx((9 - 1) / 10))


def test_the_interval_of_tau_by_hand() -> None:
    # tau 0.5, n 104: z = 0.5493, standard error sqrt(0.00437) = 0.06611, reach 0.12957.
    assert tau_interval(0.5, 104) == pytest.approx((math.tanh(0.41974), math.tanh(0.67888)), abs=1e-4)
    assert all(math.isnan(value) for value in (*tau_interval(0.5, 9), *tau_interval(1.0, 50)))


def test_the_interval_of_tau_covers_the_truth() -> None:
    generator, hits, truth = np.random.default_rng(0), 0, 2 / math.pi * math.asin(0.6)
    for _ in range(300):
        x, noise = generator.normal(size=(2, 40))
        low, high = tau_interval(float(kendalltau(x, 0.6 * x + 0.8 * noise).statistic), 40)
        hits += low <= truth <= high
    assert 0.91 < hits / 300 < 0.99


def test_audited_trials_on_the_front_are_what_stopping_would_have_cost(new_study: NewStudy) -> None:
    study = new_study()
    finish(study, 10.0, 90.0, "audit")
    finish(study, 20.0, 60.0, "audit")
    finish(study, 30.0, 70.0, "audit")
    finish(study, 30.0, 95.0, "audit", validity=["masked"])
    finish(study, 40.0, 80.0, "continue")
    study.journal.write("decided", uid=study.start(), milestone=10, decision="audit", reason="")
    audit = audit_of(tabulate(study.read()))
    assert (audit.num_audited, audit.num_on_front, audit.uids_on_front, audit.num_unfinished) == (3, 1, ("t000",), 2)
    assert audit.interval == wilson_95(100 / 3, 3)


def test_without_audits_nothing_is_claimed(new_study: NewStudy) -> None:
    study = new_study()
    finish(study, 10.0, 90.0)
    audit = audit_of(tabulate(study.read()))
    assert (audit.num_audited, audit.interval) == (0, None)
