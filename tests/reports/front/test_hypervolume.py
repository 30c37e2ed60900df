"""Hypervolumes and their growth on boxes that were worked out by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reports.front.front_progress import growth_of
from reports.front.hypervolume import hypervolume_growth, reference_box, spent_pflop
from study.record.measures import Objective
from study.record.trials import tabulate

NewStudy = Callable[..., Any]
CLEAN, ROBUST = Objective("val_clean", maximise=True), Objective("val_pgd_8", maximise=True)
COST = Objective("train_pflop", maximise=False)


def test_accuracies_have_the_box_from_0_to_100() -> None:
    points = np.array([[80.0, 20.0], [40.0, 50.0]])
    box = reference_box(points, [CLEAN, ROBUST])
    assert (box.reference, box.ideal) == ((0, 0), (100, 100))
    # 80 x 20 and 40 x 50 overlap in 40 x 20.
    assert box.share(points) == pytest.approx((1600 + 2000 - 800) / 10_000)
    assert box.share(np.empty((0, 2))) == 0


def test_a_cost_reaches_from_0_to_a_tenth_behind_the_dearest() -> None:
    points = np.array([[50.0, 10.0]])
    box = reference_box(points, [CLEAN, COST])
    assert box.reference == (0, pytest.approx(11)) and box.ideal == (100, 0)
    assert box.share(points) == pytest.approx(0.5 * 1 / 11)


def test_another_objective_reaches_from_its_best_to_a_tenth_of_its_range_behind_its_worst() -> None:
    box = reference_box(np.array([[2.0], [7.0]]), [Objective("feature_effective_rank", maximise=True)])
    assert (box.reference, box.ideal) == ((1.5,), (7.0,))
    box = reference_box(np.array([[2.0], [2.0]]), [Objective("train_loss", maximise=False)])
    assert (box.reference, box.ideal) == ((pytest.approx(2.1),), (2.0,))


def test_growth_over_what_was_spent(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(50.0, 50.0, 1.0, {"num_views": 4})
    reports = [{"milestone": m, "view_passes": m, "val_clean": 99.0, "train_pflop": m / 10} for m in (1, 5)]
    study.finish(study.start(reports), "stopped", reason="rung")
    study.finish(study.start(), "failed", reason="diverged")
    study.complete(60.0, 50.0, 2.0, {"num_views": 8})
    study.start([{"milestone": 1, "view_passes": 1, "train_pflop": 70.0}])
    record = study.read()
    box = reference_box(np.array([[60.0, 50.0]]), [CLEAN, ROBUST])
    growth = hypervolume_growth(record, [CLEAN, ROBUST], box)
    assert growth["uid"].tolist() == ["t000", "t001", "t002", "t003"]  # the running one has not ended
    assert growth["spent_pflop"].tolist() == pytest.approx([1.0, 1.5, 1.5, 3.5])
    assert growth["hypervolume"].tolist() == pytest.approx([0.25, 0.25, 0.25, 0.30])
    assert spent_pflop(record.trials["t001"]) == 0.5


def test_a_second_seed_and_a_warning_take_back_what_luck_had_added(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(60.0, 50.0, 1.0, {"num_views": 4}, seed=0)
    study.complete(40.0, 50.0, 1.0, {"num_views": 4}, seed=1)
    study.complete(40.0, 50.0, 1.0, {"num_views": 4}, seed=2, validity=["masked"])
    box = reference_box(np.array([[60.0, 50.0]]), [CLEAN, ROBUST])
    growth = hypervolume_growth(study.read(), [CLEAN, ROBUST], box)
    assert growth["hypervolume"].tolist() == pytest.approx([0.30, 0.25, 0.0])


def test_a_seed_that_fails_takes_its_configuration_away(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(50.0, 50.0, 1.0, {"num_views": 8})
    study.complete(60.0, 50.0, 1.0, {"num_views": 4}, seed=0)
    study.finish(study.start(seed=1, num_views=4), "failed", reason="diverged")
    box = reference_box(np.array([[60.0, 50.0]]), [CLEAN, ROBUST])
    growth = hypervolume_growth(study.read(), [CLEAN, ROBUST], box)
    assert growth["hypervolume"].tolist() == pytest.approx([0.25, 0.30, 0.25])


@pytest.mark.parametrize("luck", range(6))
def test_growth_ends_where_the_front_is(new_study: NewStudy, luck: int) -> None:
    # Seeds that are repeated, miss a measure, fail or fail a check, and means over seeds at the edge of a constraint.
    generator, constraints = np.random.default_rng(luck), [{"name": "train_seconds", "at_most": 100.0}]
    study = new_study(constraints=constraints)
    for _ in range(40):
        params, seed = {"num_views": int(generator.integers(2, 10))}, int(generator.integers(0, 3))
        if generator.random() < 0.03:
            study.finish(study.start(seed=seed, **params), "failed", reason="diverged")
            continue
        clean, robust = generator.uniform(30, 70, size=2)
        changes = {"train_seconds": generator.normal(97, 5), "validity": ["masked"] * int(generator.random() < 0.03)}
        changes |= {"train_seconds": None} if generator.random() < 0.2 else {}
        changes |= {"val_pgd_8": None} if generator.random() < 0.03 else {}
        study.complete(clean, robust, 1.0, params, seed=seed, **changes)
    table = tabulate(study.read())
    found = growth_of(table)
    assert found is not None and 0 < len(table.front_configurations) < len(table.configurations)
    front = table.front_configurations[[objective.name for objective in table.objectives]].to_numpy(dtype=float)
    assert found[1]["hypervolume"].iloc[-1] == pytest.approx(found[0].share(front))


def test_trials_count_in_the_order_in_which_they_ended(new_study: NewStudy) -> None:
    study = new_study()
    slow, fast = study.start(num_views=4), study.start(num_views=8)
    for uid, clean in ((fast, 50.0), (slow, 60.0)):
        study.finish(uid, "complete", {"val_clean": clean, "val_pgd_8": 50.0, "train_pflop": 1.0})
    table = tabulate(study.read())
    box = reference_box(np.array([[60.0, 50.0]]), [CLEAN, ROBUST])
    assert hypervolume_growth(table.study, [CLEAN, ROBUST], box)["uid"].tolist() == [fast, slow]


def test_what_was_not_trained_or_is_not_allowed_adds_nothing(new_study: NewStudy) -> None:
    study = new_study(constraints=[{"name": "train_pflop", "at_most": 3.0}])
    study.complete(50.0, 50.0, 1.0, {"num_views": 4})
    study.complete(50.0, 60.0, 1.0, {"num_views": 2}, is_encoder_shared=True)
    study.complete(90.0, 90.0, 9.0, {"num_views": 8})
    growth = hypervolume_growth(study.read(), [CLEAN, ROBUST], reference_box(np.array([[50.0, 50.0]]), [CLEAN, ROBUST]))
    assert growth["spent_pflop"].tolist() == [1.0, 1.0, 10.0]
    assert growth["hypervolume"].tolist() == pytest.approx([0.25, 0.30, 0.30])
