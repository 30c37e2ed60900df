"""The evaluation of one encoder: this project's probes and attacks against plain ones, on this machine.

    python -m benchmarks.evaluation
    python -m benchmarks.evaluation --data-root DIR --train-images 2000      # an image folder of CIFAR-10

An encoder of the laptop preset is trained first (free, m = 3); both sides then probe and attack it in turn. Plain runs
every attack on all images to its last step and computes gradients of the weights as well; its AutoAttack is the package
as it comes. What must hold beside the times: no attack of ours may leave more images standing than plain's.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

from benchmarks.plain_baseline import plain_accuracies, plain_probe
from benchmarks.step import Comparison
from study.environment import git_revision
from trainables.autoattack_adapter import correct_under_autoattack
from trainables.datasets import load_data
from trainables.pretrain import Pretraining
from trainables.probe import ProbedClassifier, train_probe
from trainables.robust_accuracy import correct_under_attack
from trainables.trial_config import PRESETS, TrialConfig

Timed = Callable[[], list[float]]  # what is timed returns accuracies in percent, or nothing


def take_turns(ours: Timed, plain: Timed, repeats: int) -> tuple[Comparison, list[float], list[float]]:
    """Seconds of both sides in turn, and what each of them found the last time."""
    found: dict[Timed, list[float]] = {}
    seconds: dict[Timed, list[float]] = {ours: [], plain: []}
    for turn in range(repeats):
        for side in (ours, plain) if turn % 2 == 0 else (plain, ours):
            started = time.perf_counter()
            found[side] = side()
            seconds[side].append(time.perf_counter() - started)
    return Comparison(seconds[ours], seconds[plain]), found[ours], found[plain]


def plain_autoattack(model: nn.Module, images: Tensor, labels: Tensor, radius: float) -> float:
    """Accuracy in percent under AutoAttack's standard suite, of the package without an adapter."""
    attack = AutoAttack(model, norm="Linf", eps=radius, version="standard", device=images.device, seed=0)
    attacked, _ = attack.run_standard_evaluation(images, labels, batch_size=len(images))
    with torch.no_grad():
        return 100 * float((model(attacked).argmax(dim=1) == labels).float().mean())


def compare(config: TrialConfig, device: torch.device, repeats: int, num_autoattack: int) -> list[str]:
    """Trains an encoder, evaluates it on both sides, and says what it took, as lines of Markdown."""
    data = load_data(config)
    images, labels = data.train.tensors()
    tested, targets = data.test.tensors()
    pretraining = Pretraining(config, images, device)
    for _ in pretraining.run():
        pass
    encoder = pretraining.encoder
    classes, (_, epochs) = data.num_classes, config.probe_recipe()
    central = config.replace(probe="central")
    pixels, test_pixels = (_pixels(part, device) for part in (images, tested))
    labels, targets = labels.to(device), targets.to(device)
    kept: dict[str, ProbedClassifier] = {}

    def probe_ours(probed: TrialConfig) -> Timed:
        def run() -> list[float]:
            kept[probed.probe] = train_probe(encoder, images, labels.cpu(), classes, probed, num_epochs=epochs)
            return []

        return run

    def probe_plain(robust: bool) -> Timed:
        def run() -> list[float]:
            encoder.requires_grad_(True)
            plain_probe(encoder, pixels, labels, classes, config, epochs, robust)
            return []

        return run

    lines = [f"| {len(images)} training and {len(tested)} test images | | accuracies, ours / plain |", "|---|---|---|"]
    probes = [("clean probe", probe_ours(central), probe_plain(False)),
              ("robust probe (r-LE)", probe_ours(config), probe_plain(True))]  # fmt: skip
    for name, ours, plain in probes:
        lines.append(f"| {name}, {epochs} epochs | {take_turns(ours, plain, repeats)[0].describe()} | |")
    classifier = kept[config.probe]

    def pgd_ours() -> list[float]:
        encoder.requires_grad_(False)
        found = correct_under_attack(classifier, tested, targets.cpu(), config)
        return [100 * float(correct.mean()) for correct in found.values()]

    def pgd_plain() -> list[float]:
        encoder.requires_grad_(True)
        return plain_accuracies(classifier, test_pixels, targets, config)

    what = f"PGD-{config.eval_pgd_steps} at " + ", ".join(f"{radius:g}" for radius in config.eval_radii_255)
    lines.append(_row(f"clean and {what} / 255", *take_turns(pgd_ours, pgd_plain, repeats)))
    one = config.replace(eval_radii_255=(8.0,), eval_autoattack_samples=num_autoattack)
    few, few_targets = tested[torch.arange(num_autoattack)], targets[:num_autoattack]

    def autoattack_ours() -> list[float]:
        encoder.requires_grad_(False)
        known = correct_under_attack(classifier, few, few_targets.cpu(), one)
        found = correct_under_autoattack(classifier, few, few_targets.cpu(), {8.0: known["pgd_8"]}, one)
        return [100 * float(correct.mean()) for correct in found.values()]

    def autoattack_plain() -> list[float]:
        encoder.requires_grad_(True)
        return [plain_autoattack(classifier, test_pixels[:num_autoattack], few_targets, 8 / 255)]

    lines.append(_row(f"AutoAttack at 8 / 255, {num_autoattack} images (ours with the PGD before it)",
                      *take_turns(autoattack_ours, autoattack_plain, 1)))  # fmt: skip
    return lines


def _pixels(images: Any, device: torch.device) -> Tensor:
    return torch.as_tensor(np.asarray(images[torch.arange(len(images))])).to(device).float() / 255


def _row(name: str, compared: Comparison, ours: list[float], plain: list[float]) -> str:
    accuracies = ", ".join(f"{a:.1f} / {b:.1f}" for a, b in zip(ours, plain, strict=True))
    return f"| {name} | {compared.describe()} | {accuracies} |"


def main() -> None:
    """Command line: measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="an image folder; none: digits")
    parser.add_argument("--train-images", type=int)
    parser.add_argument("--eval-samples", type=int, default=500)
    parser.add_argument("--autoattack-samples", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    config = TrialConfig(**PRESETS["laptop"] | {"eval_samples": options.eval_samples})
    if options.data_root is not None:
        config = config.replace(dataset="imagefolder", data_root=str(options.data_root), image_size=32)
    if options.train_images is not None:
        config = config.replace(train_images=options.train_images)
    print(f"revision {git_revision()}, torch {torch.__version__}, {options.device}, {torch.get_num_threads()} threads; "
          f"{config.encoder} on {config.dataset} at {config.image_size} x {config.image_size}\n")  # fmt: skip
    print("\n".join(compare(config, torch.device(options.device), options.repeats, options.autoattack_samples)))


if __name__ == "__main__":
    main()
