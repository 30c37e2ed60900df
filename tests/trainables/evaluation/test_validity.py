"""Each check finds what it is for, in a classifier that all others let pass; broken defences are caught."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.broken_defences import BROKEN
from trainables.data.datasets import load_data
from trainables.evaluation.autoattack_adapter import correct_under_autoattack
from trainables.evaluation.binarisation import planted_examples_missed
from trainables.evaluation.check_table import check_metrics, failed_checks
from trainables.evaluation.probe import ProbedClassifier
from trainables.evaluation.robust_accuracy import correct_under_attack
from trainables.evaluation.validity import (
    AutoAttackOutcome,
    checks_of_attack,
    checks_of_autoattack,
    feature_effective_rank,
)
from trainables.presets import LAPTOP
from trainables.pretraining.encoders import ProjectedEncoder
from trainables.trial import FinalReport, run_trial
from trainables.trial_config import TrialConfig

NUM_IMAGES = 60
Tiny = Callable[..., TrialConfig]
SignClassifiers = Callable[..., Any]


def pixel_classifier(config: TrialConfig, num_classes: int = 2) -> ProbedClassifier:
    """A classifier whose features are the 192 pixels."""
    encoder = ProjectedEncoder(nn.Flatten(), 192, 4, 4)
    return ProbedClassifier(encoder, nn.Linear(192, num_classes), config.replace(probe_layer="backbone")).eval()


def images_along(num_directions: int, num_images: int = 40) -> Tensor:
    """Images that differ from mid-gray in one of ``num_directions`` pixels each, up and down in turn."""
    rows = torch.full((num_images, 192), 128)
    index = torch.arange(num_images)
    sign = 1 - 2 * ((index // num_directions) % 2)
    rows[index, index % num_directions] += 100 * sign
    return rows.to(torch.uint8).view(-1, 3, 8, 8)


@pytest.mark.parametrize(("num_directions", "num_images"), [(1, 40), (2, 40), (10, 40), (20, 80), (50, 100)])
def test_effective_rank_counts_equal_directions(tiny: Tiny, num_directions: int, num_images: int) -> None:
    rank = feature_effective_rank(pixel_classifier(tiny()), images_along(num_directions, num_images))
    assert rank == pytest.approx(num_directions, rel=1e-3)


def test_effective_rank_weighs_unequal_directions(tiny: Tiny) -> None:
    images = torch.full((4, 192), 128)
    images[0, 0], images[1, 0], images[2, 1], images[3, 1] = 128 + 90, 128 - 90, 128 + 30, 128 - 30
    rank = feature_effective_rank(pixel_classifier(tiny()), images.to(torch.uint8).view(-1, 3, 8, 8))
    assert rank == pytest.approx(4 / 3**0.75, rel=1e-4)  # exp of the entropy of (3/4, 1/4)


def test_effective_rank_of_constant_features_is_one(tiny: Tiny) -> None:
    images = torch.full((10, 3, 8, 8), 77, dtype=torch.uint8)
    assert feature_effective_rank(pixel_classifier(tiny()), images) == pytest.approx(1, abs=0.01)


# Classifiers that one check alone catches. ``t`` is how far an image lies on the right side of the boundary, in 1/255.


class Changed(nn.Module):
    """A linear classifier of two classes whose logits are ``change(pixels, logits)``."""

    def __init__(self, linear: nn.Module, change: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.linear, self.change = linear, change
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.change(pixels, self.linear(pixels))


def detached_on_marked_images(pixels: Tensor, logits: Tensor) -> Tensor:
    is_marked = pixels[:, 0, 0, 0] > 0.9
    return torch.where(is_marked[:, None], logits.detach(), logits)


def with_third_class_of_the_batch(pixels: Tensor, logits: Tensor) -> Tensor:
    third = -3 * logits.detach().abs().amax() - pixels[:, 0, 0, 0].argmax() % 7
    return torch.cat([logits, third.expand(len(logits), 1)], dim=1)


def with_values_where(is_right: Callable[[Tensor], Tensor], gain: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The prediction of either side is turned round unless ``is_right(t)``; the gradient stays as it was."""

    def change(pixels: Tensor, logits: Tensor) -> Tensor:
        distance = (logits[:, :1] - logits[:, 1:]).abs() / 2 / gain * 255
        turned = torch.where(is_right(distance), logits, logits.flip(1))
        return logits + (turned - logits).detach()

    return change


def with_gradient_along(pattern: Tensor, share: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The gradient agrees with the true one in the signs of (1 + share) / 2 of the pixels."""
    is_turned = torch.rand(len(pattern), generator=torch.Generator().manual_seed(0)) > (1 + share) / 2
    mislead = torch.where(is_turned, -pattern, pattern)

    def change(pixels: Tensor, logits: Tensor) -> Tensor:
        towards = (pixels.flatten(1) * mislead).sum(dim=1)
        false = torch.stack([towards, -towards], dim=1)
        return logits.detach() + false - false.detach()

    return change


def made(classifier: nn.Module, images: Tensor, labels: Tensor, config: TrialConfig) -> list[str]:
    """The checks that a classifier fails on images."""
    flags = correct_under_attack(classifier, images, labels, config)
    return failed_checks(check_metrics(checks_of_attack(classifier, images, labels, flags, config)))


def counted(pixels: Tensor, logits: Tensor) -> Tensor:
    return logits


Case = Callable[[Any], tuple[Callable[[Tensor, Tensor], Tensor], dict[str, Any], float]]
CASES: dict[str, Case] = {
    # name -> change of the logits, changes of the config, distance of the images from the boundary in 1/255
    "nothing": lambda linear: (lambda pixels, logits: logits, {}, 3.0),
    "zero_gradients": lambda linear: (detached_on_marked_images, {}, 3.0),
    "repeated_passes": lambda linear: (lambda pixels, logits: logits + 1e-3 * torch.randn_like(logits), {}, 3.0),
    "other_images": lambda linear: (with_third_class_of_the_batch, {}, 3.0),
    "probabilities": lambda linear: (lambda pixels, logits: logits.softmax(dim=1), {}, 3.0),
    "saturated": lambda linear: (lambda pixels, logits: 50 * logits, {}, 3.0),
    "unbounded": lambda linear: (with_values_where(lambda t: t < 40, 20.0), {}, 3.0),
    "radius_order": lambda linear: (
        with_values_where(lambda t: (t < 4) | (t > 10), 20.0),
        {"eval_radii_255": (4.0, 9.5), "eval_checks": "cheap"}, 2.0,  # the binarisation test would catch it, too
    ),
    "stronger_attack": lambda linear: (lambda pixels, logits: logits, {"eval_pgd_steps": 1}, 3.7),
    "black_box": lambda linear: (with_gradient_along(linear.signs[0], 0.2), {"eval_radii_255": (2.0, 4.0, 5.0)}, 1.5),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_check_alone_catches_it(tiny: Tiny, sign_classifier: SignClassifiers, name: str) -> None:
    linear = sign_classifier(2)
    change, changes, distance = CASES[name](linear)
    labels = torch.arange(NUM_IMAGES) % 2
    distances = torch.full((NUM_IMAGES,), distance)
    distances[:10] = -3.0
    images = linear.images(labels, distances)
    images[:10, 0, 0, 0] = 255  # marks, on images that are wrong in any case
    config = tiny(**({"eval_radii_255": (2.0, 4.0, 8.0), "eval_checks": "all"} | changes))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = made(Changed(linear, change).eval(), images, labels, config)
    assert found == ([] if name == "nothing" else [name])


def test_a_changing_buffer_is_caught_alone(tiny: Tiny, sign_classifier: SignClassifiers) -> None:
    linear = sign_classifier(2)

    class Counting(Changed):
        def forward(self, pixels: Tensor) -> Tensor:
            self.passes += 1
            return super().forward(pixels)

    labels = torch.arange(NUM_IMAGES) % 2
    images = linear.images(labels, torch.full((NUM_IMAGES,), 3.0))
    assert made(Counting(linear, counted).eval(), images, labels, tiny()) == ["changed_state"]


class MaskedFeatures(nn.Module):
    """Features: how far an image is along a pattern, which the head uses, and large ones without a gradient."""

    def __init__(self, signs: Tensor, is_masked: bool) -> None:
        super().__init__()
        self.signs, self.is_masked = signs, is_masked
        self.mix = nn.Parameter(torch.randn(192, 150, generator=torch.Generator().manual_seed(1)))

    def features(self, images: Tensor, layer: str) -> Tensor:
        pixels = images.flatten(1)
        mixed = torch.tanh(pixels @ self.mix)
        along = ((pixels - 128 / 255) * self.signs).mean(dim=1, keepdim=True)
        return torch.cat([20 * along, mixed.detach() if self.is_masked else mixed], dim=1)


@pytest.mark.parametrize("is_masked", [True, False])
def test_planted_examples_are_missed_where_features_are_masked(
    tiny: Tiny, sign_classifier: SignClassifiers, is_masked: bool
) -> None:
    """The head does not use the masked features: what the evaluation attacks is sound, and nothing else notices."""
    linear = sign_classifier(2)
    config = tiny(eval_checks="all", eval_radii_255=(4.0, 8.0))
    head = nn.Linear(151, 2, bias=False)
    with torch.no_grad():
        head.weight.zero_()
        head.weight[:, 0] = torch.tensor([1.0, -1.0])
    classifier = ProbedClassifier(MaskedFeatures(linear.signs[0], is_masked), head, config).eval()  # type: ignore[arg-type]
    labels = torch.arange(NUM_IMAGES) % 2
    images = linear.images(labels, torch.full((NUM_IMAGES,), 3.0))
    assert made(classifier.requires_grad_(False), images, labels, config) == (["binarisation"] if is_masked else [])


def test_a_planted_example_is_what_separates_a_point_of_the_surface(tiny: Tiny) -> None:
    """On linear features the best point of the ball is known, and one step reaches it: every example is found."""
    classifier = pixel_classifier(tiny()).requires_grad_(False)
    pixels = 0.2 + 0.6 * torch.rand((20, 3, 8, 8), generator=torch.Generator().manual_seed(3))
    sound = tiny(eval_pgd_steps=4, eval_step_255=4.0)
    assert planted_examples_missed(classifier, pixels, 4 / 255, sound) == (0.0, 20)
    weak = tiny(eval_pgd_steps=1, eval_step_255=0.05)
    assert planted_examples_missed(classifier, pixels, 4 / 255, weak) == (100.0, 20)


# AutoAttack.


def attacked_by_autoattack(classifier: nn.Module, images: Tensor, labels: Tensor, config: TrialConfig) -> list[str]:
    flags = correct_under_attack(classifier, images, labels, config)
    known = {radius: flags[f"pgd_{radius:g}"] for radius in config.eval_radii_255}
    warnings: list[str] = []
    found = correct_under_autoattack(classifier, images, labels, known, config, warn=warnings.append)
    outcome = AutoAttackOutcome(found, {name: flags[name] for name in flags if name != "clean"}, warnings)
    own = checks_of_attack(classifier, images, labels, flags, config)
    metrics = check_metrics(own | checks_of_autoattack(outcome, is_random=False), warnings)
    assert metrics["validity"][len(failed_checks(metrics)) :] == warnings  # type: ignore[index]
    return failed_checks(metrics)


def test_a_gap_to_autoattack_is_caught(tiny: Tiny, sign_classifier: SignClassifiers) -> None:
    linear = sign_classifier(4)
    labels = torch.arange(6) % 4
    images = linear.images(labels, torch.full((6,), 1.5))
    config = tiny(eval_radii_255=(4.0,), eval_pgd_steps=1, eval_step_255=0.5)
    assert attacked_by_autoattack(linear, images, labels, config) == ["autoattack_gap"]
    assert attacked_by_autoattack(linear, images, labels, config.replace(eval_pgd_steps=20)) == []


def test_warnings_of_autoattack_are_caught(
    tiny: Tiny, sign_classifier: SignClassifiers, capfd: pytest.CaptureFixture[str]
) -> None:
    def optimised(pixels: Tensor, logits: Tensor) -> Tensor:
        with torch.enable_grad():
            point = torch.zeros(1, requires_grad=True)
            torch.autograd.grad(point.sum(), point)
        return logits

    linear, labels = sign_classifier(4), torch.tensor([0])
    images = linear.images(labels, torch.full((1,), 1.5))
    warnings: list[str] = []
    found = correct_under_autoattack(
        Changed(linear, optimised).eval(), images, labels, {4.0: np.array([True])}, tiny(eval_radii_255=(4.0,)),
        warn=warnings.append,
    )  # fmt: skip
    outcome = AutoAttackOutcome(found, {"pgd_4": found["aa_4"]}, warnings)
    assert failed_checks(check_metrics(checks_of_autoattack(outcome, is_random=False))) == ["autoattack_warnings"]
    assert warnings == ["it seems to be a dynamic defense! The evaluation with AutoAttack might be insufficient."]
    assert "dynamic" not in "".join(capfd.readouterr())


def test_a_random_classifier_is_not_compared_with_autoattack() -> None:
    flags = {"aa_4": np.array([False, False])}
    outcome = AutoAttackOutcome(flags, {"pgd_4": np.array([True, True])}, [])
    assert checks_of_autoattack(outcome, is_random=True) == {"autoattack_warnings": (0.0, 2)}
    assert checks_of_autoattack(outcome, is_random=False)["autoattack_gap"] == (100.0, 2)


# Broken defences.


def honest_linear(config: TrialConfig, linear: Any) -> ProbedClassifier:
    """The linear classifier as one on features, the pixels above mid-gray."""
    classifier = pixel_classifier(config, num_classes=2)
    classifier.head.load_state_dict(linear.linear.state_dict())
    return classifier.requires_grad_(False)


@pytest.mark.parametrize(
    "name", [name for name in BROKEN if name not in ("head scaled by 30", "BatchNorm in training mode")]
)
def test_cheap_checks_catch_a_broken_linear_classifier(tiny: Tiny, sign_classifier: SignClassifiers, name: str) -> None:
    """Without the one whose margins are so small that it needs more than 30 to saturate, and without BatchNorm."""
    linear = sign_classifier(2)
    labels = torch.arange(40) % 2
    images = linear.images(labels, torch.full((40,), 30.0))
    config = tiny(eval_radii_255=(4.0, 8.0))
    classifier = honest_linear(config, linear)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert made(classifier, images, labels, config) == []
        assert made(BROKEN[name](classifier), images, labels, config) != []


def test_redrawn_views_are_honest(coin_classifier: Callable[..., Any]) -> None:
    config, classifier, images, labels = coin_classifier(
        20, mean_255=10, swing_255=6, eval_radii_255=(2.0, 16.0), eval_checks="all"
    )
    with torch.no_grad():
        classifier.head.weight.mul_(0.1)  # margins that no softmax rounds to 1
    assert made(classifier, images, labels, config) == []


@pytest.mark.slow
def test_broken_defences_are_caught_and_what_they_are_made_of_is_not() -> None:
    """A short version of ``benchmarks.checks``: one trained encoder, broken in all ways."""
    config = TrialConfig(**LAPTOP).replace(
        image_size=8, train_images=400, epochs=2, eval_samples=30, eval_checks="all", seed=1
    )
    *_, report = run_trial(config, load_data(config), torch.device("cpu"))
    assert isinstance(report, FinalReport) and report.metrics["validity"] == []
    images, labels = load_data(config).validation.tensors(20)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, break_ in BROKEN.items():
            assert made(break_(copy.deepcopy(report.classifier)), images[:], labels, config) != [], name
