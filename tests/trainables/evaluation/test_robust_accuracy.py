"""Robust accuracy against the closed form of linear classifiers."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.evaluation.robust_accuracy import (
    _ascend,
    accuracies,
    attacked_by_pgd,
    correct_under_attack,
    most_damaging,
)
from trainables.trial_config import TrialConfig

DISTANCES_255 = (-3.0, 1.0, 3.0, 5.0, 7.0, 9.5, 14.0, 18.0, 25.0)


def spread_images(classifier: nn.Module, num_repeats: int = 1) -> tuple[Tensor, Tensor]:
    """Images of both classes at every distance from the boundary."""
    distances = torch.tensor(DISTANCES_255 * 2 * num_repeats)
    labels = torch.tensor([0, 1] * num_repeats).repeat_interleave(len(DISTANCES_255))
    return classifier.images(labels, distances), labels


def mlp() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 4))
    with torch.no_grad():
        network[1].weight.mul_(6)
    return network.eval()


def mlp_images(num_images: int = 60) -> tuple[Tensor, Tensor]:
    images = torch.randint(0, 256, (num_images, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = mlp()(images.float() / 255).argmax(dim=1)
    labels[:5] = (labels[:5] + 1) % 4  # some are misclassified
    return images.to(torch.uint8), labels


@pytest.mark.parametrize("num_repeats", [1, 60])  # 1,080 images are more than two batches
def test_linear_classifier_equals_closed_form(
    tiny: Callable[..., TrialConfig], sign_classifier: Callable[..., nn.Module], num_repeats: int
) -> None:
    classifier = sign_classifier(2)
    images, labels = spread_images(classifier, num_repeats)
    distances = classifier.distances_255(images, labels)
    flags = correct_under_attack(classifier, images, labels, tiny(eval_radii_255=(4.0, 8.0, 16.0)))
    assert list(flags) == ["clean", "pgd_4", "pgd_8", "pgd_16"]
    for radius, name in zip((0, 4, 8, 16), flags, strict=True):
        clear = abs(distances - radius) > 1e-2
        assert clear.all()
        assert np.array_equal(flags[name], distances > radius)
        assert 0 < flags[name].mean() < 1


def test_many_classes_equal_closed_form(
    tiny: Callable[..., TrialConfig], sign_classifier: Callable[..., nn.Module]
) -> None:
    classifier = sign_classifier(2, gain=5.0)
    images, labels = spread_images(classifier)
    distances = classifier.distances_255(images, labels)
    flags = correct_under_attack(classifier, images, labels, tiny(), radii_255=(2.0, 6.0))
    assert list(flags) == ["clean", "pgd_2", "pgd_6"]  # in place of the config's
    assert np.array_equal(flags["pgd_2"], distances > 2) and np.array_equal(flags["pgd_6"], distances > 6)


@pytest.mark.parametrize("restarts", [1, 2])
def test_l2_equals_closed_form(
    tiny: Callable[..., TrialConfig], sign_classifier: Callable[..., nn.Module], restarts: int
) -> None:
    """The l2 distance to the boundary w.x + b = 0 is (w.x + b) / |w|: sqrt(192) times the l-infinity distance."""
    classifier = sign_classifier(2)
    images, labels = spread_images(classifier)
    distances = classifier.distances_255(images, labels) * np.sqrt(192)
    config = tiny(eval_l2_radii_255=(60.0, 128.0, 240.0), eval_restarts=restarts, eval_pgd_steps=6)
    flags = correct_under_attack(classifier, images, labels, config, norm="l2")
    assert list(flags) == ["clean", "pgd_l2_60", "pgd_l2_128", "pgd_l2_240"]
    for radius, name in zip((0, 60, 128, 240), flags, strict=True):
        assert (abs(distances - radius) > 0.5).all()
        assert np.array_equal(flags[name], distances > radius)
        assert 0 < flags[name].mean() < 1


def test_l2_steps_add_up_to_two_and_a_half_radii(
    tiny: Callable[..., TrialConfig], sign_classifier: Callable[..., nn.Module]
) -> None:
    classifier = sign_classifier(2)
    images, labels = spread_images(classifier)
    clean, radius, config = images.float() / 255, 0.1, tiny(eval_pgd_steps=20, eval_losses=("margin",))
    for num_steps in (1, 8):
        moved = _ascend(classifier, clean, labels, "margin", radius, num_steps, config, None, "l2") - clean
        np.testing.assert_allclose(moved.flatten(1).norm(dim=1), min(num_steps * 2.5 / 20, 1) * radius, rtol=1e-4)


@pytest.mark.parametrize(("steps", "step_255"), [(7, 1.003), (3, 2.55), (5, 1.003), (1, 4.0)])
def test_makes_exactly_the_steps_asked_for(
    tiny: Callable[..., TrialConfig], sign_classifier: Callable[..., nn.Module], steps: int, step_255: float
) -> None:
    classifier = sign_classifier(2)
    distances = torch.arange(1.0, 12.0)
    labels = torch.zeros(len(distances), dtype=torch.int64)
    images = classifier.images(labels, distances)
    config = tiny(eval_radii_255=(64.0,), eval_pgd_steps=steps, eval_step_255=step_255)
    exact = classifier.distances_255(images, labels)
    flags = correct_under_attack(classifier, images, labels, config)
    assert (abs(exact - steps * step_255) > 1e-3).all()
    assert np.array_equal(flags["pgd_64"], exact > steps * step_255)


def test_flags_are_monotone_and_independent(tiny: Callable[..., TrialConfig]) -> None:
    network, (images, labels) = mlp(), mlp_images()
    flags = correct_under_attack(network, images, labels, tiny(eval_radii_255=(0.5, 1.0, 2.0, 4.0)))
    with torch.no_grad():
        right = (network(images.float() / 255).argmax(dim=1) == labels).numpy()
    assert np.array_equal(flags["clean"], right) and not flags["clean"][:5].any()
    for smaller, larger in itertools.pairwise(flags.values()):
        assert not (larger & ~smaller).any()
        assert larger.sum() < smaller.sum()
    for first, second in itertools.combinations(flags.values(), 2):
        assert not np.shares_memory(first, second)


@pytest.mark.usefixtures("global_rng_untouched")
def test_attacked_images_are_the_evidence_for_the_flags(tiny: Callable[..., TrialConfig]) -> None:
    network, (images, labels) = mlp(), mlp_images()
    config, clean = tiny(eval_radii_255=(2.0,)), images.float() / 255
    attacked, broken = attacked_by_pgd(network, clean, labels, 2 / 255, config)
    with torch.no_grad():
        assert torch.equal(network(attacked).argmax(dim=1) != labels, broken)
    assert attacked.min() >= 0 and attacked.max() <= 1 and (attacked - clean).abs().max() <= 2 / 255 + 1e-6
    flags = correct_under_attack(network, images, labels, config)
    right = torch.from_numpy(flags["clean"])
    assert 0 < (broken & right).sum() < right.sum()
    assert np.array_equal(flags["pgd_2"], (right & ~broken).numpy())


def test_restarts_never_raise_accuracy(tiny: Callable[..., TrialConfig]) -> None:
    network, (images, labels) = mlp(), mlp_images()
    once, often = (
        correct_under_attack(
            network, images, labels, tiny(eval_radii_255=(0.5, 1.0, 2.0), eval_pgd_steps=3, eval_restarts=restarts)
        )
        for restarts in (1, 4)
    )
    assert all(not (often[name] & ~once[name]).any() for name in once)


class FlatAtTheImage(nn.Module):
    """Right on mid-gray images with zero gradient there; a brighter first pixel makes it wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(10.0))

    def forward(self, pixels: Tensor) -> Tensor:
        beyond = (pixels[:, 0, 0, 0] - 129 / 255).clamp(min=0)
        return torch.stack([torch.full_like(beyond, 0.1), self.gain * beyond], dim=1)


def test_restarts_leave_a_flat_region(tiny: Callable[..., TrialConfig]) -> None:
    images = torch.full((40, 3, 8, 8), 128, dtype=torch.uint8)
    labels = torch.zeros(40, dtype=torch.int64)
    classifier = FlatAtTheImage().eval()
    once, often, again = (
        correct_under_attack(classifier, images, labels, tiny(eval_radii_255=(8.0,), eval_restarts=restarts))
        for restarts in (1, 10, 10)
    )
    assert once["pgd_8"].all()
    assert often["pgd_8"].mean() < 0.2
    assert np.array_equal(often["pgd_8"], again["pgd_8"])


@pytest.mark.usefixtures("global_rng_untouched")
def test_leaves_classifier_and_generators_alone(tiny: Callable[..., TrialConfig]) -> None:
    network, (images, labels) = mlp(), mlp_images()
    before = copy.deepcopy(network.state_dict())
    correct_under_attack(network, images, labels, tiny(eval_restarts=2))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


class Scaled(nn.Module):
    """A classifier with its logits multiplied."""

    def __init__(self, classifier: nn.Module, factor: float) -> None:
        super().__init__()
        self.classifier, self.factor = classifier, factor
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        return self.factor * self.classifier(pixels)


def plainly_withstands(network: nn.Module, pixels: Tensor, labels: Tensor, loss: str, radius: float) -> Tensor:
    """Which images withstand 20 steps of 2.55/255, written out for one loss: looked at every five steps."""
    perturbed, withstands = pixels.clone(), network(pixels).argmax(dim=1) == labels
    for step in range(1, 21):
        perturbed.requires_grad_()
        logits = network(perturbed)
        if loss == "cross_entropy":
            value = (logits.logsumexp(dim=1) - logits[torch.arange(len(labels)), labels]).sum()
        else:
            others = logits - 1e9 * functional.one_hot(labels, logits.shape[1])
            value = (others.max(dim=1).values - logits[torch.arange(len(labels)), labels]).sum()
        (gradient,) = torch.autograd.grad(value, perturbed)
        stepped = perturbed.detach() + 2.55 / 255 * gradient.sign()
        perturbed = (pixels + (stepped - pixels).clamp(-radius, radius)).clamp(0, 1)
        if step % 5 == 0:
            withstands &= network(perturbed).argmax(dim=1) == labels
    return withstands.detach()


def test_an_image_must_withstand_every_loss(tiny: Callable[..., TrialConfig]) -> None:
    network, (images, labels) = Scaled(mlp(), 2000.0), mlp_images(200)
    pixels, radius = images.float() / 255, 1.5
    alone = {
        loss: plainly_withstands(network, pixels, labels, loss, radius / 255).numpy()
        for loss in ("cross_entropy", "margin")
    }
    assert (alone["cross_entropy"] & ~alone["margin"]).sum() > 10  # a scaled head blinds the cross-entropy
    for losses in (("cross_entropy",), ("margin",), ("cross_entropy", "margin"), ("margin", "cross_entropy")):
        flags = correct_under_attack(network, images, labels, tiny(eval_radii_255=(radius,), eval_losses=losses))
        wanted = np.logical_and.reduce([alone[loss] for loss in losses])
        assert np.array_equal(flags["pgd_1.5"], wanted), losses


@pytest.mark.parametrize("factor", [1e-3, 30.0, 3e4])
def test_the_margin_does_not_care_about_the_scale_of_logits(tiny: Callable[..., TrialConfig], factor: float) -> None:
    images, labels = mlp_images(100)
    config = tiny(eval_radii_255=(1.5,), eval_losses=("margin",))
    flags = correct_under_attack(mlp(), images, labels, config)
    scaled = correct_under_attack(Scaled(mlp(), factor), images, labels, config)
    assert np.array_equal(flags["pgd_1.5"], scaled["pgd_1.5"]) and 0 < flags["pgd_1.5"].sum() < flags["clean"].sum()


# A classifier that draws new views at every look.


def test_a_random_classifier_is_attacked_on_every_loss(coin_classifier: Callable[..., Any]) -> None:
    """Its margins are so large that the cross-entropy of a right image has no gradient; the margin's is there."""
    config, classifier, images, labels = coin_classifier(40, mean_255=1, swing_255=0)
    with torch.no_grad():
        classifier.head.weight.mul_(1000)
    config = config.replace(eval_radii_255=(4.0,), eval_pgd_steps=5)
    alone = correct_under_attack(classifier, images, labels, config.replace(eval_losses=("cross_entropy",)))
    both = correct_under_attack(classifier, images, labels, config)
    assert alone["pgd_4"].all() and not both["pgd_4"].any()


def test_each_radius_is_one_fair_look(coin_classifier: Callable[..., Any]) -> None:
    config, classifier, images, labels = coin_classifier(600, mean_255=1, swing_255=6)
    config = config.replace(eval_radii_255=(1.0, 2.0, 4.0, 10.0), eval_restarts=2, eval_pgd_steps=5)
    flags = correct_under_attack(classifier, images, labels, config)
    for name in ("clean", "pgd_1", "pgd_2", "pgd_4"):
        assert abs(flags[name].mean() - 0.5) < 0.1, name  # five standard deviations; 0.03 in the end of a cascade
    assert not flags["pgd_10"].any()
    assert (flags["pgd_4"] & ~flags["pgd_2"]).any()  # each is a look of its own


def test_what_else_is_attacked_changes_no_look(coin_classifier: Callable[..., Any]) -> None:
    config, classifier, images, labels = coin_classifier(600, mean_255=1, swing_255=6)
    config = config.replace(eval_radii_255=(1.0, 4.0), eval_pgd_steps=5)
    both = correct_under_attack(classifier, images, labels, config)
    for changes in ({"eval_radii_255": (4.0,)}, {"eval_radii_255": (2.0, 4.0, 10.0)}, {"eval_restarts": 2}):
        found = correct_under_attack(classifier, images, labels, config.replace(**changes))
        assert np.array_equal(found["pgd_4"], both["pgd_4"]), changes


def test_of_several_attacks_the_most_damaging_is_chosen_for_each_image(coin_classifier: Callable[..., Any]) -> None:
    config, classifier, images, labels = coin_classifier(40, mean_255=1, swing_255=0)
    weak, strong = images.float() / 255, images.float() / 255 - 8 / 255
    mixed = torch.where((torch.arange(40) % 2 == 0)[:, None, None, None], strong, weak)
    found = most_damaging(classifier, [weak, mixed], labels, config)
    assert torch.equal(found, mixed)
    assert torch.equal(most_damaging(classifier, [mixed, weak], labels, config), mixed)


def test_training_mode_is_refused(tiny: Callable[..., TrialConfig]) -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        correct_under_attack(mlp().train(), *mlp_images(), tiny())


def test_accuracies_are_percentages_by_split() -> None:
    flags = {"clean": np.array([True, True, True, False]), "pgd_8": np.array([True, False, False, False])}
    assert accuracies(flags, "val") == {"val_clean": 75.0, "val_pgd_8": 25.0, "val_n": 4}


def test_a_percentage_carries_no_noise_of_rounding() -> None:
    correct = np.arange(1000) < 288
    assert accuracies({"clean": correct}, "val")["val_clean"] == 28.8  # 100 * mean is 28.799999999999997
