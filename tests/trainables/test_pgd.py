"""PGD: where it stays, what it reaches, what it leaves alone."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.pgd import pgd

RADIUS, STEP = 8 / 255, 2.55 / 255


def pixels(num_images: int = 6, seed: int = 0) -> Tensor:
    """Pixels in [0, 1], many of them so near 0 or 1 that the ball reaches beyond."""
    drawn = torch.rand(num_images, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return (drawn * 1.2 - 0.1).clamp(0, 1)


def small_network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)
        ).eval()


def loss_of(network: nn.Module, num_images: int = 6) -> object:
    targets = torch.arange(num_images) % 5
    return lambda perturbed: functional.cross_entropy(network(perturbed), targets)


@pytest.mark.parametrize("num_steps", [1, 5, 20])
@pytest.mark.parametrize("random_start", [False, True])
def test_inside_the_ball_and_the_pixel_range(num_steps: int, random_start: bool) -> None:
    clean = pixels()
    start = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)) if random_start else None
    attacked = pgd(loss_of(small_network()), clean, radius=RADIUS, step=STEP, num_steps=num_steps, start=start)
    assert float((attacked - clean).abs().max()) <= RADIUS + 1e-6
    assert float((attacked - clean).abs().max()) >= min(RADIUS, num_steps * STEP) - 1e-6
    assert float(attacked.min()) >= 0 and float(attacked.max()) <= 1
    assert not attacked.requires_grad


def test_radius_zero_is_the_identity() -> None:
    clean = pixels()
    start = torch.ones_like(clean)
    attacked = pgd(loss_of(small_network()), clean, radius=0.0, step=STEP, num_steps=3, start=start)
    assert torch.equal(attacked, clean)


def test_reaches_the_optimum_of_a_linear_loss() -> None:
    clean = pixels()
    weight = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    attacked = pgd(lambda x: (weight * x).sum(), clean, radius=RADIUS, step=STEP, num_steps=4)
    assert torch.equal(attacked, torch.where(weight > 0, (clean + RADIUS).clamp(max=1), (clean - RADIUS).clamp(min=0)))


def test_moves_one_step_a_time() -> None:
    clean = torch.full((1, 3, 4, 4), 0.5)
    for num_steps in range(4):
        attacked = pgd(torch.sum, clean, radius=RADIUS, step=STEP, num_steps=num_steps)
        torch.testing.assert_close(attacked, clean + min(num_steps * STEP, RADIUS), rtol=0, atol=1e-6)


def test_start_is_projected() -> None:
    clean = pixels()
    start = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    attacked = pgd(torch.sum, clean, radius=RADIUS, step=STEP, num_steps=0, start=start)
    expected = torch.minimum(torch.maximum((clean + start), clean - RADIUS), clean + RADIUS).clamp(0, 1)
    torch.testing.assert_close(attacked, expected, rtol=0, atol=1e-7)


def test_input_model_and_buffers_untouched() -> None:
    network, clean = small_network(), pixels()
    before, clean_before = copy.deepcopy(network.state_dict()), clean.clone()
    network[0].weight.grad = torch.ones_like(network[0].weight)
    pgd(loss_of(network), clean, radius=RADIUS, step=STEP, num_steps=5)
    assert torch.equal(clean, clean_before) and clean.grad is None
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(network[0].weight.grad, torch.ones_like(network[0].weight))
    assert network[4].weight.grad is None
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_attacks_inside_no_grad() -> None:
    network, clean = small_network(), pixels()
    outside = pgd(loss_of(network), clean, radius=RADIUS, step=STEP, num_steps=3)
    with torch.no_grad():
        inside = pgd(loss_of(network), clean, radius=RADIUS, step=STEP, num_steps=3)
    assert torch.equal(outside, inside)


def test_leak_is_the_sum_of_the_gradients_of_every_step() -> None:
    network, clean = small_network(), pixels()
    parameters = list(network.parameters())
    pgd(loss_of(network), clean, radius=RADIUS, step=STEP, num_steps=4, leak_into=parameters)
    expected = [torch.zeros_like(parameter) for parameter in parameters]
    for num_steps in range(4):
        visited = pgd(loss_of(network), clean, radius=RADIUS, step=STEP, num_steps=num_steps)
        for total, gradient in zip(expected, torch.autograd.grad(loss_of(network)(visited), parameters), strict=True):
            total += gradient
    for parameter, total in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, total, rtol=1e-5, atol=1e-7)


def test_leak_adds_to_what_is_there() -> None:
    network, other, clean = small_network(), small_network(), pixels()
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    for each in (network, other):
        pgd(loss_of(each), clean, radius=RADIUS, step=STEP, num_steps=2, leak_into=list(each.parameters()))
    for parameter, fresh in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, fresh.grad + 1, rtol=1e-5, atol=1e-6)


def test_gradients_of_a_random_loss_are_averaged_over_draws() -> None:
    signs = iter([1.0, -1.0, -1.0] * 2)
    clean = torch.full((1, 3), 0.5)
    attacked = pgd(
        lambda perturbed: (next(signs) * perturbed).sum(), clean, radius=0.1, step=0.1, num_steps=2, num_draws=3
    )
    torch.testing.assert_close(attacked, clean - 0.1)  # two draws of three point down
