"""Trunks: what a trial finds of another's training is what it would have trained itself, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.data.datasets import TrialData, load_data
from trainables.pretraining.pretrain import TrialDiverged
from trainables.pretraining.shared_trunk import branch_points, discard_trunk
from trainables.trial import FinalReport, InterimReport, Progress, run_trial
from trainables.trial_config import TrialConfig, kept_lengths

CPU = torch.device("cpu")
BATCHES = 5  # in an epoch
CLOCKED = ("train_seconds", "evaluation_seconds", "images_per_second")
RECIPES: dict[str, dict[str, Any]] = {
    "emp_ssl, free": {"adversary": "free", "replays": 2},
    "emp_ssl, pgd": {"adversary": "pgd", "pgd_steps": 2},
    "simclr, pgd": {"adversary": "pgd", "pgd_steps": 2, "method": "simclr", "num_views": 2},
}


def slow(value: Any) -> Any:
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.fixture
def make(tiny: Callable[..., TrialConfig]) -> Callable[..., TrialConfig]:
    """Makes configs with a cooldown of 40%, two batches of each epoch."""
    small: dict[str, Any] = {"train_images": 40, "eval_samples": 30, "rung_images": 20, "eval_pgd_steps": 2}
    small |= {"adversary": "free", "probe": "central", "lr_schedule": "cooldown", "cooldown_share": 0.4}
    return lambda **changes: tiny(**(small | changes))


@pytest.fixture
def data(make: Callable[..., TrialConfig]) -> TrialData:
    return load_data(make())


def run(
    config: TrialConfig, data: TrialData, folder: Path | None, **options: Any
) -> tuple[FinalReport, list[Any], list[dict[str, float]]]:
    """The final report, all reports, and the rows of the curve."""
    curve: list[dict[str, float]] = []
    path = None if folder is None else folder / f"{config.pretraining_hash()}.pt"
    reports = list(run_trial(config, data, CPU, encoder_path=path, on_measured=curve.append, **options))
    return reports[-1], reports, curve


def untimed(metrics: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in metrics.items() if k not in CLOCKED and not k.startswith("reused_")}


def assert_same(branch: tuple[FinalReport, Any, Any], fresh: tuple[FinalReport, Any, Any]) -> None:
    """Weights, costs but for seconds, accuracies, outcomes of single images and curves are equal bit for bit."""
    weights, others = branch[0].classifier.state_dict(), fresh[0].classifier.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert untimed(branch[0].metrics) == untimed(fresh[0].metrics)
    assert all(np.array_equal(branch[0].flags[name], flags) for name, flags in fresh[0].flags.items())
    assert [untimed(row) for row in branch[2]] == [untimed(row) for row in fresh[2]]


def reused_batches(report: FinalReport, config: TrialConfig) -> float:
    passes = report.metrics.get("reused_view_passes", 0)
    return float(passes / (config.batch_size * config.view_passes_per_image()))


def points(folder: Path) -> list[int]:
    return sorted(int(path.stem.rpartition("-")[2]) for path in (folder / "trunks").glob("*.pt"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_branch_is_a_fresh_run_bit_for_bit(
    make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path, recipe: str
) -> None:
    short, long = make(epochs=2, **RECIPES[recipe]), make(epochs=4, **RECIPES[recipe])
    fresh = run(long, data, None)
    first = run(short, data, tmp_path)
    assert points(tmp_path) == [3, 6]
    branch = run(long, data, tmp_path)
    assert_same(branch, fresh)
    assert reused_batches(first[0], short) == 0 and reused_batches(branch[0], long) == 6
    assert sum(isinstance(report, Progress) for report in branch[1]) == 4 * BATCHES - 6
    part = 6 / (4 * BATCHES)
    assert branch[0].metrics["reused_train_pflop"] == pytest.approx(part * branch[0].metrics["train_pflop"], rel=1e-12)
    assert 0 < branch[0].metrics["reused_train_seconds"] < branch[0].metrics["train_seconds"]
    assert not branch[0].metrics["is_encoder_shared"]


def test_other_cooldowns_probes_and_shorter_trainings_go_on_from_the_same_trunk(
    make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path
) -> None:
    run(make(epochs=4, cooldown_share=0.2), data, tmp_path)
    assert points(tmp_path) == [4, 8, 16], "those of 1 and 2 epochs, and its own"
    for config, reused in (
        (make(epochs=4, cooldown_share=0.4), 8),
        (make(epochs=2, cooldown_share=0.2, probe="robust_central", probe_attack_steps=1), 8),
        (make(epochs=1, cooldown_share=0.4), 0),
        (make(epochs=2, cooldown_share=1.0), 0),
        (make(epochs=8, cooldown_share=0.2), 16),
    ):
        branch = run(config, data, tmp_path)
        assert reused_batches(branch[0], config) == reused
        assert_same(branch, run(config, data, None))


@pytest.mark.parametrize("stop_at", [slow(1), 4, slow(9)])
def test_a_branch_that_was_killed_goes_on_exactly_and_remembers_what_it_reused(
    make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path, stop_at: int
) -> None:
    short, long = make(epochs=2), make(epochs=4)
    run(short, data, tmp_path)
    kept = {"checkpoint_path": tmp_path / "c" / "c.pt", "checkpoint_seconds": 0.0}
    path = tmp_path / f"{long.pretraining_hash()}.pt"
    killed = run_trial(long, data, CPU, encoder_path=path, **kept)  # type: ignore[arg-type]
    for _ in range(stop_at):
        next(killed)
    killed.close()  # type: ignore[attr-defined]
    resumed = run(long, data, tmp_path, **kept)
    assert_same(resumed, run(long, data, None))
    assert reused_batches(resumed[0], long) == 6


def test_a_trial_that_is_killed_where_it_keeps_its_trunk_does_not_take_it_for_anothers(
    make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path
) -> None:
    config = make(epochs=2)
    milestone = 3 * config.batch_size * config.view_passes_per_image()  # at the first branch point
    options: dict[str, Any] = {"checkpoint_path": tmp_path / "c" / "c.pt", "milestones": [milestone]}
    path = tmp_path / f"{config.pretraining_hash()}.pt"
    killed = run_trial(config, data, CPU, encoder_path=path, checkpoint_seconds=1e9, **options)
    for _ in range(3):
        next(killed)
    killed.close()  # type: ignore[attr-defined]
    assert points(tmp_path) == [3]
    resumed, reports, _ = run(config, data, tmp_path, **options)
    assert [r.metrics["milestone"] for r in reports if isinstance(r, InterimReport)] == [milestone]
    assert reused_batches(resumed, config) == 0


@pytest.mark.parametrize("stop_at", [slow(2), 5, slow(8)])
def test_a_trunk_that_was_killed_and_resumed_is_the_same_trunk(
    make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path, stop_at: int
) -> None:
    short, long = make(epochs=2), make(epochs=4)
    kept = {"checkpoint_path": tmp_path / "c" / "c.pt", "checkpoint_seconds": 0.0}
    killed = run_trial(short, data, CPU, encoder_path=tmp_path / f"{short.pretraining_hash()}.pt", **kept)  # type: ignore[arg-type]
    for _ in range(stop_at):
        next(killed)
    killed.close()  # type: ignore[attr-defined]
    run(short, data, tmp_path, **kept)
    assert points(tmp_path) == [3, 6]
    assert_same(run(long, data, tmp_path), run(long, data, None))


def test_milestones_of_the_reused_part_are_left_out_and_later_ones_reported(
    make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path
) -> None:
    short, long = make(epochs=2), make(epochs=4)
    per_batch = long.batch_size * long.view_passes_per_image()
    milestones = [5 * per_batch, 6 * per_batch, 9 * per_batch, 14 * per_batch]
    run(short, data, tmp_path, milestones=[4 * per_batch])  # reports of whom a trunk is from make no difference
    branch, fresh = run(long, data, tmp_path, milestones=milestones), run(long, data, None, milestones=milestones[2:])
    reports = [[r.metrics for r in trial[1] if isinstance(r, InterimReport)] for trial in (branch, fresh)]
    assert [metrics["milestone"] for metrics in reports[0]] == milestones[2:]
    assert [untimed(metrics) for metrics in reports[0]] == [untimed(metrics) for metrics in reports[1]]
    assert all(metrics["reused_view_passes"] == 6 * per_batch for metrics in reports[0]), "also where a rung ends it"
    assert_same(branch, fresh)


@pytest.mark.parametrize("damage", [slow("empty"), slow("half"), "zeros in the weights"])
def test_a_damaged_state_is_removed_and_an_earlier_one_taken(
    make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path, damage: str
) -> None:
    short, long = make(epochs=2), make(epochs=4)
    run(short, data, tmp_path)
    (path,) = (tmp_path / "trunks").glob("*-6.pt")
    whole = path.read_bytes()
    weights = torch.load(path)["encoder"]["hidden.0.weight"].numpy().tobytes()
    path.write_bytes(
        {
            "empty": b"",
            "half": whole[: len(whole) // 2],
            "zeros in the weights": whole.replace(weights, bytes(len(weights))),
        }[damage]
    )
    assert path.read_bytes() != whole
    branch = run(long, data, tmp_path)
    assert reused_batches(branch[0], long) == 3
    assert_same(branch, run(long, data, None))
    assert torch.load(path)["batches_done"] == 6, "it has passed there, and kept the state again"


def test_a_stopped_trial_leaves_what_it_has_passed(
    make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path
) -> None:
    config = make(epochs=4)
    stopped = run_trial(config, data, CPU, encoder_path=tmp_path / "e.pt")
    for _ in range(7):
        next(stopped)
    stopped.close()  # type: ignore[attr-defined]
    assert points(tmp_path) == [3, 6]


@pytest.mark.parametrize(
    "changes",
    [
        {"lr_schedule": "cosine"},
        {"method": "byol", "num_views": 2},
        {"method": "deacl", "num_views": 1, "probe_layer": "backbone", "teacher_epochs": 1, "teacher_num_views": 2},
        {"augmentation_decay": "linear"},
    ],
)
def test_nothing_is_shared_where_the_beginning_depends_on_the_length(
    make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = make(epochs=2, **changes)
    assert config.trunk_hash() is None
    run(config, data, tmp_path)
    assert not (tmp_path / "trunks").exists()
    longer = run(config.replace(epochs=4), data, tmp_path)[0]
    teachers = sum(BATCHES * 8 * stage.epochs * stage.view_passes_per_image() for stage in config.stages()[:-1])
    assert longer.metrics.get("reused_view_passes", 0) == teachers


def test_trunks_are_equal_exactly_where_the_training_begins_equally(make: Callable[..., TrialConfig]) -> None:
    config = make()
    same: list[dict[str, Any]] = [
        {"epochs": 9},
        {"cooldown_share": 0.1},
        {"probe_epochs": 7},
        {"eval_pgd_steps": 9},
        {"rung_images": 40},
    ]
    assert {config.replace(**change).trunk_hash() for change in same} == {config.trunk_hash()}
    never = config.replace(epochs=2, augmentation_decay="linear", augmentation_decay_period=2)
    assert never.trunk_hash() == config.trunk_hash(), "it has no time to weaken"
    other: list[dict[str, Any]] = [
        {"seed": 1},
        {"learning_rate": 0.2},
        {"num_views": 4},
        {"replays": 2},
        {"batch_size": 16},
    ]
    assert len({config.trunk_hash(), *(config.replace(**change).trunk_hash() for change in other)}) == 6


def test_what_is_removed_is_trained_again(make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path) -> None:
    short, long, other = make(epochs=2), make(epochs=4), make(epochs=2, seed=1)
    for config in (short, other):
        run(config, data, tmp_path)
    kept = {*(tmp_path / "trunks").iterdir()}
    discard_trunk(long, tmp_path)
    left = {*(tmp_path / "trunks").iterdir()}
    assert len(kept) == 4 and {path.name.partition("-")[0] for path in left} == {other.trunk_hash()}
    afresh = run(long, data, tmp_path)
    assert reused_batches(afresh[0], long) == 0
    assert_same(afresh, run(long, data, None))


def test_other_images_have_another_trunk(make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path) -> None:
    run(make(epochs=2), data, tmp_path)
    others = make(epochs=4, train_images=40, split_seed=1)
    assert reused_batches(run(others, load_data(others), tmp_path)[0], others) == 0


def test_a_training_that_diverges_leaves_no_trunk(
    make: Callable[..., TrialConfig], data: TrialData, tmp_path: Path
) -> None:
    config = make(epochs=4, learning_rate=1e38, momentum=0.0)
    with pytest.raises(TrialDiverged, match="training loss is"):
        run(config, data, tmp_path)
    assert not (tmp_path / "trunks").exists()


@pytest.mark.parametrize(("epochs", "lengths"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8])])
def test_states_are_kept_at_powers_of_two_and_at_the_end(
    make: Callable[..., TrialConfig], epochs: int, lengths: list[int]
) -> None:
    assert kept_lengths(epochs) == lengths
    assert branch_points(make(epochs=epochs), 10) == [6 * length for length in lengths]
    assert branch_points(make(epochs=epochs, cooldown_share=1.0), 10) == []
