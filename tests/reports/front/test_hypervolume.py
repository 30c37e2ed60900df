"""Hypervolumes and their growth on boxes that were worked out by hand."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reports.front.front_progress import growth_of
from study.record.configurations import Configuration, spent
from study.record.front import comparable_means, nondominated
from study.record.hypervolume import ReferenceBox, reference_box, stages
from study.record.journal import StudyRecord, TrialRecord
from study.record.metrics import objectives_of
from study.record.trials import tabulate
from study.trainable import Metric
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import TrialConfig

NewStudy = Callable[..., Any]
METRICS = {metric.name: metric for metric in ROBUST_SSL.metrics(TrialConfig())}
CLEAN, ROBUST, COST = METRICS["val_clean"], METRICS["val_pgd_8"], METRICS["train_pflop"]


def growth_in(record: StudyRecord, box: ReferenceBox) -> dict[str, list[Any]]:
    """Uid, cost so far and hypervolume after each trial that ended."""
    found = list(stages(record, [CLEAN, ROBUST], COST, "is_encoder_shared"))
    return {
        "uid": [stage.trial.uid for stage in found],
        "spent": [stage.spent for stage in found],
        "hypervolume": [box.share(stage.front) for stage in found],
    }


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


def test_where_nothing_has_cost_anything_all_is_at_the_best_cost() -> None:
    points = np.array([[50.0, 0.0]])
    assert reference_box(points, [CLEAN, COST]).share(points) == 0.5


def test_another_objective_reaches_from_its_best_to_a_tenth_of_its_range_behind_its_worst() -> None:
    box = reference_box(np.array([[2.0], [7.0]]), [Metric("feature_effective_rank")])
    assert (box.reference, box.ideal) == ((1.5,), (7.0,))
    box = reference_box(np.array([[2.0], [2.0]]), [Metric("train_loss", "minimize")])
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
    growth = growth_in(record, box)
    assert growth["uid"] == ["t000", "t001", "t002", "t003"]  # the running one has not ended
    assert growth["spent"] == pytest.approx([1.0, 1.5, 1.5, 3.5])
    assert growth["hypervolume"] == pytest.approx([0.25, 0.25, 0.25, 0.30])
    assert spent(record.trials["t001"], COST.name, "is_encoder_shared") == 0.5


def test_what_another_trial_had_trained_is_not_spent_once_more(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(50.0, 50.0, 1.0, {"num_views": 4})
    study.complete(50.0, 50.0, 5.0, {"num_views": 8}, reused_train_pflop=3.0)
    study.complete(50.0, 50.0, 7.0, {"num_views": 16}, is_encoder_shared=True)
    growth = growth_in(study.read(), reference_box(np.array([[60.0, 50.0]]), [CLEAN, ROBUST]))
    assert growth["spent"] == pytest.approx([1.0, 3.0, 3.0])


def test_a_second_seed_and_a_warning_take_back_what_luck_had_added(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(60.0, 50.0, 1.0, {"num_views": 4}, seed=0)
    study.complete(40.0, 50.0, 1.0, {"num_views": 4}, seed=1)
    study.complete(40.0, 50.0, 1.0, {"num_views": 4}, seed=2, validity=["masked"])
    box = reference_box(np.array([[60.0, 50.0]]), [CLEAN, ROBUST])
    growth = growth_in(study.read(), box)
    assert growth["hypervolume"] == pytest.approx([0.30, 0.25, 0.0])


def test_a_seed_that_fails_takes_its_configuration_away(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(50.0, 50.0, 1.0, {"num_views": 8})
    study.complete(60.0, 50.0, 1.0, {"num_views": 4}, seed=0)
    study.finish(study.start(seed=1, num_views=4), "failed", reason="diverged")
    box = reference_box(np.array([[60.0, 50.0]]), [CLEAN, ROBUST])
    growth = growth_in(study.read(), box)
    assert growth["hypervolume"] == pytest.approx([0.25, 0.30, 0.25])


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
    assert found.frame["hypervolume"].iloc[-1] == pytest.approx(found.box.share(front))


def test_trials_count_in_the_order_in_which_they_ended(new_study: NewStudy) -> None:
    study = new_study()
    slow, fast = study.start(num_views=4), study.start(num_views=8)
    for uid, clean in ((fast, 50.0), (slow, 60.0)):
        study.finish(uid, "complete", {"val_clean": clean, "val_pgd_8": 50.0, "train_pflop": 1.0})
    table = tabulate(study.read())
    box = reference_box(np.array([[60.0, 50.0]]), [CLEAN, ROBUST])
    assert growth_in(table.study, box)["uid"] == [fast, slow]


def test_what_was_not_trained_or_is_not_allowed_adds_nothing(new_study: NewStudy) -> None:
    study = new_study(constraints=[{"name": "train_pflop", "at_most": 3.0}])
    study.complete(50.0, 50.0, 1.0, {"num_views": 4})
    study.complete(50.0, 60.0, 1.0, {"num_views": 2}, is_encoder_shared=True)
    study.complete(90.0, 90.0, 9.0, {"num_views": 8})
    study.complete(50.0, 50.0, 1.5, {"num_views": 3}, is_encoder_shared=True, reused_train_pflop=1.0)
    growth = growth_in(study.read(), reference_box(np.array([[50.0, 50.0]]), [CLEAN, ROBUST]))
    assert growth["spent"] == [1.0, 1.0, 10.0, 10.5], "with a shared encoder, only what was trained after it"
    assert growth["hypervolume"] == pytest.approx([0.25, 0.30, 0.30, 0.30])


def test_one_objective_has_the_share_of_the_length() -> None:
    box = reference_box(np.array([[80.0]]), [CLEAN])
    assert box.share(np.array([[20.0], [80.0]])) == pytest.approx(0.8) and box.share(np.empty((0, 1))) == 0
    box = reference_box(np.array([[2.0], [10.0]]), [COST])
    assert box.share(np.array([[2.0], [10.0]])) == pytest.approx(9 / 11)
    assert box.share(np.array([[12.0]])) == 0  # dearer than the box


def test_without_a_cost_trials_are_counted(new_study: NewStudy) -> None:
    study = new_study()
    for clean in (50.0, 60.0, 40.0):
        study.complete(clean, 50.0, 1.0)
    found = list(stages(study.read(), [CLEAN, ROBUST], None, ""))
    assert [stage.spent for stage in found] == [1, 2, 3] and [len(stage.front) for stage in found] == [1, 1, 1]


def test_every_stage_has_the_front_of_all_that_had_ended(new_study: NewStudy) -> None:
    """Also where a further seed changes a point, takes it away, or it was at an end of the span."""
    study, luck = new_study(seeds=(0, 1)), random.Random(0)
    for number in range(40):
        params = {"num_views": 2, "view_scale_min": 0.1 + number // 2 / 100}
        if luck.random() < 0.1:
            study.finish(study.start(seed=number % 2, **params), "failed", reason="diverged")
        else:
            study.complete(
                luck.choice((50.0, 60.0, 70.0)),
                50.0 + luck.randrange(9),
                1.0 + luck.randrange(3),
                params,
                seed=number % 2,
            )
    record = study.read()
    objectives, ended = objectives_of(record), list(record.trials.values())
    for number, stage in enumerate(stages(record, objectives, None, ""), start=1):
        groups: dict[str, list[TrialRecord]] = {}
        for trial in ended[:number]:
            groups.setdefault(trial.configuration, []).append(trial)
        means = comparable_means([Configuration(tuple(own), 1) for own in groups.values()], objectives, record)
        members = means[nondominated(means, [objective.maximise for objective in objectives])]
        assert sorted(stage.front.tolist()) == sorted(members.tolist()) and len(stage.names) == len(members)
        assert stage.span.tolist() == [np.nanmin(means, axis=0).tolist(), np.nanmax(means, axis=0).tolist()]
