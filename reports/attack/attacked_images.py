"""Test images with the perturbations that the evaluation's attack finds for them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainables.data.datasets import TrialData
from trainables.evaluation.probe import ProbedClassifier, to_pixels
from trainables.evaluation.robust_accuracy import attacked_by_pgd
from trainables.trial_config import TrialConfig

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AttackedImage:
    """One test image before and after the attack.

    Args:
        index: its position among the evaluated test images.
        clean, adversarial: (S, S, 3), in [0, 1]; equal if the image is misclassified clean and so not attacked.
        true_class: its name.
        clean_prediction, adversarial_prediction: names of the predicted classes.
        falls_at_255: the smallest radius of the curve at which it is misclassified, in units of 1/255 (0: clean);
            infinity if at none.
    """

    index: int
    clean: Pixels
    adversarial: Pixels
    true_class: str
    clean_prediction: str
    adversarial_prediction: str
    falls_at_255: float

    @property
    def perturbation(self) -> Pixels:
        """(S, S, 3), adversarial minus clean."""
        return self.adversarial - self.clean


def sheet_radius_255(config: TrialConfig) -> float:
    """The middle radius of the evaluation, in units of 1/255; for example 8 for 4, 8 and 16."""
    return config.eval_radii_255[(len(config.eval_radii_255) - 1) // 2]


@torch.no_grad()
def attacked_images(
    classifier: ProbedClassifier,
    data: TrialData,
    config: TrialConfig,
    falls_at_255: npt.NDArray[np.float64],
    radius_255: float,
    count: int,
) -> list[AttackedImage]:
    """Attacks the first ``count`` test images as the evaluation does, but only from its first start.

    Args:
        classifier: of the trial, in evaluation mode.
        data: of the trial.
        config: of the trial.
        falls_at_255: (N,), for at least the first ``count`` test images.
        radius_255: of the l-infinity ball, in units of 1/255.
        count: how many images to attack; fewer if there are not that many.

    Returns:
        The images in the order of the evaluation; if the probe's views are attacked, the first view of each.
    """
    images, labels = data.test.tensors(count)
    device = next(classifier.parameters()).device
    classifier.redraw_for("attacked_images")
    clean, targets = classifier.attack_space(to_pixels(images, device)), labels.to(device)
    before = classifier(clean).argmax(dim=1)
    adversarial, after = clean.clone(), before.clone()
    right = (before == targets).nonzero().squeeze(1)
    if len(right) > 0:
        adversarial[right], _ = attacked_by_pgd(classifier, clean[right], targets[right], radius_255 / 255, config)
        after[right] = classifier(adversarial[right]).argmax(dim=1)
    names, shown, attacked = data.class_names, _shown(clean), _shown(adversarial)
    return [
        AttackedImage(
            index,
            shown[index],
            attacked[index],
            names[labels[index]],
            names[before[index]],
            names[after[index]],
            float(falls_at_255[index]),
        )
        for index in range(len(labels))
    ]


def _shown(attacked: Tensor) -> Pixels:
    """Images (N, S, S, 3) from images (N, 3, S, S), or from the first of the n views in (N, n, 3, S, S)."""
    images = attacked[:, 0] if attacked.ndim == 5 else attacked
    return np.asarray(images.permute(0, 2, 3, 1).cpu().numpy())
