"""AutoAttack through pyautoattack, with the traps of that package closed."""

import logging
import sys
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from trainables.probe import ProbedClassifier, to_pixels
from trainables.robust_accuracy import Flags, evaluation_batch
from trainables.streams import stream_seed
from trainables.trial_config import TrialConfig

MIN_AUTOATTACK_CLASSES = 4  # its targeted loss compares the four largest logits


def correct_under_autoattack(
    classifier: nn.Module, images: Tensor, labels: Tensor, known: Mapping[float, np.ndarray], config: TrialConfig
) -> Flags:
    """Which images withstand AutoAttack (Croce and Hein, arXiv:2003.01690) at every radius.

    The version is ``standard``, and ``rand`` for a classifier whose views are redrawn at every look.
    The package trusts its own bookkeeping; here each returned example is checked to lie in the ball and classified
    again. Only images that survived PGD and every smaller radius are attacked: the others are broken already.

    Args:
        classifier: in evaluation mode, maps pixels (N, 3, S, S) in [0, 1] to logits (N, K), K >= 4.
        images, labels: (N, 3, S, S) uint8 and (N,) int64, in CPU memory.
        known: radius (of 255) -> flags (N,) of the images that weaker attacks left correct at it.
        config: ``eval_radii_255`` and ``seed``.

    Returns:
        ``{"aa_4": flags, ...}``, boolean of shape (N,).

    Raises:
        ValueError: where the classifier is in training mode.
    """
    if classifier.training:
        raise ValueError("the classifier must be in evaluation mode: AutoAttack would change its BatchNorm")
    device = next(classifier.parameters()).device
    pixels, targets = to_pixels(images, device), labels.to(device)
    survives = np.ones(len(images), dtype=bool)
    flags: Flags = {}
    for radius_255 in config.eval_radii_255:
        survives = survives & known[radius_255]
        rows = torch.from_numpy(survives.nonzero()[0]).to(device)
        if len(rows) > 0:
            attacked = _run_autoattack(classifier, pixels[rows], targets[rows], radius_255 / 255, config)
            assert float((attacked - pixels[rows]).abs().max()) <= radius_255 / 255 + 1e-5
            with torch.no_grad():
                right = torch.cat(
                    [classifier(part).argmax(dim=1) for part in attacked.split(evaluation_batch(classifier))]
                )
            survives[rows.cpu().numpy()] = (right == targets[rows]).cpu().numpy()
        flags[f"aa_{radius_255:g}"] = survives.copy()
    return flags


def _run_autoattack(
    classifier: nn.Module, pixels: Tensor, targets: Tensor, radius: float, config: TrialConfig
) -> Tensor:
    """Adversarial examples shaped like ``pixels``; the global RNG, the trace function and the logger are put back."""
    from pyautoattack import AutoAttack  # imported here because it is slow and most trials do not use it

    logger, trace = logging.getLogger("auto-attack"), sys.gettrace()
    level = logger.level
    is_stochastic = isinstance(classifier, ProbedClassifier) and classifier.is_stochastic
    devices = [pixels.device] if pixels.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            logger.setLevel(logging.WARNING)
            attack = AutoAttack(
                classifier,
                norm="Linf",
                eps=radius,
                version="rand" if is_stochastic else "standard",
                device=pixels.device,
                seed=stream_seed(config.seed, "autoattack") % 2**32,
            )
            if is_stochastic:
                attack.apgd.eot_iter = config.eval_eot_samples
            with torch.no_grad():
                num_classes = classifier(pixels[:1]).shape[1]
            for targeted in (attack.apgd_targeted, attack.fab):
                targeted.n_target_classes = min(9, num_classes - 1)
            attacked: Tensor
            batch_size = evaluation_batch(classifier)
            attacked, _ = attack.run_standard_evaluation(pixels, targets, batch_size=batch_size)
    finally:
        logger.setLevel(level)
        sys.settrace(trace)
    return attacked.to(pixels.device)
