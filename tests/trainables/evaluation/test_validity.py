"""Checks on features and attacks that are collapsed, broken or sound by construction."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trainables.evaluation.probe import ProbedClassifier
from trainables.evaluation.validity import feature_effective_rank, unbounded_attack_accuracy, validity_warnings
from trainables.pretraining.encoders import ProjectedEncoder
from trainables.trial_config import TrialConfig


def pixel_classifier(config: TrialConfig) -> ProbedClassifier:
    """A classifier whose features are the 192 pixels."""
    encoder = ProjectedEncoder(nn.Flatten(), 192, 4, 4)
    return ProbedClassifier(encoder, nn.Linear(192, 2), config.replace(probe_layer="backbone")).eval()


def images_along(num_directions: int, num_images: int = 40) -> Tensor:
    """Images that differ from mid-gray in one of ``num_directions`` pixels each, up and down in turn."""
    rows = torch.full((num_images, 192), 128)
    index = torch.arange(num_images)
    sign = 1 - 2 * ((index // num_directions) % 2)
    rows[index, index % num_directions] += 100 * sign
    return rows.to(torch.uint8).view(-1, 3, 8, 8)


@pytest.mark.parametrize(("num_directions", "num_images"), [(1, 40), (2, 40), (10, 40), (20, 80), (50, 100)])
def test_effective_rank_counts_equal_directions(
    tiny: Callable[..., TrialConfig], num_directions: int, num_images: int
) -> None:
    rank = feature_effective_rank(pixel_classifier(tiny()), images_along(num_directions, num_images))
    assert rank == pytest.approx(num_directions, rel=1e-3)


def test_effective_rank_weighs_unequal_directions(tiny: Callable[..., TrialConfig]) -> None:
    images = torch.full((4, 192), 128)
    images[0, 0], images[1, 0], images[2, 1], images[3, 1] = 128 + 90, 128 - 90, 128 + 30, 128 - 30
    rank = feature_effective_rank(pixel_classifier(tiny()), images.to(torch.uint8).view(-1, 3, 8, 8))
    assert rank == pytest.approx(4 / 3**0.75, rel=1e-4)  # exp of the entropy of (3/4, 1/4)


def test_effective_rank_of_constant_features_is_one(tiny: Callable[..., TrialConfig]) -> None:
    images = torch.full((10, 3, 8, 8), 77, dtype=torch.uint8)
    assert feature_effective_rank(pixel_classifier(tiny()), images) == pytest.approx(1, abs=0.01)


def test_nothing_survives_an_unbounded_attack(
    tiny: Callable[..., TrialConfig], sign_classifier: Callable[..., nn.Module]
) -> None:
    classifier = sign_classifier(2)
    labels = torch.arange(120) % 2
    images = classifier.images(labels, torch.full((120,), 100.0))
    assert unbounded_attack_accuracy(classifier, images, labels, tiny()) == 0


class Masked(nn.Module):
    """Right, but rounded: its gradient is 0 almost everywhere."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixels: Tensor) -> Tensor:
        return self.classifier((pixels * 4).round() / 4)


def test_masked_gradients_survive_an_unbounded_attack(
    tiny: Callable[..., TrialConfig], sign_classifier: Callable[..., nn.Module]
) -> None:
    classifier = sign_classifier(2)
    labels = torch.arange(20) % 2
    images = classifier.images(labels, torch.full((20,), 100.0))
    accuracy = unbounded_attack_accuracy(Masked(classifier).eval(), images, labels, tiny())
    assert accuracy == 100
    metrics = {"feature_effective_rank": 9.0, "val_clean": 99.0, "unbounded_attack_accuracy": accuracy}
    assert validity_warnings(metrics, 50.0)


SOUND = {"feature_effective_rank": 12.0, "val_clean": 60.0, "unbounded_attack_accuracy": 3.0}


def test_sound_numbers_give_no_warning() -> None:
    assert validity_warnings(SOUND, 10.0) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"feature_effective_rank": 1.4}, "collapsed features: effective rank 1.40"),
        ({"val_clean": 10.0}, "clean accuracy 10.0% is not above chance"),
        ({"unbounded_attack_accuracy": 35.0}, "the attack looks broken: 35% stay right"),
    ],
)
def test_each_rule_warns(change: dict[str, float], words: str) -> None:
    (warning,) = validity_warnings(SOUND | change, 10.0)
    assert words in warning


def test_all_rules_warn_together() -> None:
    broken = {"feature_effective_rank": 1.0, "val_clean": 9.0, "unbounded_attack_accuracy": 90.0}
    assert len(validity_warnings(broken, 10.0)) == 3
