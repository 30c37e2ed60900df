"""Configs and images so small that a batch takes milliseconds, and classifiers whose robustness is known."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables.evaluation.probe import ProbedClassifier
from trainables.pretraining.methods import METHODS, MethodName
from trainables.trial_config import TrialConfig

TINY: dict[str, Any] = {
    "dataset": "digits",
    "image_size": 8,
    "num_views": 3,
    "encoder": "resnet_narrow",
    "projector_hidden_dim": 16,
    "projector_dim": 8,
    "batch_size": 8,
    "epochs": 2,
    "pgd_steps": 3,
    "probe_epochs": 1,
    "probe_learning_rate": 1e-2,
    "eval_samples": 50,
}


@pytest.fixture
def tiny() -> Callable[..., TrialConfig]:
    """Makes configs of a narrow ResNet on 8x8 images; keyword arguments replace fields."""
    return lambda **changes: TrialConfig(**(TINY | changes))


@pytest.fixture
def tiny_of(tiny: Callable[..., TrialConfig]) -> Callable[..., TrialConfig]:
    """Makes such configs of the method that is the first argument, as it demands them."""

    def make(name: MethodName, **changes: Any) -> TrialConfig:
        demanded: dict[str, Any] = {"method": name, "num_views": METHODS[name].num_views or 3}
        demanded |= {"probe": "own_head"} if METHODS[name].needs_labels else {}
        demanded |= {"probe_layer": "backbone", "distillation_attack_anchor": "student"} if name == "deacl" else {}
        return tiny(**demanded | changes)

    return make


@pytest.fixture
def noise_images() -> Tensor:
    """Twenty uint8 noise images (20, 3, 8, 8): two batches of eight and a remainder."""
    return torch.randint(0, 256, (20, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture
def global_rng_untouched() -> Iterator[None]:
    """Fails where a test changed the state of torch's, numpy's or Python's global generator."""
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    assert all(np.array_equal(now, then) for now, then in zip(np.random.get_state(), before[1], strict=True))
    assert random.getstate() == before[2]


class SignClassifier(nn.Module):
    """A linear classifier of 8x8 images: the logit of class k is ``gain`` times the mean of pattern k over the pixels.

    ``images`` makes images that lie ``distances_255`` along the pattern of their class from mid-gray. The patterns of
    two classes are opposite, so that an image is broken by radii above its distance, up to the noise on its pixels.
    """

    def __init__(self, num_classes: int, gain: float = 20.0) -> None:
        super().__init__()
        signs = torch.randint(0, 2, (num_classes, 3 * 8 * 8), generator=torch.Generator().manual_seed(5)) * 2.0 - 1
        if num_classes == 2:
            signs[1] = -signs[0]
        self.signs = signs
        self.linear = nn.Linear(3 * 8 * 8, num_classes)
        with torch.no_grad():
            self.linear.weight.copy_(signs * gain / signs.shape[1])
            self.linear.bias.copy_(-self.linear.weight.sum(dim=1) * 128 / 255)
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, K)."""
        return self.linear(pixels.flatten(1))

    def images(self, labels: Tensor, distances_255: Tensor, seed: int = 0) -> Tensor:
        """uint8 images (N, 3, 8, 8) with noise of one grey level, no pixel near 0 or 255."""
        noise = torch.randint(-1, 2, (len(labels), 3 * 8 * 8), generator=torch.Generator().manual_seed(seed))
        pixels = 128 + distances_255[:, None] * self.signs[labels] + noise
        return pixels.round().to(torch.uint8).view(-1, 3, 8, 8)

    def distances_255(self, images: Tensor, labels: Tensor) -> np.ndarray:
        """The l-infinity distance of each image to the nearest decision boundary, negative where it is misclassified.

        In closed form and float64: a difference of logits w.x + b is 0 at the l-infinity distance (w.x + b) / |w|_1.
        """
        weight, bias = self.linear.weight.double(), self.linear.bias.double()
        logits = images.flatten(1).double() / 255 @ weight.T + bias
        nearest = torch.full((len(images),), float("inf"), dtype=torch.float64)
        for other in range(len(weight)):
            difference = logits.gather(1, labels[:, None])[:, 0] - logits[:, other]
            norm = (weight[labels] - weight[other]).abs().sum(dim=1)
            distance = torch.where(labels == other, float("inf"), 255 * difference / norm)
            nearest = torch.minimum(nearest, distance)
        return nearest.detach().numpy()


class Sides(nn.Module):
    """Features of 8x8 images whose left half may be brighter than their right half, or the other way round.

    With the head of ``coin_classifier`` the margin of class 0 is, in 1/255, the mean of the image above mid-gray plus
    a ``swing`` whose sign is the brighter side.
    """

    def __init__(self, swing_255: float) -> None:
        super().__init__()
        self.swing = nn.Parameter(torch.tensor(swing_255 / 255))

    def features(self, images: Tensor, layer: str) -> Tensor:
        """The margin (N, 1), a thousandfold."""
        brighter = (images[..., :4].mean(dim=(1, 2, 3)) - images[..., 4:].mean(dim=(1, 2, 3))).sign()
        return 1000 * (images.mean(dim=(1, 2, 3)) - 128 / 255 + self.swing * brighter)[:, None]


@pytest.fixture
def coin_classifier(
    tiny: Callable[..., TrialConfig],
) -> Callable[..., tuple[TrialConfig, ProbedClassifier, Tensor, Tensor]]:
    """Makes a classifier that flips a coin at every look, and images of class 0 that it is right on when it falls well.

    The only view is the whole image, mirrored or not; the margin is ``mean_255`` plus or minus ``swing_255``, and an
    attack of radius r takes r from it whatever the coin. So each look is right with probability 1/2 up to a radius of
    ``mean_255 + swing_255`` (a brighter side of 100 cannot be turned round), and never above it.
    """

    def make(
        num_images: int, mean_255: float, swing_255: float, **changes: Any
    ) -> tuple[TrialConfig, ProbedClassifier, Tensor, Tensor]:
        config = tiny(
            probe="n_views", probe_views=1, probe_view_draw="redrawn", view_scale_min=1.0, view_ratio_min=1.0,
            view_ratio_max=1.0, eval_eot_samples=4, **changes,
        )  # fmt: skip
        head = nn.Linear(1, 4)
        with torch.no_grad():
            head.weight.copy_(torch.tensor([[0.5], [-0.5], [0.0], [0.0]]))
            head.bias.copy_(torch.tensor([0.0, 0.0, -50.0, -60.0]))
        images = torch.full((num_images, 3, 8, 8), 128 + mean_255)
        images[..., :4] += 50
        images[..., 4:] -= 50
        classifier = ProbedClassifier(Sides(swing_255), head, config).eval()  # type: ignore[arg-type]
        labels = torch.zeros(num_images, dtype=torch.int64)
        return config, classifier.requires_grad_(False), images.to(torch.uint8), labels

    return make


@pytest.fixture(scope="session")
def sign_classifier() -> Callable[..., SignClassifier]:
    """Makes linear classifiers of known robustness."""
    return SignClassifier
