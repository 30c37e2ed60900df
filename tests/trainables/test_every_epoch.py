"""Trials that are measured after every epoch are those of robust SSL, with more rows in their curves."""

from pathlib import Path

import pytest

from study.trainable import Context, Final, Measured, load_trainable, trainable_of
from trainables.every_epoch import EVERY_EPOCH, EveryEpochConfig
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import TrialConfig

CONFIG = EveryEpochConfig(
    dataset="digits", image_size=8, train_images=100, num_views=2, encoder="resnet_narrow", projector_hidden_dim=16,
    projector_dim=8, batch_size=30, epochs=3, replays=2, lr_schedule="cooldown", probe_epochs=1, eval_samples=50,
    eval_pgd_steps=2, eval_radii_255=(8.0,), rung_images=40, rung_probe_epochs=1,
)  # fmt: skip
PER_EPOCH = 90 * 4  # three whole batches, and two updates on two views


def looks_and_result(folder: Path, **further: Path) -> tuple[list[dict[str, float]], Final]:
    reports = list(EVERY_EPOCH.run(CONFIG, EVERY_EPOCH.load_data(CONFIG), Context(folder, milestones=(1,), **further)))
    assert isinstance(reports[-1], Final)
    measured = [report.measures for report in reports if isinstance(report, Measured)]
    return [row for row in measured if "epochs_done" in row], reports[-1]


def test_every_epoch_is_evaluated_as_at_a_rung_and_the_result_is_that_of_robust_ssl(tmp_path: Path) -> None:
    for name in ("looked", "plain"):
        (tmp_path / name).mkdir()
    looks, result = looks_and_result(tmp_path / "looked")
    plain_config = TrialConfig(**CONFIG.model_dump())
    context = Context(tmp_path / "plain", milestones=(PER_EPOCH, 2 * PER_EPOCH))
    plain = list(ROBUST_SSL.run(plain_config, ROBUST_SSL.load_data(plain_config), context))
    rungs = [report.metrics for report in plain if hasattr(report, "metrics") and "milestone" in report.metrics]
    assert [row["epochs_done"] for row in looks] == [1, 2]
    for look, rung in zip(looks, rungs, strict=True):
        for name in ("view_passes", "train_pflop", "val_clean", "val_pgd_8", "val_n"):
            assert look[name] == rung[name], name
    assert isinstance(plain[-1], Final)
    for name in ("val_clean", "test_clean", "val_pgd_8", "test_pgd_8", "view_passes", "train_pflop", "train_loss"):
        assert result.metrics[name] == plain[-1].metrics[name], name
    seconds = [row["train_cpu_seconds"] for row in looks] + [result.metrics["train_cpu_seconds"]]
    assert 0 < seconds[0] < seconds[1] < seconds[2]
    assert all(metrics["evaluation_cpu_seconds"] > 0 for metrics in [*looks, result.metrics])


def test_nothing_is_taken_over_from_an_interrupted_attempt_or_from_others(tmp_path: Path) -> None:
    folder, shared = tmp_path / "trial", tmp_path / "shared"
    folder.mkdir()
    trial = EVERY_EPOCH.run(CONFIG, EVERY_EPOCH.load_data(CONFIG), Context(folder))
    while not Context(folder).checkpoint_path.exists():
        next(trial)
    trial.close()  # type: ignore[attr-defined]
    for _ in range(2):
        looks, result = looks_and_result(folder, shared_folder=shared)
        assert len(looks) == 2 and not result.metrics["is_encoder_shared"]
    assert not shared.exists()


def test_its_configs_are_those_of_robust_ssl(tmp_path: Path) -> None:
    assert trainable_of(CONFIG) is EVERY_EPOCH and load_trainable(EVERY_EPOCH.path) is EVERY_EPOCH
    assert EVERY_EPOCH.recorded(CONFIG.model_dump(mode="json")) == CONFIG
    assert isinstance(CONFIG.replace(epochs=1), EveryEpochConfig)
    with pytest.raises(ValueError, match="num_views"):
        EveryEpochConfig(num_views=0)
