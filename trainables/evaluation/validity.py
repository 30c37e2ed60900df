"""Checks that tell a robust classifier from a broken attack or a collapsed encoder."""

import torch
from torch import Tensor, nn

from trainables.data.stored_images import Images
from trainables.evaluation.probe import ProbedClassifier, frozen_features
from trainables.evaluation.robust_accuracy import correct_under_attack, percent_correct
from trainables.pretraining.pretrain import require_finite
from trainables.trial_config import TrialConfig

UNBOUNDED_RADIUS_255 = 128.0
MAX_CHECKED_IMAGES = 100


def unbounded_attack_accuracy(classifier: nn.Module, images: Images, labels: Tensor, config: TrialConfig) -> float:
    """Accuracy in percent under PGD of radius 128/255, within which every image can become uniformly gray.

    No classifier can be right on gray images more often than by chance, so an accuracy clearly above chance means that
    the attack fails (masked gradients), not that the model is robust.

    Source: Carlini et al., On Evaluating Adversarial Robustness (arXiv:1902.06705), the unbounded-attack check.
    """
    checked = config.replace(
        eval_radii_255=(UNBOUNDED_RADIUS_255,), eval_pgd_steps=40, eval_step_255=UNBOUNDED_RADIUS_255 / 10
    )
    flags = correct_under_attack(classifier, images[:MAX_CHECKED_IMAGES], labels[:MAX_CHECKED_IMAGES], checked)
    return percent_correct(flags[f"pgd_{UNBOUNDED_RADIUS_255:g}"])


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


def validity_warnings(metrics: dict[str, float | int], chance_percent: float) -> list[str]:
    """What is wrong with a finished trial's numbers, in words; empty if the checks pass.

    Args:
        metrics: with ``feature_effective_rank``, ``unbounded_attack_accuracy`` and ``val_clean``.
        chance_percent: accuracy of always guessing the most frequent class.
    """
    warnings = []
    if metrics["feature_effective_rank"] < 2:
        warnings.append(f"collapsed features: effective rank {metrics['feature_effective_rank']:.2f}")
    if metrics["val_clean"] <= chance_percent:
        warnings.append(f"clean accuracy {metrics['val_clean']:.1f}% is not above chance")
    if metrics["unbounded_attack_accuracy"] > chance_percent + 10:
        warnings.append(
            f"the attack looks broken: {metrics['unbounded_attack_accuracy']:.0f}% stay right at radius 128/255"
        )
    return warnings
