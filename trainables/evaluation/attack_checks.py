"""Whether the evaluation's attack is as strong as it should be: other attacks, on the images that it was made on.

``flags`` are those of ``correct_under_attack`` for at least the first N images, in order.
"""

import itertools
import math

import numpy as np
import torch
from torch import Tensor, nn

from trainables.data.stored_images import Images
from trainables.evaluation.attack_losses import LOSSES
from trainables.evaluation.autoattack_adapter import package_contained
from trainables.evaluation.probe import to_pixels
from trainables.evaluation.robust_accuracy import (
    Flags,
    correct_under_attack,
    evaluation_batch,
    is_stochastic,
    percent_correct,
)
from trainables.streams import stream_seed
from trainables.trial_config import TrialConfig

UNBOUNDED_RADIUS_255 = 128.0
SQUARE_QUERIES = 1000
STRONGER_STEPS, STRONGER_RESTARTS = 5, 1  # times the steps, further starts


def unbounded_attack_accuracy(classifier: nn.Module, images: Images, labels: Tensor, config: TrialConfig) -> float:
    """Accuracy in percent under PGD of radius 128/255, within which every image can become uniformly gray.

    An accuracy clearly above 0 means that the attack fails (masked gradients), not that the model is robust.

    Source: Carlini et al., On Evaluating Adversarial Robustness (arXiv:1902.06705), the unbounded-attack check.
    """
    checked = config.replace(
        eval_radii_255=(UNBOUNDED_RADIUS_255,), eval_pgd_steps=40, eval_step_255=UNBOUNDED_RADIUS_255 / 10
    )
    return percent_correct(correct_under_attack(classifier, images, labels, checked)[f"pgd_{UNBOUNDED_RADIUS_255:g}"])


def largest_rise(classifier: nn.Module, images: Images, labels: Tensor, flags: Flags, config: TrialConfig) -> float:
    """The largest rise of accuracy from one radius to the next, in points, if every radius is attacked by itself.

    There must be at least two. The evaluation attacks at a radius what withstood the smaller ones; here the others are
    attacked there as well. A random classifier is evaluated at every radius by itself in any case, on one draw: only
    what a rise exceeds three standard errors by counts, those of the images that are right at one of the two radii
    alone (as in McNemar's test).
    """
    names = [f"pgd_{radius:g}" for radius in config.eval_radii_255]
    alone = [flags[name][: len(labels)] for name in names]
    if is_stochastic(classifier):
        errors = [3 * 100 * math.sqrt(np.sum(one ^ other)) / len(one) for one, other in itertools.pairwise(alone)]
    else:
        clean, errors = flags["clean"][: len(labels)], [0.0] * (len(alone) - 1)
        for index, radius in enumerate(config.eval_radii_255[1:], start=1):
            rows = (clean & ~flags[names[index - 1]][: len(labels)]).nonzero()[0]
            alone[index] = alone[index] | _survivors(classifier, images, labels, rows, radius, config)
    rises = np.diff([percent_correct(correct) for correct in alone]) - errors
    return float(max(0.0, *rises))


def lost_to_stronger_attack(
    classifier: nn.Module, images: Images, labels: Tensor, flags: Flags, config: TrialConfig
) -> float:
    """The percentage of all images that withstood the attack at the middle radius but not a stronger one."""
    radius = middle_radius_255(config)
    stronger = config.replace(
        eval_losses=tuple(LOSSES),
        eval_pgd_steps=max(STRONGER_STEPS * config.eval_pgd_steps, 50),
        eval_step_255=min(config.eval_step_255, radius / 10),
        eval_restarts=config.eval_restarts + STRONGER_RESTARTS,
    )
    rows = flags[f"pgd_{radius:g}"][: len(labels)].nonzero()[0]
    left = _survivors(classifier, images, labels, rows, radius, stronger)
    return 100 * (len(rows) - int(left.sum())) / len(labels)


def lost_to_black_box(
    classifier: nn.Module, images: Images, labels: Tensor, flags: Flags, config: TrialConfig
) -> float:
    """The percentage of all images that withstood PGD at the middle radius but not Square with ``SQUARE_QUERIES``.

    Source: Andriushchenko et al. (arXiv:1912.00049), as in pyautoattack.
    """
    from pyautoattack.square import SquareAttack  # imported here because the package is slow and most trials need none

    device, radius = next(classifier.parameters()).device, middle_radius_255(config)
    rows = torch.from_numpy(flags[f"pgd_{radius:g}"][: len(labels)].nonzero()[0])
    lost = 0
    for part in rows.split(evaluation_batch(classifier)) if len(rows) > 0 else ():
        clean, targets = to_pixels(images[part], device), labels[part].to(device)
        with package_contained(device), torch.no_grad():
            attack = SquareAttack(classifier, "Linf", n_queries=SQUARE_QUERIES, eps=radius / 255, device=device,
                                  seed=stream_seed(config.seed, "square") % 2**32)  # fmt: skip
            attacked = attack.perturb(clean, targets)
            assert float((attacked - clean).abs().max()) <= radius / 255 + 1e-5
            lost += int((classifier(attacked).argmax(dim=1) != targets).sum())
    return 100 * lost / len(labels)


def middle_radius_255(config: TrialConfig) -> float:
    """The middle radius of the evaluation, in 1/255; for example 8 for 4, 8 and 16."""
    return config.eval_radii_255[(len(config.eval_radii_255) - 1) // 2]


def _survivors(
    classifier: nn.Module, images: Images, labels: Tensor, rows: np.ndarray, radius_255: float, config: TrialConfig
) -> np.ndarray:
    """Flags (N,) of the ``rows`` that withstand the attack at one radius; the other images are not attacked."""
    correct = np.zeros(len(labels), dtype=bool)
    if len(rows) > 0:
        chosen = torch.from_numpy(rows)
        found = correct_under_attack(classifier, images[chosen], labels[chosen], config, (radius_255,))
        correct[rows] = found[f"pgd_{radius_255:g}"]
    return correct
