"""A table of learning curves holds what its study has recorded, of whole recipes alone."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.record_curves import evaluation_pflop, record_table
from search_spaces.tables.recipes_by_epochs import EPOCHS, STUDY
from study.record.curves import CurveFile
from study.record.journal import Journal
from study.record.trial_folder import trial_folder
from study.spec.choices import enumerate_grid
from trainables.every_epoch import EveryEpochConfig
from trainables.pretraining.encoders import build_encoder
from trainables.recorded_table import recorded_table

IMAGES = 300


def recorded_study(folder: Path, num_complete: int, lost_look: str = "") -> None:
    """The first trials, complete; one more is under way. Accuracies are the trial's number and the epoch."""
    spec = STUDY.with_preset("laptop")
    journal = Journal(folder)
    journal.write("created", study="s", spec=spec.model_dump(mode="json"), environment={"revision": "abc"})
    for number, params in enumerate(enumerate_grid(spec)[: num_complete + 1]):
        uid, config = f"t{number:04d}", spec.config(params, seed=0)
        journal.write("proposed", uid=uid, number=number, params=params, config=config.model_dump(mode="json"))
        per_epoch = IMAGES * config.view_passes_per_image()
        trial_folder(folder, uid).mkdir(parents=True)
        curve = CurveFile(trial_folder(folder, uid), "view_passes")
        for epoch in range(1, config.epochs):
            curve.add({"view_passes": epoch * per_epoch, "train_loss": -1.0})
            if uid != lost_look:
                look = numbers(number, epoch, per_epoch) | {"val_n": 250, "epochs_done": epoch}
                curve.add(look)
        if number < num_complete:
            result = numbers(number, config.epochs, per_epoch) | {"test_clean": 70.0, "test_pgd_16": 30.0}
            counted = {"val_n": 500, "test_n": 450, "validity": [], "hardware": "cpu"}
            journal.write("finished", uid=uid, state="complete", metrics=result | counted)
    journal.close()


def numbers(number: int, epoch: int, per_epoch: int) -> dict[str, Any]:
    costs = {"view_passes": epoch * per_epoch, "train_pflop": epoch * per_epoch * 1e-9, "train_seconds": 2.0}
    return costs | {"val_clean": float(number), "val_pgd_16": float(epoch), "train_cpu_seconds": 1 / 3,
                    "evaluation_cpu_seconds": 0.5}  # fmt: skip


def test_whole_recipes_are_in_the_table_and_read_as_recorded(tmp_path: Path) -> None:
    recorded_study(tmp_path / "study", num_complete=4)
    assert record_table(tmp_path / "study", tmp_path / "table.csv.gz") == len(EPOCHS), "the second recipe is not whole"
    table = recorded_table(tmp_path / "table.csv.gz").table
    (first, second, third) = (table.repetitions(key)[0] for key in table.keys())  # noqa: SIM118, it is no dict
    assert [len(curve) for curve in (first, second, third)] == list(EPOCHS)
    assert [report["val_pgd_16"] for report in third] == [1, 2, 3, 4]
    assert [report["view_passes"] for report in third] == [600, 1200, 1800, 2400]
    assert third[-1]["test_clean"] == 70 and "test_clean" not in third[0]
    assert third[-1]["train_cpu_seconds"] == 0.333333
    # 12 batches an epoch, of which the cooldown takes the whole number nearest to 30%: 4, 7 and 14.
    assert [curve[-1]["trunk_view_passes"] for curve in (first, second, third)] == [400, 850, 1700]
    assert third[-1]["trunk_train_pflop"] == pytest.approx(1700e-9)
    assert table.scale == IMAGES and table.trunk_of == "epochs"
    assert table.choices["attack_radius_255"] == (None,) and table.choices["training"] == ("none",)
    head = json.loads(gzip.decompress((tmp_path / "table.csv.gz").read_bytes()).splitlines()[0][1:])
    assert head["environment"] == {"revision": "abc"} and "data_root" not in head["base"]


def test_the_same_study_gives_the_same_file(tmp_path: Path) -> None:
    recorded_study(tmp_path / "study", num_complete=6)
    files = [tmp_path / name for name in ("a.csv.gz", "b.csv.gz")]
    assert [record_table(tmp_path / "study", path) for path in files] == [6, 6]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    recorded_study(tmp_path / "early", num_complete=2)
    with pytest.raises(ValueError, match=r"no recipe of .*early is complete"):
        record_table(tmp_path / "early", tmp_path / "table.csv.gz")
    recorded_study(tmp_path / "lost", num_complete=3, lost_look="t0002")
    with pytest.raises(ValueError, match="t0002 has 0 evaluations before its end, not 3"):
        record_table(tmp_path / "lost", tmp_path / "table.csv.gz")
    assert not (tmp_path / "table.csv.gz").exists()


def test_an_evaluation_costs_the_passes_of_its_probe_and_its_attacks() -> None:
    config = EveryEpochConfig(
        encoder="resnet_narrow", image_size=8, projector_hidden_dim=16, projector_dim=8, probe_attack_steps=4,
        eval_pgd_steps=10, eval_losses=("cross_entropy", "margin"), adversary="none",
    )  # fmt: skip
    encoder = build_encoder(config, 0, 10).eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        encoder.features(torch.rand(1, 3, 8, 8, requires_grad=True), "hidden").sum().backward()
    step = counter.get_total_flops() / 1e15
    # Two epochs of three images: four steps and half a step each. Five images: two halves, and ten steps on two losses.
    assert evaluation_pflop(config, 3, 2, 5) == pytest.approx((3 * 2 * 4.5 + 5 * (1 + 20)) * step, rel=0.02)
    with pytest.raises(ValueError, match="probe=central"):
        evaluation_pflop(config.replace(probe="central"), 3, 2, 5)
