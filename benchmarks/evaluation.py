"""The evaluation of one encoder: this project's probes and attacks against plain ones, on this machine.

    python -m benchmarks.evaluation
    python -m benchmarks.evaluation --data-root DIR --train-images 2000      # an image folder of CIFAR-10

An encoder of the laptop preset is trained first (free, m = 3); both sides then probe and attack it in turn. Plain runs
every attack on all images to its last step and also computes gradients of the weights; its AutoAttack is the unmodified
package. Besides the times, one thing must hold: no attack of ours may leave more images correctly classified than
plain's.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

from benchmarks.plain_baseline import plain_accuracies, plain_probe
from benchmarks.sides import Comparison, Jobs, side, take_turns
from study.record.environment import git_revision
from trainables.data.datasets import load_data
from trainables.evaluation.autoattack_adapter import correct_under_autoattack
from trainables.evaluation.probe import ProbedClassifier
from trainables.evaluation.probe_training import train_probe
from trainables.evaluation.robust_accuracy import correct_under_attack, percent_correct
from trainables.heap import freed_memory_kept
from trainables.presets import PRESETS
from trainables.pretraining.encoders import build_encoder
from trainables.pretraining.pretrain import Pretraining
from trainables.trial_config import TrialConfig


def plain_autoattack(model: nn.Module, images: Tensor, labels: Tensor, radius: float) -> float:
    """Accuracy in percent under AutoAttack's standard suite, from the package without an adapter."""
    attack = AutoAttack(model, norm="Linf", eps=radius, version="standard", device=images.device, seed=0)
    attacked, _ = attack.run_standard_evaluation(images, labels, batch_size=len(images))
    with torch.no_grad():
        return 100 * float((model(attacked).argmax(dim=1) == labels).float().mean())


ProbeName = Literal["central", "robust_central"]


class Evaluated:
    """An encoder and the data it is evaluated on, as both sides hold them in their processes.

    Args:
        config: of the trial.
        weights: of the encoder.
        device: where to compute.
    """

    def __init__(self, config: TrialConfig, weights: dict[str, Tensor], device: torch.device) -> None:
        data = load_data(config)
        self.num_classes = data.num_classes
        self.images, self.labels = data.train.tensors()
        self.tested, self.targets = data.test.tensors()
        self.encoder = build_encoder(config, seed=0).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.encoder.load_state_dict(weights)
        self.encoder.eval()
        head = nn.Linear(self.encoder.layer_dims[config.probe_layer], data.num_classes).to(device)
        self.classifier = ProbedClassifier(self.encoder, head, config).eval()

    def load_head(self, head: dict[str, Tensor]) -> None:
        """Gives the classifier the head trained by our side's robust probe."""
        self.classifier.head.load_state_dict(head)


@contextmanager
def our_jobs(config: TrialConfig, weights: dict[str, Tensor], device: torch.device, num: int) -> Iterator[Jobs]:
    """The evaluation as trials run it."""
    given = Evaluated(config, weights, device)
    radius_8 = config.replace(eval_radii_255=(8.0,), eval_autoattack_samples=num)
    few, few_targets = given.tested[torch.arange(num)], given.targets[:num]

    def probe(kind: ProbeName) -> dict[str, Tensor]:
        epochs, probed = config.probe_recipe().epochs, config.replace(probe=kind)
        trained = train_probe(given.encoder, given.images, given.labels, given.num_classes, probed, num_epochs=epochs)
        return trained.head.state_dict()

    def attack() -> list[float]:
        given.encoder.requires_grad_(False)
        found = correct_under_attack(given.classifier, given.tested, given.targets, config)
        return [percent_correct(correct) for correct in found.values()]

    def autoattack() -> list[float]:
        given.encoder.requires_grad_(False)
        known = correct_under_attack(given.classifier, few, few_targets, radius_8)
        found = correct_under_autoattack(given.classifier, few, few_targets, {8.0: known["pgd_8"]}, radius_8)
        return [percent_correct(correct) for correct in found.values()]

    with freed_memory_kept(device):
        yield {"probe": probe, "head": given.load_head, "attack": attack, "autoattack": autoattack}


@contextmanager
def plain_jobs(config: TrialConfig, weights: dict[str, Tensor], device: torch.device, num: int) -> Iterator[Jobs]:
    """The evaluation in plain PyTorch."""
    given = Evaluated(config, weights, device)
    pixels, test_pixels = (_pixels(part, device) for part in (given.images, given.tested))
    labels, targets = given.labels.to(device), given.targets.to(device)
    given.encoder.requires_grad_(True)

    def probe(kind: ProbeName) -> None:
        epochs = config.probe_recipe().epochs
        plain_probe(given.encoder, pixels, labels, given.num_classes, config, epochs, kind == "robust_central")

    def attack() -> list[float]:
        return plain_accuracies(given.classifier, test_pixels, targets, config)

    def autoattack() -> list[float]:
        return [plain_autoattack(given.classifier, test_pixels[:num], targets[:num], 8 / 255)]

    yield {"probe": probe, "head": given.load_head, "attack": attack, "autoattack": autoattack}


def compare(config: TrialConfig, device: torch.device, repeats: int, num_autoattack: int) -> list[str]:
    """Trains an encoder, evaluates it on both sides, and reports times and accuracies as lines of Markdown."""
    data = load_data(config)
    images, _ = data.train.tensors()
    pretraining = Pretraining(config, images, device)
    for _ in pretraining.run():
        pass
    weights = {name: tensor.cpu() for name, tensor in pretraining.encoder.state_dict().items()}
    epochs = config.probe_recipe().epochs
    sizes = f"{len(images)} training and {len(data.test.labels)} test images"
    lines = [f"| {sizes} | | accuracies, ours / plain |", "|---|---|---|"]
    given = config, weights, device, num_autoattack
    with side(our_jobs, *given) as ours, side(plain_jobs, *given) as plain:

        def compared(repeats: int, *job: Any) -> Comparison:
            return take_turns(lambda: ours.do(*job), lambda: plain.do(*job), repeats, warm_up=False)

        for name, kind in (("clean probe", "central"), ("robust probe (r-LE)", "robust_central")):
            probed = compared(repeats, "probe", kind)
            lines.append(f"| {name}, {epochs} epochs | {probed.describe()} | |")
        for one in (ours, plain):
            one.do("head", probed.results["ours"])
        radii = ", ".join(f"{radius:g}" for radius in config.eval_radii_255)
        attacks = f"clean and PGD-{config.eval_pgd_steps} at {radii} / 255"
        lines.append(_row(attacks, compared(repeats, "attack")))
        autoattack = f"AutoAttack at 8 / 255, {num_autoattack} images (ours with the PGD before it)"
        lines.append(_row(autoattack, compared(1, "autoattack")))
    return lines


def _pixels(images: Any, device: torch.device) -> Tensor:
    return torch.as_tensor(np.asarray(images[torch.arange(len(images))])).to(device).float() / 255


def _row(name: str, compared: Comparison) -> str:
    pairs = zip(compared.results["ours"], compared.results["plain"], strict=True)
    accuracies = ", ".join(f"{ours:.1f} / {plain:.1f}" for ours, plain in pairs)
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
    config = TrialConfig(
        **PRESETS["laptop"] | {"eval_samples": options.eval_samples, "eval_losses": ("cross_entropy",)}
    )
    if options.data_root is not None:
        config = config.replace(dataset="imagefolder", data_root=str(options.data_root), image_size=32)
    if options.train_images is not None:
        config = config.replace(train_images=options.train_images)
    print(f"revision {git_revision()}, torch {torch.__version__}, {options.device}, {torch.get_num_threads()} threads; "
          f"{config.encoder} on {config.dataset} at {config.image_size} x {config.image_size}\n")  # fmt: skip
    print("\n".join(compare(config, torch.device(options.device), options.repeats, options.autoattack_samples)))


if __name__ == "__main__":
    main()
