"""Makes the checks of ``check_table`` on a finished trial."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.data.stored_images import Images
from trainables.evaluation.attack_checks import (
    largest_rise,
    lost_to_black_box,
    lost_to_stronger_attack,
    middle_radius_255,
    unbounded_attack_accuracy,
)
from trainables.evaluation.binarisation import planted_examples_missed
from trainables.evaluation.classifier_checks import classifier_checks
from trainables.evaluation.probe import ProbedClassifier, frozen_features, to_pixels
from trainables.evaluation.robust_accuracy import Flags, is_stochastic, percent_correct
from trainables.pretraining.pretrain import require_finite
from trainables.trial_config import TrialConfig

MAX_CHECKED_IMAGES = 100
MAX_BINARISED_IMAGES = 50
Found = dict[str, tuple[float, int]]  # check -> value, number of images it was measured on


@dataclass(frozen=True)
class AutoAttackOutcome:
    """What AutoAttack found, and what it warned of.

    Args:
        flags: ``test_aa_4``... -> which images (N,) withstood it.
        known: ``test_pgd_4``... -> which of the same images withstood PGD, in the same order.
        warnings: its own, each once.
    """

    flags: Flags
    known: Flags
    warnings: Sequence[str]


@torch.no_grad()
def feature_effective_rank(classifier: ProbedClassifier, images: Images) -> float:
    """Effective rank of the centred features of up to 100 images: near 1 if the encoder has collapsed.

    Raises ``TrialDiverged`` if they are not finite.

    Source: Roy and Vetterli (EUSIPCO 2007), the exponential of the entropy of the normalised singular values.
    """
    classifier.redraw_for("effective_rank")
    features = frozen_features(classifier, images[:MAX_CHECKED_IMAGES])
    centred = require_finite(features - features.mean(dim=0), "the centred features of the encoder")
    singular = torch.linalg.svdvals(centred.double())
    share = singular / singular.sum().clamp(min=1e-12)
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))


def checks_of_attack(
    classifier: torch.nn.Module, images: Images, labels: Tensor, flags: Flags, config: TrialConfig
) -> Found:
    """The checks of classifier and attack on up to 100 images, those of ``config.eval_checks``.

    Checks by one fixed function's standard (more steps, a black box, planted examples) are not made where views are
    redrawn, nor those that perturb images where views are attacked.

    Args:
        classifier: as it was evaluated.
        images, labels: (N, 3, S, S) uint8 and (N,) int64, at least two of them.
        flags: of ``correct_under_attack`` on these images.
        config: the ``eval_*`` fields.
    """
    images, labels = images[:MAX_CHECKED_IMAGES], labels[:MAX_CHECKED_IMAGES]
    num = len(labels)
    device = next(classifier.parameters()).device
    pixels = images_pixels = to_pixels(images, device)
    if isinstance(classifier, ProbedClassifier):
        pixels = classifier.attack_space(pixels)
    values = classifier_checks(classifier, pixels, labels.to(device), config.eval_losses)
    values["unbounded"] = unbounded_attack_accuracy(classifier, images, labels, config)
    if len(config.eval_radii_255) > 1:
        values["radius_order"] = largest_rise(classifier, images, labels, flags, config)
    found = {name: (value, num) for name, value in values.items()}
    if config.eval_checks == "cheap" or is_stochastic(classifier):
        return found
    found["stronger_attack"] = lost_to_stronger_attack(classifier, images, labels, flags, config), num
    if pixels is images_pixels:
        found["black_box"] = lost_to_black_box(classifier, images, labels, flags, config), num
        radius = middle_radius_255(config) / 255
        missed, planted = planted_examples_missed(classifier, pixels[:MAX_BINARISED_IMAGES], radius, config)
        if planted:
            found["binarisation"] = missed, planted
    return found


def checks_of_autoattack(outcome: AutoAttackOutcome, *, is_random: bool) -> Found:
    """How far PGD is from AutoAttack, unless single draws make both uncertain, and the number of its warnings."""
    num = min(len(correct) for correct in outcome.flags.values())
    found: Found = {"autoattack_warnings": (float(len(set(outcome.warnings))), num)}
    if not is_random:
        pairs = zip(outcome.known.values(), outcome.flags.values(), strict=True)
        gaps = [percent_correct(np.asarray(pgd)) - percent_correct(aa) for pgd, aa in pairs]
        found["autoattack_gap"] = max(gaps), num
    return found
