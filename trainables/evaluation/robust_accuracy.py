"""Clean and PGD accuracy, kept per image; monotone in the radius unless the classifier is random."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from trainables.data.stored_images import Images
from trainables.evaluation.attack_losses import LOSSES
from trainables.evaluation.probe import ProbedClassifier, to_pixels
from trainables.hardware import to_device
from trainables.pgd import pgd, random_perturbation
from trainables.pretraining.pretrain import require_finite
from trainables.streams import stream
from trainables.trial_config import ATTACK_INFIX, Norm, TrialConfig

EVALUATION_BATCH = 500
STEPS_BETWEEN_LOOKS = 5
L2_STEP_FACTOR = 2.5  # radii that all steps of an l2 attack add up to, as in Madry et al. (arXiv:1706.06083)
Flags = dict[str, np.ndarray]


def correct_under_attack(
    classifier: nn.Module,
    images: Images,
    labels: Tensor,
    config: TrialConfig,
    radii_255: Sequence[float] | None = None,
    norm: Norm = "linf",
    on_share: Callable[[float], None] = lambda share: None,
) -> Flags:
    """Which images are classified correctly, clean and under PGD at every radius of the final evaluation in ``norm``.

    An image has to withstand PGD on each of ``config.eval_losses``; only those that withstand one are attacked on the
    next. An image that is misclassified clean or at a smaller radius counts as broken at every larger radius: the same
    perturbation lies in the larger ball too, so the bound is tighter and the image need not be attacked again. This
    does not hold for a classifier that draws new views at every evaluation, because each radius and restart would be
    another chance of an unlucky draw. There every image is attacked at every radius and evaluated once, after all
    restarts.

    Args:
        classifier: in evaluation mode, maps pixels (N, 3, S, S) in [0, 1] to logits (N, K).
        images: (N, 3, S, S) uint8, in CPU memory or in a file.
        labels: (N,) int64.
        config: the ``eval_*`` fields.
        radii_255: radii in ascending order, instead of those of ``config``.
        norm: of the radii.
        on_share: takes the share of the images that are done, after each batch.

    Returns:
        ``{"clean": flags, "pgd_4": flags, ...}``, or ``{"clean": flags, "pgd_l2_128": flags, ...}``, each boolean of
        shape (N,), in the order of ``images``.

    Raises:
        TrialDiverged: if logits are not finite.
        ValueError: if the classifier is in training mode.
    """
    if classifier.training:
        raise ValueError("the classifier must be in evaluation mode: BatchNorm would adapt to the attacked batch")
    size = evaluation_batch(classifier)
    radii, parts = radii_255 or config.final_radii_255(norm), []
    for number, batch in enumerate(zip(images.split(size), labels.split(size), strict=True)):
        parts.append(_attack_batch(classifier, *batch, config, radii, norm, number))
        on_share(min(1.0, (number + 1) * size / len(images)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@torch.no_grad()
def predicted(classifier: nn.Module, attacked: Tensor) -> Tensor:
    """The classes (N,) of the largest logits; of NaN they would be the first class, which is right now and then.

    Raises:
        TrialDiverged: if logits are not finite.
    """
    return require_finite(classifier(attacked), "the logits of the probed classifier").argmax(dim=1)


def evaluation_batch(classifier: nn.Module) -> int:
    """Number of images attacked at a time: ``EVALUATION_BATCH`` encoder passes of small images, fewer of large ones."""
    return classifier.images_at_once(EVALUATION_BATCH) if isinstance(classifier, ProbedClassifier) else EVALUATION_BATCH


def accuracies(flags: Flags, split: str) -> dict[str, float | int]:
    """Accuracies in percent named ``{split}_clean``, ``{split}_pgd_8``..., and ``{split}_n``, the number of images."""
    percent = {f"{split}_{name}": percent_correct(correct) for name, correct in flags.items()}
    return percent | {f"{split}_n": len(flags["clean"])}


def percent_correct(correct: np.ndarray) -> float:
    """The percentage of true flags of shape (N,), N > 0: 28.8 where 100 times the mean gives 28.799999999999997."""
    return 100 * int(correct.sum()) / len(correct)


def _attack_batch(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    config: TrialConfig,
    radii_255: Sequence[float],
    norm: Norm,
    batch_number: int,
) -> Flags:
    device = next(classifier.parameters()).device
    pixels, targets = to_pixels(images, device), to_device(labels, device)
    if isinstance(classifier, ProbedClassifier):
        pixels = classifier.attack_space(pixels)
        if classifier.is_stochastic:
            return _attack_batch_of_redrawn_views(classifier, pixels, targets, config, radii_255, norm, batch_number)
    correct = predicted(classifier, pixels) == targets
    flags = {"clean": _snapshot(correct)}
    for radius_255 in radii_255:
        radius = radius_255 / 255
        for restart in range(config.eval_restarts):
            survivors = correct.nonzero().squeeze(1)
            if len(survivors) == 0:
                break
            start = _random_start(pixels, radius_255, norm, restart, batch_number, config)
            start = None if start is None else start[survivors]
            _, broken = attacked_by_pgd(classifier, pixels[survivors], targets[survivors], radius, config, start, norm)
            correct[survivors] = ~broken
        flags[f"pgd_{ATTACK_INFIX[norm]}{radius_255:g}"] = _snapshot(correct)
    return flags


def _attack_batch_of_redrawn_views(
    classifier: ProbedClassifier,
    pixels: Tensor,
    targets: Tensor,
    config: TrialConfig,
    radii_255: Sequence[float],
    norm: Norm,
    batch_number: int,
) -> Flags:
    """Evaluates every image once clean and once per radius, each time on its own draws, whatever else is attacked."""
    flags = {}
    infix = ATTACK_INFIX[norm]
    for name, radius_255 in (("clean", 0.0), *((f"pgd_{infix}{radius:g}", radius) for radius in radii_255)):
        attacked, threat = pixels, f"{infix if radius_255 > 0 else ''}{radius_255}"
        if radius_255 > 0:
            classifier.redraw_for("pgd", threat, batch_number)
            starts = [
                _random_start(pixels, radius_255, norm, restart, batch_number, config)
                for restart in range(config.eval_restarts)
            ]
            attempts = [
                _ascend(classifier, pixels, targets, loss, radius_255 / 255, config.eval_pgd_steps, config, start, norm)
                for start in starts
                for loss in config.eval_losses
            ]
            attacked = most_damaging(classifier, attempts, targets, config)
        classifier.redraw_for("look", threat, batch_number)
        flags[name] = _snapshot(predicted(classifier, attacked) == targets)
    return flags


def most_damaging(classifier: nn.Module, attempts: Sequence[Tensor], targets: Tensor, config: TrialConfig) -> Tensor:
    """For each image, the one of several attacked versions (N, ...) that has the highest mean loss.

    The loss is the margin if it is one of ``config.eval_losses``, as it does not saturate, and otherwise the
    cross-entropy. The mean is over ``config.eval_eot_samples`` evaluations. Counting an image as broken requires a
    further evaluation, one that had no part in this choice.
    """
    if len(attempts) == 1:
        return attempts[0]
    loss_of = LOSSES["margin" if "margin" in config.eval_losses else "cross_entropy"]
    losses = torch.zeros(len(attempts), len(targets), device=targets.device)
    with torch.no_grad():
        for attempt, loss in zip(attempts, losses, strict=True):
            for _ in range(config.eval_eot_samples):
                loss += loss_of(classifier(attempt), targets)
    return torch.stack(list(attempts))[losses.argmax(dim=0), torch.arange(len(targets), device=targets.device)]


def attacked_by_pgd(
    classifier: nn.Module,
    clean: Tensor,
    targets: Tensor,
    radius: float,
    config: TrialConfig,
    start: Tensor | None = None,
    norm: Norm = "linf",
) -> tuple[Tensor, Tensor]:
    """PGD as used for evaluation: on each loss in turn, for the images that are right so far.

    Images are classified every few steps, and broken ones are attacked no further. A random classifier is attacked on
    each loss to the end and evaluated once: more evaluations would give the attacker chances of a lucky draw.

    Args:
        classifier: in evaluation mode, maps ``clean`` to logits (N, K).
        clean: (N, ...), what the attacker perturbs, in [0, 1], on the device of ``classifier``.
        targets: (N,) int64, the true classes.
        radius: of the ball, on the [0, 1] scale.
        config: the ``eval_*`` fields.
        start: perturbation to begin from, shaped like ``clean`` (default 0).
        norm: of the radius.

    Returns:
        The attacked batch, within ``radius`` of ``clean`` and within [0, 1], and flags (N,) of its misclassified
        images.
    """
    if is_stochastic(classifier):
        attempts = [
            _ascend(classifier, clean, targets, loss, radius, config.eval_pgd_steps, config, start, norm)
            for loss in config.eval_losses
        ]
        attacked = most_damaging(classifier, attempts, targets, config)
        return attacked, predicted(classifier, attacked) != targets
    broken = torch.zeros(len(clean), dtype=torch.bool, device=clean.device)
    attacked = clean.clone()
    for loss in config.eval_losses:
        rows = (~broken).nonzero().squeeze(1)
        attacked[rows] = clean[rows] if start is None else clean[rows] + start[rows]
        for done in range(0, config.eval_pgd_steps, STEPS_BETWEEN_LOOKS):
            if done > 0:
                rows = (~broken).nonzero().squeeze(1)
            if len(rows) == 0:
                break
            num_steps = min(STEPS_BETWEEN_LOOKS, config.eval_pgd_steps - done)
            so_far = attacked[rows] - clean[rows]
            attacked[rows] = _ascend(
                classifier, clean[rows], targets[rows], loss, radius, num_steps, config, so_far, norm
            )
            broken[rows] = predicted(classifier, attacked[rows]) != targets[rows]
    return attacked, broken


def is_stochastic(classifier: nn.Module) -> bool:
    """Whether two evaluations of an image may differ."""
    return isinstance(classifier, ProbedClassifier) and classifier.is_stochastic


def _ascend(
    classifier: nn.Module,
    clean: Tensor,
    targets: Tensor,
    loss: str,
    radius: float,
    num_steps: int,
    config: TrialConfig,
    start: Tensor | None,
    norm: Norm,
) -> Tensor:
    return pgd(
        # The sum, not the mean: the gradient of an image must not shrink with the number of images in the batch.
        lambda perturbed: LOSSES[loss](classifier(perturbed), targets).sum(),
        clean,
        norm=norm,
        radius=radius,
        step=config.eval_step_255 / 255 if norm == "linf" else L2_STEP_FACTOR * radius / config.eval_pgd_steps,
        num_steps=num_steps,
        start=start,
        num_draws=config.eval_eot_samples if is_stochastic(classifier) else 1,
    )


def _random_start(
    clean: Tensor, radius_255: float, norm: Norm, restart: int, batch_number: int, config: TrialConfig
) -> Tensor | None:
    """A perturbation of ``clean``, uniform in the ball; None for the first start, which is ``clean`` itself."""
    if restart == 0:
        return None
    random = stream(config.seed, "restart", restart, batch_number, f"{ATTACK_INFIX[norm]}{radius_255}")
    return to_device(random_perturbation(clean.shape, radius_255 / 255, norm, random), clean.device)


def _snapshot(correct: Tensor) -> np.ndarray:
    # A CPU tensor shares its memory with the array made from it, and ``correct`` changes later.
    return correct.cpu().numpy().copy()
