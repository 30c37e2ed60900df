"""The curve of a trial on digits: what is measured, and that an interrupted trial ends with the same one."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.data.datasets import TrialData, load_data
from trainables.evaluation import probe_training
from trainables.pretraining.pretrain import Pretraining, learning_rate_at
from trainables.trial import InterimReport, run_trial
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")
CONFIG = TrialConfig(
    dataset="digits", image_size=8, train_images=50, num_views=2, encoder="resnet_narrow", projector_hidden_dim=16,
    projector_dim=8, batch_size=20, epochs=3, adversary="free", replays=2, probe="central", probe_layer="backbone",
    probe_epochs=2, probe_learning_rate=1e-2, eval_samples=20, eval_pgd_steps=1, eval_radii_255=(8.0,),
    rung_images=40, rung_probe_epochs=1,
)  # fmt: skip
TWO_STAGES = CONFIG.replace(
    method="deacl", teacher_num_views=3, teacher_epochs=2, num_views=1, augmentation="padded_crop", epochs=1
)
FINETUNED = CONFIG.replace(probe="full_finetuning", probe_attack_steps=1, probe_epochs=3, epochs=1)
PER_EPOCH = 2 * 20 * 2 * 2  # view passes: two batches of 20 images, two views, two replays
MILESTONES = (PER_EPOCH, PER_EPOCH + 1)
Row = dict[str, float]


@pytest.fixture(scope="module")
def data() -> TrialData:
    return load_data(CONFIG)


def curve_of(config: TrialConfig, data: TrialData, **options: Any) -> list[Row]:
    rows: list[Row] = []
    list(run_trial(config, data, CPU, on_measured=rows.append, **options))
    return rows


def unclocked(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if "per_second" not in name} for row in rows]


class NotedLosses(Pretraining):
    """A pretraining that keeps the loss of every update."""

    losses: list[float]

    def _step(self, loss: Tensor, replay: int = 0) -> None:
        self.losses.append(loss.item())
        super()._step(loss, replay)


def test_each_epoch_has_its_mean_loss_its_last_learning_rate_and_its_speed(data: TrialData) -> None:
    rows = curve_of(CONFIG, data)
    reference = NotedLosses(CONFIG, data.train.tensors()[0], CPU)
    reference.losses = []
    for _ in reference.run():
        pass
    assert [row["view_passes"] for row in rows] == [PER_EPOCH, 2 * PER_EPOCH, 3 * PER_EPOCH]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for epoch, row in enumerate(rows):
        mean = sum(reference.losses[4 * epoch : 4 * epoch + 4]) / 4
        assert row["train_loss"] == pytest.approx(mean, rel=1e-5)
        assert row["learning_rate"] == learning_rate_at(4 * epoch + 3, reference.num_batches, CONFIG)
        assert 0 < row["images_per_second"] < 1e6


def test_speed_is_of_training_alone(data: TrialData, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr("trainables.hardware.time.perf_counter", lambda: float(next(ticks)))
    pretraining = Pretraining(CONFIG, data.train.tensors()[0], CPU)
    for _ in pretraining.run():
        next(ticks)  # a second that is not the training's
    assert [row["images_per_second"] for row in pretraining.measures.rows] == [20.0] * 3, "a batch takes one tick"


def test_accuracies_at_milestones_are_rows_of_their_own(data: TrialData) -> None:
    rows: list[Row] = []
    told_before: list[int] = []
    for report in run_trial(CONFIG, data, CPU, milestones=MILESTONES, on_measured=rows.append):
        if isinstance(report, InterimReport):
            told_before.append(len(rows))
            found = {name: report.metrics[name] for name in ("view_passes", "val_clean", "val_pgd_8")}
            assert rows[-1] == found, "before the report, which may end the trial"
    assert told_before == [2, 3]
    kinds = ["val_clean" in row for row in rows]
    assert kinds == [False, True, True, False, False]
    plain = unclocked(curve_of(CONFIG, data))
    assert [row for row in unclocked(rows) if "epoch" in row] == plain, "evaluations change nothing"


def test_a_teacher_has_measures_of_its_own_before_its_student(data: TrialData) -> None:
    rows = curve_of(TWO_STAGES, data)
    measures = ("epoch", "train_loss", "learning_rate", "images_per_second")
    teacher = ["view_passes", *(f"teacher_{name}" for name in measures)]
    assert [list(row) for row in rows] == [teacher, teacher, ["view_passes", *measures]]
    passes = [row["view_passes"] for row in rows]
    assert passes == sorted(set(passes)) and rows[1]["teacher_epoch"] == 2 and rows[2]["epoch"] == 1
    alone = curve_of(TWO_STAGES.stages()[0], data)
    renamed = [{name.removeprefix("teacher_"): value for name, value in row.items()} for row in rows[:2]]
    assert unclocked(renamed) == unclocked(alone)


def test_a_full_finetuning_follows_with_measures_of_its_own(data: TrialData, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[float] = []
    whole = probe_training.ProbeTraining._loss

    def noted(self: Any, chosen: Tensor, cached: Tensor | None) -> Tensor:
        loss = whole(self, chosen, cached)
        losses.append(float(loss))
        return loss

    monkeypatch.setattr(probe_training.ProbeTraining, "_loss", noted)
    rows = curve_of(FINETUNED, data)
    assert [row.get("finetuning_epoch") for row in rows] == [None, 1, 2, 3]
    assert {row["view_passes"] for row in rows} == {PER_EPOCH}
    per_epoch = len(losses) // 3
    for epoch, row in enumerate(rows[1:]):
        mean = sum(losses[epoch * per_epoch : (epoch + 1) * per_epoch]) / per_epoch
        assert row["finetuning_train_loss"] == pytest.approx(mean, rel=1e-5)
        assert row["finetuning_images_per_second"] > 0
    rates = [row["finetuning_learning_rate"] for row in rows[1:]]
    assert rates == pytest.approx([rates[0], rates[0], rates[0] / 100]), "it falls twice after two of three epochs"


@pytest.mark.parametrize(
    ("config", "stops"),
    [(CONFIG, (1, 2, 3, 4, 6, 8)), (TWO_STAGES, (2, 4, 5, 6)), (FINETUNED, (1, 2, 3, 4))],
    ids=["one stage", "two stages", "fine-tuned"],
)
def test_a_trial_that_goes_on_ends_with_the_curve_of_one_that_was_never_interrupted(
    data: TrialData, config: TrialConfig, stops: tuple[int, ...], tmp_path: Path
) -> None:
    whole = unclocked(curve_of(config, data, milestones=MILESTONES))
    for stop_at in stops:
        kept: Any = {
            "milestones": MILESTONES, "checkpoint_path": tmp_path / f"{stop_at}.pt", "checkpoint_seconds": 0.0
        }  # fmt: skip
        first = run_trial(config, data, CPU, **kept)
        for _ in range(stop_at):
            next(first)
        first.close()  # type: ignore[attr-defined]
        assert unclocked(curve_of(config, data, **kept)) == whole, stop_at


def test_a_trial_that_finds_an_encoder_has_the_curve_of_its_training(data: TrialData, tmp_path: Path) -> None:
    first = curve_of(CONFIG, data, encoder_path=tmp_path / "e.pt", milestones=MILESTONES)
    second = curve_of(CONFIG.replace(probe_epochs=1), data, encoder_path=tmp_path / "e.pt", milestones=MILESTONES)
    assert second == [row for row in first if "epoch" in row], "without evaluations, which are another trial's"


def test_a_checkpoint_from_before_there_were_curves_is_gone_on_with(data: TrialData, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    first = run_trial(CONFIG, data, CPU, checkpoint_path=path, checkpoint_seconds=0)
    for _ in range(4):
        next(first)
    first.close()  # type: ignore[attr-defined]
    saved = torch.load(path)
    del saved["state"]["measures"], saved["evaluated"]
    torch.save(saved, path)
    rows = curve_of(CONFIG, data, checkpoint_path=path)
    assert [(row["view_passes"], row["epoch"]) for row in rows] == [(2 * PER_EPOCH, 2), (3 * PER_EPOCH, 3)]
