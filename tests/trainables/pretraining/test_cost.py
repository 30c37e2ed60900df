"""Costs against multiply-adds counted by hand."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from trainables.pretraining.cost import PassCost, count_pass_cost, finetuning_pflop, train_pflop_per_batch
from trainables.pretraining.encoders import ProjectedEncoder
from trainables.trial_config import TrialConfig

# Multiply-adds of one 8x8 view through `small_encoder`.
CONVOLUTION = 3 * 4 * 3 * 3 * 8 * 8
MIDDLE_CONVOLUTION = 4 * 6 * 3 * 3 * 4 * 4  # stride 2
LINEAR = 6 * 10 + 10 * 10 + 10 * 5  # hidden, hidden to hidden, projection
FORWARD = CONVOLUTION + MIDDLE_CONVOLUTION + LINEAR


def small_encoder() -> ProjectedEncoder:
    backbone = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, padding=1, stride=2, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return ProjectedEncoder(backbone, 6, 10, 5)


@pytest.mark.parametrize(
    ("adversary", "update"),
    [
        ("none", 2 * (FORWARD + FORWARD + (FORWARD - CONVOLUTION))),  # forward, weights, and inputs but the views'
        ("pgd", 2 * (FORWARD + FORWARD + (FORWARD - CONVOLUTION))),
        ("free", 2 * 3 * FORWARD),
    ],
)
def test_pass_cost_equals_multiply_adds(tiny: Callable[..., TrialConfig], adversary: str, update: int) -> None:
    cost = count_pass_cost(small_encoder(), tiny(adversary=adversary))
    assert cost == PassCost(update=update, attack=2 * 2 * FORWARD)


def test_counting_leaves_the_encoder_alone(tiny: Callable[..., TrialConfig]) -> None:
    encoder = small_encoder().eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    count_pass_cost(encoder, tiny())
    assert not encoder.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in encoder.parameters())
    assert all(bool((value == before[name]).all()) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "update_passes", "attack_passes"),
    [
        ({"adversary": "none", "num_views": 4}, 4, 0),
        ({"adversary": "pgd", "num_views": 4, "pgd_steps": 5}, 4, 20),
        ({"adversary": "free", "num_views": 4, "replays": 3}, 12, 0),
        ({"adversary": "pgd", "method": "simclr", "num_views": 2, "pgd_steps": 5}, 2, 5),
        ({"adversary": "free", "method": "simclr", "num_views": 2, "replays": 3}, 6, 0),
    ],
    ids=["standard", "pgd", "free", "simclr-pgd", "simclr-free"],
)
def test_petaflop_of_a_batch(
    tiny: Callable[..., TrialConfig], changes: dict[str, Any], update_passes: int, attack_passes: int
) -> None:
    cost = PassCost(update=3_000_000, attack=2_000_000)
    expected = 50 * (update_passes * 3e6 + attack_passes * 2e6) / 1e15
    assert train_pflop_per_batch(tiny(**changes), cost, 50) == pytest.approx(expected, rel=1e-12)


def test_leaking_attack_steps_cost_weight_gradients_too(tiny: Callable[..., TrialConfig]) -> None:
    config = tiny(adversary="pgd", num_views=4, pgd_steps=5, gradient_leak=True)
    cost = PassCost(update=3_000_000, attack=2_000_000)
    assert train_pflop_per_batch(config, cost, 50) == pytest.approx(50 * 24 * 3e6 / 1e15, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "linear"), [({"probe_layer": "backbone"}, 0), ({"probe_layer": "hidden"}, 6 * 10)], ids=str
)
@pytest.mark.parametrize("loss", ["pgd", "trades"])
def test_full_fine_tuning_costs_its_attack_and_its_updates(
    tiny: Callable[..., TrialConfig], changes: dict[str, Any], linear: int, loss: str
) -> None:
    config = tiny(probe="full_finetuning", probe_loss=loss, probe_epochs=4, probe_attack_steps=10, **changes)
    forward = CONVOLUTION + MIDDLE_CONVOLUTION + linear
    update = 3 * forward - CONVOLUTION  # no gradient of the image
    steps = 10 * 2 * forward
    per_image = steps + (forward + 2 * update if loss == "trades" else update)
    assert finetuning_pflop(small_encoder(), config) == pytest.approx(4 * 2 * per_image / 1e15, rel=1e-12)
    assert finetuning_pflop(small_encoder(), config.replace(probe="robust_central")) == 0
