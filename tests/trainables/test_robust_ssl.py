"""What studies are told of robust self-supervised learning is what its trials do."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from patience import PATIENCE_SECONDS

from study.trainable import Context, Final, Interim, Measured, Progress, load_trainable, trainable_of
from trainables.evaluation import autoattack_adapter, evaluate
from trainables.presets import LAPTOP, PRESETS
from trainables.pretraining.cost import count_pass_cost, finetuning_pflop, train_pflop_per_batch
from trainables.pretraining.encoders import build_encoder
from trainables.pretraining.second_networks import build_second_network
from trainables.robust_ssl import ROBUST_SSL
from trainables.run_trial import load_classifier
from trainables.trial_config import TrialConfig

CONFIG = TrialConfig(
    dataset="digits", image_size=8, train_images=100, num_views=2, encoder="resnet_narrow", projector_hidden_dim=16,
    projector_dim=8, batch_size=20, epochs=2, replays=2, probe_epochs=1, eval_samples=50, eval_pgd_steps=2,
    eval_radii_255=(4.0, 8.0), rung_images=40, rung_probe_epochs=1, rung_radii_255=(2.0, 8.0), eval_knn_neighbours=5,
)  # fmt: skip


def test_other_threats_and_autoattack_on_validation_images_are_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoattack_adapter, "STANDARD_ATTACKS", ())  # they take time, and are tested elsewhere
    config = CONFIG.replace(
        epochs=1, eval_l2_radii_255=(16.0, 64.0), eval_corruptions="generated", eval_autoattack_samples=10,
        eval_autoattack_split="both", eval_radii_255=(32.0,),
    )  # fmt: skip
    data, attacked = ROBUST_SSL.load_data(config), []

    def noted(classifier: object, images: torch.Tensor, *rest: object) -> dict[str, np.ndarray]:
        attacked.append(images)
        return autoattack_adapter.correct_under_autoattack(classifier, images, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluate, "correct_under_autoattack", noted)
    (*_, final) = ROBUST_SSL.run(config, data, Context(tmp_path / "trial"))
    assert isinstance(final, Final)
    for images, part in zip(attacked, (data.validation, data.validation, data.test, data.test), strict=True):
        assert np.array_equal(images.numpy(), part.images[:10])  # type: ignore[index]
    described = {metric.name: metric for metric in ROBUST_SSL.metrics(config) if metric.is_final}
    added = {f"{split}_{name}" for split in ("val", "test") for name in
             ("pgd_l2_16", "pgd_l2_64", "aa_32", "aa_l2_16", "aa_l2_64", "corrupted")}  # fmt: skip
    assert set(described) - {m.name for m in ROBUST_SSL.metrics(CONFIG)} == added | {"val_pgd_32", "test_pgd_32"}
    assert set(described) <= set(final.metrics)
    for name in added:
        assert described[described[name].twin].twin == name and not described[name].is_interim
    for split in ("val", "test"):
        assert final.metrics[f"{split}_aa_n"] == 10
        for attack in ("32", "l2_16", "l2_64"):
            by_pgd, by_autoattack = (final.outcomes[f"{split}_{name}_{attack}"] for name in ("pgd", "aa"))
            assert np.array_equal(by_autoattack, by_pgd[:10])
            assert final.metrics[f"{split}_aa_{attack}"] == pytest.approx(100 * by_autoattack.mean())
    assert {"eval_autoattack_split", "eval_l2_radii_255", "eval_corruptions"} <= set(ROBUST_SSL.confirmation_fields)
    only = config.replace(eval_autoattack_split="validation", eval_corruptions="none")
    names = {metric.name: metric for metric in ROBUST_SSL.metrics(only)}
    assert names["val_aa_32"].twin == "" and not {name for name in names if name.startswith("test_aa")}


def test_a_trial_reports_what_is_described(tmp_path: Path) -> None:
    data = ROBUST_SSL.load_data(CONFIG)
    total = ROBUST_SSL.total_progress(CONFIG, ROBUST_SSL.scale(data))
    reports = list(ROBUST_SSL.run(CONFIG, data, Context(tmp_path / "trial", tmp_path, milestones=(200,))))
    (interim,) = (report for report in reports if isinstance(report, Interim))
    final = reports[-1]
    assert isinstance(final, Final) and all(isinstance(r, Progress | Measured | Interim) for r in reports[:-1])
    described = ROBUST_SSL.metrics(CONFIG)
    assert {metric.name for metric in described if metric.is_interim} <= set(interim.metrics)
    assert {metric.name for metric in described if metric.is_final} <= set(final.metrics)
    percents = {name for name in final.metrics if name.startswith(("val_", "test_")) and not name.endswith("_n")}
    assert percents == {metric.name for metric in described if metric.is_share and metric.is_final}
    assert final.metrics[ROBUST_SSL.progress] == total and interim.metrics["milestone"] == 200
    assert final.metrics[ROBUST_SSL.reused] is False
    for metric in described:
        if metric.is_share:
            assert final.metrics[metric.count] == 50
            if metric.is_final:
                assert metric.twin in final.metrics
                assert final.metrics[metric.name] == pytest.approx(100 * final.outcomes[metric.name].mean())
    assert final.save is not None
    final.save(tmp_path / "trial")
    assert load_classifier(tmp_path / "trial", CONFIG, torch.device("cpu")).head.weight.shape == (10, 16)
    again = list(ROBUST_SSL.run(CONFIG.replace(probe="central"), data, Context(tmp_path / "other", tmp_path)))[-1]
    assert isinstance(again, Final) and again.metrics[ROBUST_SSL.reused] is True, "the encoder is that of the first"


@pytest.mark.parametrize(
    "changes",
    [{}, {"epochs": 5}, {"num_views": 8}, {"adversary": "none"}, {"adversary": "pgd"}, {"encoder": "resnet18"},
     {"method": "byol", "num_views": 2, "predictor_hidden_dim": 32},
     {"method": "supervised", "num_views": 1, "probe": "own_head"}, {"probe": "full_finetuning"},
     {"method": "supervised", "num_views": 1, "probe": "full_finetuning", "probe_loss": "trades"}],
    ids=str,
)  # fmt: skip
def test_known_costs_are_those_of_trials_up_to_a_common_factor(changes: dict[str, object]) -> None:
    config = TrialConfig(**(LAPTOP | changes))  # type: ignore[arg-type]
    known = ROBUST_SSL.known_metrics(config)
    assert set(known) == {metric.name for metric in ROBUST_SSL.metrics(config) if metric.is_known}
    assert known["view_passes"] * 1000 == ROBUST_SSL.total_progress(config, 1000)
    encoder = build_encoder(config, 0, 10)
    cost = count_pass_cost(encoder, config, build_second_network(encoder, config))
    pflop_per_image = train_pflop_per_batch(config, cost, 100) / 100
    expected = config.epochs * pflop_per_image + finetuning_pflop(encoder, config)
    assert known["train_pflop"] == pytest.approx(expected, rel=1e-6)


COOLDOWN = TrialConfig(**LAPTOP, lr_schedule="cooldown", cooldown_share=0.25).replace(epochs=8)
STUDENT = TrialConfig(**LAPTOP | {"method": "deacl", "num_views": 1, "teacher_epochs": 2}, probe_layer="backbone")


@pytest.mark.parametrize(
    ("config", "others", "epochs"),
    [
        (COOLDOWN, [], 0),
        (COOLDOWN, [{"epochs": 2}], 1.5),
        (COOLDOWN, [{"epochs": 2}, {"epochs": 5}, {"epochs": 3}], 3.75),
        (COOLDOWN, [{"epochs": 16}], 6),
        (COOLDOWN, [{"epochs": 2, "cooldown_share": 0.5, "probe": "central"}], 1),
        (COOLDOWN, [{"epochs": 8, "cooldown_share": 0.1}], 3.6),
        (COOLDOWN, [{"epochs": 2, "seed": 1}, {"epochs": 2, "num_views": 2}, {"lr_schedule": "cosine"}], 0),
        (COOLDOWN.replace(epochs=1), [{"epochs": 8}], 0.75),
        (COOLDOWN, [{"eval_pgd_steps": 3}], 8),
        (COOLDOWN.replace(lr_schedule="cosine"), [{"epochs": 2}, {"num_views": 2}], 0),
        (COOLDOWN.replace(lr_schedule="cosine"), [{"probe": "central"}], 8),
        (COOLDOWN.replace(method="byol", num_views=2), [{"epochs": 2}], 0),
        (COOLDOWN.replace(augmentation_decay="linear"), [{"epochs": 2}], 0),
    ],
)
def test_what_others_have_left_is_known_before(
    config: TrialConfig, others: list[dict[str, object]], epochs: float
) -> None:
    saved = ROBUST_SSL.reusable(config, [config.replace(**other) for other in others])
    known = ROBUST_SSL.known_metrics(config)
    expected = {name: cost * epochs / config.epochs for name, cost in known.items()} if epochs else {}
    assert saved == pytest.approx(expected, rel=1e-12)


def test_a_teacher_is_reusable_and_a_fine_tuning_is_not() -> None:
    teacher, _ = STUDENT.stages()
    for other in (teacher, STUDENT.replace(epochs=9), STUDENT.replace(learning_rate=0.1)):
        assert ROBUST_SSL.reusable(STUDENT, [other]) == pytest.approx(ROBUST_SSL.known_metrics(teacher), rel=1e-12)
    assert ROBUST_SSL.reusable(teacher, [STUDENT]) == pytest.approx(ROBUST_SSL.known_metrics(teacher), rel=1e-12)
    assert ROBUST_SSL.reusable(STUDENT, [STUDENT.replace(teacher_epochs=5)]) == {}
    tuned = COOLDOWN.replace(probe="full_finetuning")
    pretraining = ROBUST_SSL.known_metrics(COOLDOWN)
    assert ROBUST_SSL.reusable(tuned, [COOLDOWN]) == pytest.approx(pretraining, rel=1e-12)
    assert pretraining["train_pflop"] < ROBUST_SSL.known_metrics(tuned)["train_pflop"]


def test_confirmations_measure_what_is_described_of_them() -> None:
    for preset, settings in ROBUST_SSL.confirmation.items():
        assert set(settings) <= set(ROBUST_SSL.confirmation_fields), preset
        names = {metric.name for metric in ROBUST_SSL.metrics(TrialConfig(**settings))}
        assert {f"test_aa_{radius:g}" for radius in TrialConfig().eval_radii_255} <= names
    assert not any(metric.name.startswith("test_aa") for metric in ROBUST_SSL.metrics(TrialConfig()))


def test_it_is_found_by_its_configs_and_by_its_path() -> None:
    assert trainable_of(TrialConfig()) is load_trainable(ROBUST_SSL.path) is ROBUST_SSL


def test_presets_leave_the_number_of_views_to_methods_that_fix_it() -> None:
    assert list(ROBUST_SSL.presets) == list(PRESETS) and next(iter(PRESETS)) == "laptop"
    assert ROBUST_SSL.preset_fields("laptop", TrialConfig()) == LAPTOP
    fields = ROBUST_SSL.preset_fields("laptop", TrialConfig(method="simclr", num_views=2))
    assert fields == {name: value for name, value in LAPTOP.items() if name != "num_views"}


def test_presets_give_their_views_to_the_teacher_where_there_is_one() -> None:
    student = TrialConfig(method="deacl", num_views=1, probe_layer="backbone")
    fields = ROBUST_SSL.preset_fields("laptop", student)
    assert fields == LAPTOP | {"teacher_num_views": LAPTOP["num_views"], "teacher_epochs": LAPTOP["epochs"]}
    pair = student.replace(teacher_method="simclr", teacher_num_views=2)
    assert "teacher_num_views" not in ROBUST_SSL.preset_fields("laptop", pair)
    assert ROBUST_SSL.preset_fields("paper", student) == {}


def test_the_laptop_preset_does_not_shrink_photographs() -> None:
    assert ROBUST_SSL.implied("laptop", {"dataset": "cifar10"}) == {"image_size": 32}
    for preset, changes in (("laptop", {}), ("laptop", {"dataset": "digits"}), ("paper", {"dataset": "cifar10"})):
        assert ROBUST_SSL.implied(preset, changes) == {}


def test_modules_are_all_that_a_trial_imports() -> None:
    """Else what they take in memory would be counted as the trial's."""
    code = (
        "import importlib, sys, tempfile, pathlib\n"
        "from study.trainable import Context\n"
        "from trainables.robust_ssl import ROBUST_SSL\n"
        "from trainables.trial_config import TrialConfig\n"
        f"config = TrialConfig(**{CONFIG.model_dump()!r})\n"
        "data = ROBUST_SSL.load_data(config)\n"
        "for name in ROBUST_SSL.modules: importlib.import_module(name)\n"
        "before = set(sys.modules)\n"
        "for _ in ROBUST_SSL.run(config, data, Context(pathlib.Path(tempfile.mkdtemp()))): pass\n"
        "print(*sorted(name for name in set(sys.modules) - before if '.' not in name or 'trainables' in name))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    assert not {name.partition(".")[0] for name in done.stdout.split()} & {"torch", "torchvision", "timm", "trainables"}
