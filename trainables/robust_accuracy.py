"""Clean and PGD accuracy, kept per image and monotone in the radius."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.linf_attack import linf_pgd
from trainables.probe import ProbedClassifier, to_pixels
from trainables.stored_images import Images
from trainables.streams import stream
from trainables.trial_config import TrialConfig

EVALUATION_BATCH = 500
STEPS_BETWEEN_LOOKS = 5
Flags = dict[str, np.ndarray]


def correct_under_attack(
    classifier: nn.Module,
    images: Images,
    labels: Tensor,
    config: TrialConfig,
    radii_255: Sequence[float] | None = None,
) -> Flags:
    """Which images are classified correctly, clean and under PGD at every radius of ``config.eval_radii_255``.

    An image that is misclassified clean or at a smaller radius counts as broken at every larger one: that perturbation
    lies in the larger ball too, so this is a tighter bound and saves attacking it again.

    Args:
        classifier: in evaluation mode, maps pixels (N, 3, S, S) in [0, 1] to logits (N, K).
        images: (N, 3, S, S) uint8, in CPU memory or in a file.
        labels: (N,) int64.
        config: the ``eval_*`` fields.
        radii_255: radii in ascending order, in place of ``config.eval_radii_255``.

    Returns:
        ``{"clean": flags, "pgd_4": flags, ...}``, each boolean of shape (N,), in the order of ``images``.

    Raises:
        ValueError: where the classifier is in training mode.
    """
    if classifier.training:
        raise ValueError("the classifier must be in evaluation mode: BatchNorm would adapt to the attacked batch")
    size = evaluation_batch(classifier)
    parts = [
        _attack_batch(classifier, *batch, config, radii_255 or config.eval_radii_255, number)
        for number, batch in enumerate(zip(images.split(size), labels.split(size), strict=True))
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def evaluation_batch(classifier: nn.Module) -> int:
    """Images attacked at a time: ``EVALUATION_BATCH`` encoder passes of small images, fewer of large ones."""
    return classifier.images_at_once(EVALUATION_BATCH) if isinstance(classifier, ProbedClassifier) else EVALUATION_BATCH


def accuracies(flags: Flags, split: str) -> dict[str, float | int]:
    """Accuracies in percent named ``{split}_clean``, ``{split}_pgd_8``..., and ``{split}_n``, the number of images."""
    percent = {f"{split}_{name}": percent_correct(correct) for name, correct in flags.items()}
    return percent | {f"{split}_n": len(flags["clean"])}


def percent_correct(correct: np.ndarray) -> float:
    """The share of true flags of shape (N,), N > 0, in percent: 28.8 where 100 times the mean is 28.799999999999997."""
    return 100 * int(correct.sum()) / len(correct)


def _attack_batch(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    config: TrialConfig,
    radii_255: Sequence[float],
    batch_number: int,
) -> Flags:
    device = next(classifier.parameters()).device
    pixels, targets = to_pixels(images, device), labels.to(device)
    if isinstance(classifier, ProbedClassifier):
        pixels = classifier.attack_space(pixels)
    with torch.no_grad():
        correct = classifier(pixels).argmax(dim=1) == targets
    flags = {"clean": _snapshot(correct)}
    for radius_255 in radii_255:
        radius = radius_255 / 255
        for restart in range(config.eval_restarts):
            survivors = correct.nonzero().squeeze(1)
            if len(survivors) == 0:
                break
            start = None
            if restart > 0:
                random = stream(config.seed, "restart", restart, batch_number, str(radius_255))
                start = (torch.rand(pixels.shape, generator=random) * 2 - 1)[survivors.cpu()].to(device) * radius
            _, broken = attacked_by_pgd(classifier, pixels[survivors], targets[survivors], radius, config, start)
            correct[survivors] = ~broken
        flags[f"pgd_{radius_255:g}"] = _snapshot(correct)
    return flags


def attacked_by_pgd(
    classifier: nn.Module,
    clean: Tensor,
    targets: Tensor,
    radius: float,
    config: TrialConfig,
    start: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The PGD attack of the evaluation, looked at every few steps, so that broken images cost no more steps.

    Args:
        classifier: in evaluation mode, maps ``clean`` to logits (N, K).
        clean: (N, ...), what the attacker perturbs, in [0, 1], on the device of ``classifier``.
        targets: (N,) int64, the true classes.
        radius: of the l-infinity ball, on the [0, 1] scale.
        config: the ``eval_*`` fields.
        start: perturbation to begin from, shaped like ``clean`` (default 0).

    Returns:
        The attacked batch, within ``radius`` of ``clean`` and within [0, 1], and which of it (N,) is misclassified.
    """
    broken = torch.zeros(len(clean), dtype=torch.bool, device=clean.device)
    attacked = clean.clone() if start is None else clean + start
    is_stochastic = isinstance(classifier, ProbedClassifier) and classifier.is_stochastic
    # Looking at a random classifier more than once would give the attacker the luck of several draws.
    stride = config.eval_pgd_steps if is_stochastic else STEPS_BETWEEN_LOOKS
    for done in range(0, config.eval_pgd_steps, stride):
        left = (~broken).nonzero().squeeze(1)
        if len(left) == 0:
            break
        attacked[left] = linf_pgd(
            _attack_loss(classifier, targets[left]),
            clean[left],
            radius=radius,
            step=config.eval_step_255 / 255,
            num_steps=min(stride, config.eval_pgd_steps - done),
            start=attacked[left] - clean[left],
            num_draws=config.eval_eot_samples if is_stochastic else 1,
        )
        with torch.no_grad():
            broken[left] = classifier(attacked[left]).argmax(dim=1) != targets[left]
    return attacked, broken


def _attack_loss(classifier: nn.Module, targets: Tensor) -> Callable[[Tensor], Tensor]:
    # The sum, not the mean: the gradient of an image must not shrink with the number of images beside it.
    return lambda perturbed: functional.cross_entropy(classifier(perturbed), targets, reduction="sum")


def _snapshot(correct: Tensor) -> np.ndarray:
    # A CPU tensor shares its memory with the array made from it, and ``correct`` changes later.
    return correct.cpu().numpy().copy()
