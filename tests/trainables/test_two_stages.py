"""Trials of two stages on digits: a teacher's pretraining is part of its student's trial, whoever trained it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.checkpoint import TrialCheckpoint
from trainables.data.datasets import TrialData, load_data
from trainables.evaluation.evaluate import Metrics, evaluate_interim
from trainables.pretraining.pretrain import TrialDiverged
from trainables.pretraining.shared_encoder import encoder_name
from trainables.pretraining.stages import Stages
from trainables.robust_ssl import ROBUST_SSL
from trainables.run_trial import load_classifier, save_classifier
from trainables.trial import FinalReport, InterimReport, Progress, run_trial
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")
CONFIG = TrialConfig(
    method="deacl", teacher_num_views=3, teacher_epochs=2, num_views=1, augmentation="padded_crop", epochs=3,
    dataset="digits", image_size=8, train_images=40, encoder="resnet_narrow", projector_hidden_dim=16, projector_dim=8,
    batch_size=20, replays=2, probe="central", probe_layer="backbone", probe_epochs=1, probe_learning_rate=1e-2,
    eval_samples=50, eval_pgd_steps=2, eval_radii_255=(8.0,), rung_images=40, rung_probe_epochs=1,
)  # fmt: skip
TEACHER, _ = CONFIG.stages()
# Batches: the teacher's come first. View passes of one, in the first stage and in the second.
TEACHER_BATCHES, STUDENT_BATCHES = 2 * 2, 3 * 2
FIRST, SECOND = 20 * 3, 20 * 2 * 2
TEACHER_PASSES, PASSES = TEACHER_BATCHES * FIRST, TEACHER_BATCHES * FIRST + STUDENT_BATCHES * SECOND
MILESTONES = (1, 100, TEACHER_PASSES, TEACHER_PASSES + 1, 400, PASSES)
TIMES = ("train_seconds", "evaluation_seconds")


def slow(stop_at: int) -> Any:
    return pytest.param(stop_at, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def data() -> TrialData:
    return load_data(CONFIG)


def run(config: TrialConfig, data: TrialData, **options: Any) -> list[Any]:
    return list(run_trial(config, data, CPU, **options))


def untimed(report: InterimReport | FinalReport, *but: str) -> Metrics:
    return {name: value for name, value in report.metrics.items() if name not in (*TIMES, *but)}


def interim(reports: Sequence[Any]) -> list[InterimReport]:
    return [report for report in reports if isinstance(report, InterimReport)]


def reused(report: FinalReport) -> Metrics:
    return {name: value for name, value in report.metrics.items() if name.startswith("reused_")}


@pytest.fixture(scope="module")
def whole(data: TrialData) -> list[Any]:
    return run(CONFIG, data, milestones=MILESTONES)


def test_batches_and_milestones_are_in_order_through_both_stages(whole: list[Any]) -> None:
    seen = [report.view_passes for report in whole if isinstance(report, Progress)]
    assert seen == [FIRST * (n + 1) for n in range(4)] + [TEACHER_PASSES + SECOND * (n + 1) for n in range(6)]
    assert [r.share_done for r in whole if isinstance(r, Progress)] == [passes / PASSES for passes in seen]
    assert [report.metrics["milestone"] for report in interim(whole)] == list(MILESTONES[:-1])
    assert [report.metrics["view_passes"] for report in interim(whole)] == [60, 120, 240, 320, 400]
    assert isinstance(whole[-1], FinalReport) and whole[-1].metrics["view_passes"] == PASSES


def test_in_the_first_stage_a_trial_is_as_good_as_its_teacher(whole: list[Any], data: TrialData) -> None:
    alone = (r for r in run_trial(TEACHER, data, CPU, milestones=MILESTONES) if isinstance(r, InterimReport))
    assert [untimed(report) for report in interim(whole)[:2]] == [untimed(next(alone)), untimed(next(alone))]
    teacher = Stages(TEACHER, *data.train.tensors(), CPU)
    for _ in teacher.current.run():
        pass
    at_its_end = untimed(interim(whole)[2], "train_loss")
    found = evaluate_interim(teacher, data, TEACHER) | {"milestone": TEACHER_PASSES}
    assert at_its_end == {name: value for name, value in found.items() if name not in TIMES}


def test_costs_are_those_of_both_stages_and_known_before(whole: list[Any], data: TrialData) -> None:
    final, known = whole[-1].metrics, ROBUST_SSL.known_metrics(CONFIG)
    assert ROBUST_SSL.total_progress(CONFIG, 40) == PASSES == 40 * known["view_passes"]
    assert final["train_pflop"] == pytest.approx(40 * known["train_pflop"], rel=1e-6)
    teacher = ROBUST_SSL.known_metrics(TEACHER)
    at_its_end = interim(whole)[2].metrics
    assert at_its_end["view_passes"] == 40 * teacher["view_passes"]
    assert at_its_end["train_pflop"] == pytest.approx(40 * teacher["train_pflop"], rel=1e-6)
    assert 0 < at_its_end["train_seconds"] < final["train_seconds"]
    assert reused(whole[-1]) == {} and not final["is_encoder_shared"]


@pytest.mark.parametrize("stop_at", [2, slow(4), 5, 6, slow(9)])
def test_a_trial_goes_on_exactly_from_either_stage(
    data: TrialData, whole: list[Any], tmp_path: Path, stop_at: int
) -> None:
    kept = {"checkpoint_path": tmp_path / "c.pt", "checkpoint_seconds": 0.0}
    first = run_trial(CONFIG, data, CPU, **kept)  # type: ignore[arg-type]
    for _ in range(stop_at):
        next(first)
    first.close()  # type: ignore[attr-defined]
    rest = run(CONFIG, data, **kept)
    progress = [report for report in whole if isinstance(report, Progress)]
    assert rest[:-1] == progress[stop_at - 1 :], "but for the batch that was not kept"
    assert untimed(rest[-1], "train_loss") == untimed(whole[-1], "train_loss")
    weights = whole[-1].classifier.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in rest[-1].classifier.state_dict().items())


def test_a_report_at_the_end_of_the_first_stage_that_got_lost_is_made_again(
    data: TrialData, whole: list[Any], tmp_path: Path
) -> None:
    kept = {"checkpoint_path": tmp_path / "c.pt", "checkpoint_seconds": 1e9}
    first = run_trial(CONFIG, data, CPU, milestones=(TEACHER_PASSES,), **kept)  # type: ignore[arg-type]
    lost = next(report for report in first if isinstance(report, InterimReport))
    first.close()  # type: ignore[attr-defined]
    rest = run(CONFIG, data, milestones=(TEACHER_PASSES, 400), **kept)
    assert untimed(rest[0]) == untimed(lost)
    assert untimed(interim(rest)[1], "train_loss") == untimed(interim(whole)[4], "train_loss")


def test_students_of_one_teacher_train_it_once_and_report_what_it_costs(
    data: TrialData, whole: list[Any], tmp_path: Path
) -> None:
    def path(config: TrialConfig) -> Path:
        return tmp_path / encoder_name(config, data.checksum, "cpu")

    first = run(CONFIG, data, encoder_path=path(CONFIG))[-1]
    other = CONFIG.replace(adversary="fgsm", student_start="random", learning_rate=0.1)
    alone, second = run(other, data), run(other, data, encoder_path=path(other), milestones=MILESTONES)
    assert untimed(first, "train_loss") == untimed(whole[-1], "train_loss")
    assert sum(isinstance(report, Progress) for report in second) == STUDENT_BATCHES
    passes_first_stage = {"reused_view_passes", "reused_train_pflop", "reused_train_seconds"}
    assert untimed(second[-1], "train_loss", *passes_first_stage) == untimed(alone[-1], "train_loss")
    teacher = ROBUST_SSL.known_metrics(TEACHER)
    assert reused(second[-1])["reused_view_passes"] == TEACHER_PASSES == 40 * teacher["view_passes"]
    assert reused(second[-1])["reused_train_pflop"] == pytest.approx(40 * teacher["train_pflop"], rel=1e-6)
    assert 0 < reused(second[-1])["reused_train_seconds"] < second[-1].metrics["train_seconds"]
    assert not second[-1].metrics["is_encoder_shared"]
    assert interim(second)[-1].metrics["reused_view_passes"] == TEACHER_PASSES, "also where a rung ends it"
    (as_a_trial,) = (report for report in run(TEACHER, data, encoder_path=path(TEACHER)))
    assert as_a_trial.metrics["is_encoder_shared"], "the teacher is the encoder of a trial of its own"
    again = run(other.replace(probe_layer="backbone", eval_pgd_steps=3), data, encoder_path=path(other))
    assert again[-1].metrics["is_encoder_shared"]
    assert reused(again[-1])["reused_train_pflop"] == again[-1].metrics["train_pflop"], "both stages"
    assert again[-1].metrics["train_pflop"] == second[-1].metrics["train_pflop"]
    assert sorted(tmp_path.iterdir()) == sorted([path(CONFIG), path(other), path(TEACHER)])


@pytest.mark.parametrize("stop_at", [slow(1), 3])
def test_what_was_reused_is_not_forgotten_where_a_trial_goes_on(data: TrialData, tmp_path: Path, stop_at: int) -> None:
    run(TEACHER, data, encoder_path=tmp_path / encoder_name(TEACHER, data.checksum, "cpu"))
    options = {"encoder_path": tmp_path / "e.pt", "checkpoint_path": tmp_path / "c.pt", "checkpoint_seconds": 0.0}
    first = run_trial(CONFIG, data, CPU, **options)  # type: ignore[arg-type]
    for _ in range(stop_at):
        next(first)
    first.close()  # type: ignore[attr-defined]
    assert reused(run(CONFIG, data, **options)[-1])["reused_view_passes"] == TEACHER_PASSES


@pytest.mark.slow
def test_who_wants_the_same_teacher_waits_for_it(data: TrialData, tmp_path: Path) -> None:
    first = run_trial(CONFIG, data, CPU, encoder_path=tmp_path / "first.pt")
    next(first)
    second = run_trial(CONFIG.replace(epochs=1), data, CPU, encoder_path=tmp_path / "second.pt")
    assert next(second) == Progress(0, 0.0), "somebody else trains it"
    list(first)
    assert reused(list(second)[-1])["reused_view_passes"] == TEACHER_PASSES  # type: ignore[arg-type]


def test_a_teacher_that_diverges_ends_the_trial(data: TrialData, tmp_path: Path) -> None:
    config = CONFIG.replace(teacher_learning_rate=1e38, momentum=0.0)
    with pytest.raises(TrialDiverged, match="training loss is"):
        run(config, data, encoder_path=tmp_path / "e.pt")
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_of_one_stage_from_before_there_were_two_are_gone_on_with(data: TrialData, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    first = run_trial(TEACHER, data, CPU, checkpoint_path=path, checkpoint_seconds=0)
    next(first), next(first)
    first.close()  # type: ignore[attr-defined]
    saved = torch.load(path)
    del saved["state"]["earlier"]
    torch.save(saved, path)
    stages = Stages(TEACHER, *data.train.tensors(), CPU)
    assert TrialCheckpoint(path, TEACHER, data.checksum).load(stages) and stages.view_passes == FIRST


def test_weights_are_saved_and_loaded(whole: list[Any], data: TrialData, tmp_path: Path) -> None:
    save_classifier(whole[-1].classifier, CONFIG, tmp_path)
    images = torch.from_numpy(data.test.images) / 255
    assert torch.equal(load_classifier(tmp_path, CONFIG, CPU)(images), whole[-1].classifier(images))
