"""BYOL's target network against its formula, and its place in training: passes, cost, checkpoints, compilation."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.pretraining.cost import PassCost, train_pflop_per_batch
from trainables.pretraining.encoders import ProjectedEncoder, build_encoder
from trainables.pretraining.pretrain import Pretraining
from trainables.pretraining.second_networks import MovingAverage, SecondNetwork, build_second_network
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")


def byol(tiny: Callable[..., TrialConfig], **changes: object) -> TrialConfig:
    return tiny(**{"method": "byol", "num_views": 2, "adversary": "none"} | changes)


def parameters(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def test_the_target_begins_as_the_encoder_without_its_predictor(tiny: Callable[..., TrialConfig]) -> None:
    encoder = build_encoder(byol(tiny, predictor_hidden_dim=24), 0)
    assert isinstance(encoder, ProjectedEncoder)
    target = build_second_network(encoder, byol(tiny))
    assert isinstance(target, MovingAverage) and target.training
    views = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    projected = encoder.projection(encoder.hidden(encoder.backbone(views)))
    torch.testing.assert_close(target(views), functional.normalize(projected, dim=1))
    torch.testing.assert_close(encoder(views), functional.normalize(encoder.predictor(projected), dim=1))
    assert [m.out_features for m in encoder.predictor if isinstance(m, nn.Linear)] == [24, 8]  # type: ignore[union-attr]
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert build_second_network(encoder, tiny()) is None


def test_a_predictor_leaves_the_other_weights_as_they_are_without(tiny: Callable[..., TrialConfig]) -> None:
    plain, predicting = (build_encoder(config, 3).state_dict() for config in (tiny(), byol(tiny)))
    assert all(torch.equal(value, predicting[name]) for name, value in plain.items())
    assert predicting["predictor.0.weight"].shape == (16, 8)  # as wide as the projector


@pytest.mark.parametrize("adversary", ["none", "pgd", "free"])
def test_the_target_is_a_moving_average(tiny: Callable[..., TrialConfig], noise_images: Tensor, adversary: str) -> None:
    config = byol(tiny, adversary=adversary, byol_momentum=0.8, replays=2, epochs=2)
    pretraining = Pretraining(config, noise_images, CPU)
    assert pretraining.second_network is not None
    expected = parameters(pretraining.second_network.network)
    updates: list[dict[str, Tensor]] = []
    pretraining.optimiser.register_step_post_hook(lambda *_: updates.append(parameters(pretraining.encoder)))
    for _ in pretraining.run():
        pass
    assert len(updates) == 4 * (2 if adversary == "free" else 1)
    for k, online in enumerate(updates):
        momentum = 1 - (1 - 0.8) * (math.cos(math.pi * k / len(updates)) + 1) / 2
        expected = {name: momentum * value + (1 - momentum) * online[name] for name, value in expected.items()}
    for name, value in pretraining.second_network.network.named_parameters():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("adversary", "times"), [("none", 1), ("pgd", 1), ("free", 3)])
def test_targets_are_of_clean_views_and_counted_as_forward_passes(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, adversary: str, times: int
) -> None:
    config = byol(tiny, adversary=adversary, replays=3, pgd_steps=2)
    pretraining = Pretraining(config, noise_images, CPU)
    clean, _ = pretraining._next_batch()
    seen: list[Tensor] = []
    assert pretraining.second_network is not None
    pretraining.second_network.register_forward_pre_hook(lambda _, views: seen.append(views[0].clone()))
    pretraining.train_batch()
    assert len(seen) == times and all(torch.equal(views, clean.flatten(0, 1)) for views in seen)
    free = PassCost(update=0, attack=0, target=10**6)
    assert train_pflop_per_batch(config, free, 8) * 1e15 == pytest.approx(sum(map(len, seen)) * 1e6)
    predictor = 2 * (8 * 16 + 16 * 8)  # operations of the forward pass
    backward = 3 if adversary == "free" else 2  # the first convolution has no gradient of its input, unless it is asked
    first = 2 * 3 * 16 * 3 * 3 * 8 * 8
    forward = pretraining.pass_cost.target
    expected = 3 * (forward + predictor) - (first if backward == 2 else 0)
    assert pretraining.pass_cost.update == expected


def test_a_plain_second_network_stays_as_it_is(tiny: Callable[..., TrialConfig]) -> None:
    encoder = build_encoder(byol(tiny), 0)
    frozen = SecondNetwork(copy.deepcopy(encoder).eval())
    before = parameters(frozen)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(1)
    frozen.follow(encoder, 0.0)
    assert not frozen.network.training and all(torch.equal(v, before[n]) for n, v in frozen.named_parameters())
