"""Features and logits that are not finite are no measurement, wherever they show."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trainables.evaluation.probe import ProbedClassifier
from trainables.evaluation.robust_accuracy import correct_under_attack
from trainables.evaluation.validity import feature_effective_rank
from trainables.pretraining.encoders import ProjectedEncoder
from trainables.pretraining.pretrain import TrialDiverged
from trainables.trial_config import TrialConfig


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (nn.Hardtanh(3e38, 3.4e38), "the centred features of the encoder"),  # finite, but not their mean
        (nn.Threshold(2.0, float("inf")), "the features of the encoder"),
    ],
)
def test_features_that_are_not_finite_have_no_rank(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, layer: nn.Module, what: str
) -> None:
    encoder = ProjectedEncoder(nn.Sequential(nn.Flatten(), layer), 192, 4, 4)
    classifier = ProbedClassifier(encoder, nn.Linear(192, 2), tiny(probe_layer="backbone")).eval()
    with pytest.raises(TrialDiverged, match=f"{what} are not finite"):
        feature_effective_rank(classifier, noise_images)


class Brittle(nn.Module):
    """Right on whatever has not been moved, and beyond that without finite logits."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(192, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, 2)."""
        moved = (pixels * 255 - (pixels * 255).round()).abs().amax(dim=(1, 2, 3)) > 1e-3
        return self.linear(pixels.flatten(1)) + torch.where(moved, float("nan"), 0.0)[:, None]


def test_logits_that_are_not_finite_are_no_answer(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    """Those of NaN would be the first class: right for images of that class."""
    classifier = Brittle().eval()
    with torch.no_grad():
        labels = classifier(noise_images / 255).argmax(dim=1)
    with pytest.raises(TrialDiverged, match="the logits of the probed classifier are not finite"):
        correct_under_attack(classifier, noise_images, labels, tiny(eval_radii_255=(8.0,)))
