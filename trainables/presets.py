"""What ``--preset`` sets, and the command that runs one config alone."""

import json
import shlex
from typing import Any

from trainables.pretraining.methods import METHODS
from trainables.trial_config import TrialConfig

# What --preset laptop changes in the paper's recipe: real images that ship in a wheel, and budgets of seconds.
LAPTOP: dict[str, Any] = {
    "dataset": "digits",
    "image_size": 16,
    "validation_fraction": 0.2,
    "num_views": 4,
    "encoder": "resnet_narrow",
    "projector_hidden_dim": 256,
    "projector_dim": 128,
    "batch_size": 50,
    "epochs": 3,
    "probe_epochs": 3,
    "probe_batch_size": 100,
    "probe_learning_rate": 1e-2,
    "rung_images": 250,
    "rung_probe_epochs": 3,
    "eval_samples": 250,
}
# What --preset authors changes in the paper's recipe: what the authors' code does, deviations from the text included.
AUTHORS: dict[str, Any] = {
    "lr_horizon": "batches",
    "gradient_leak": True,
    "perturbation": "carried_unclamped",
    "simclr_attack_anchor": "same_view",
    "simclr_anchor_leak": True,
    "eval_losses": ("cross_entropy",),
}
# What --preset mini changes: CIFAR-10 small enough for two cores; views, epochs and attacks are the paper's.
MINI: dict[str, Any] = {
    "dataset": "cifar10",
    "image_size": 16,
    "train_images": 4000,
    "encoder": "resnet_narrow",
    "projector_hidden_dim": 512,
    "projector_dim": 128,
    "eval_samples": 1000,
    "precision": "bf16",
}
WITH_TEACHER = {name for name, method in METHODS.items() if method.has_teacher}
WITH_FIXED_VIEWS = {name for name, method in METHODS.items() if method.num_views is not None}
PRESETS: dict[str, dict[str, Any]] = {"laptop": LAPTOP, "mini": MINI, "paper": {}, "authors": AUTHORS}


def preset_fields(preset: str, method: str, teacher_method: str) -> dict[str, Any]:
    """The fields that ``preset`` sets for a method: numbers of views only where a method leaves them open.

    A teacher has the preset's views and epochs, too. The authors' SimCLR has colours of its own.
    """
    fields = dict(PRESETS[preset])
    if method in WITH_TEACHER:
        fields |= {f"teacher_{name}": fields[name] for name in ("num_views", "epochs") if name in fields}
    methods = {"num_views": method, "teacher_num_views": teacher_method}
    fields = {k: v for k, v in fields.items() if k not in methods or methods[k] not in WITH_FIXED_VIEWS}
    return fields | ({"augmentation": "simclr"} if (preset, method) == ("authors", "simclr") else {})


def command_line(config: TrialConfig) -> str:
    """The shell command that runs ``config`` alone, relative to the preset from which it differs least."""
    fields = config.effective()
    if config.dataset != "digits":
        fields["data_root"] = config.data_root
    if config.probe_dataset not in (None, "digits"):
        fields["probe_data_root"] = config.probe_data_root
    best: tuple[str, dict[str, Any]] | None = None
    for preset in PRESETS:
        base = TrialConfig(**preset_fields(preset, config.method, config.teacher_method)).model_dump(mode="json")
        differing = {k: v for k, v in fields.items() if base[k] != v}
        if best is None or len(differing) < len(best[1]):
            best = preset, differing
    assert best is not None
    settings = [f"--set {shlex.quote(f'{k}={v if isinstance(v, str) else json.dumps(v)}')}" for k, v in best[1].items()]
    return " ".join(["python -m trainables.run_trial", f"--preset {best[0]}", *settings])
