"""PGD: where it stays, what it reaches, what it leaves alone."""

import copy

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from trainables.pgd import Norm, ascent_direction, pgd, random_perturbation, within_ball

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


# l2 balls.


def norms(images: Tensor) -> np.ndarray:
    return np.sqrt((images.double().numpy() ** 2).sum(axis=(-3, -2, -1)))


def test_l2_equals_an_independent_loop() -> None:
    """By numpy in float64, image by image; only the gradients are torch's."""
    network, clean, targets = small_network().double(), pixels().double(), torch.arange(6) % 5
    start = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def loss_fn(x: Tensor) -> Tensor:
        return functional.cross_entropy(network(x), targets, reduction="sum")

    def projected(moved: np.ndarray, image: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(moved - image)
        return np.clip(image + (moved - image) * min(1, 0.5 / length), 0, 1)

    expected = [projected(image + moved, image) for image, moved in zip(clean.numpy(), start.numpy(), strict=True)]
    for _ in range(7):
        at = torch.from_numpy(np.stack(expected)).requires_grad_()
        (gradient,) = torch.autograd.grad(loss_fn(at), at)
        expected = [
            projected(moved + 0.2 * slope / np.linalg.norm(slope), image)
            for moved, slope, image in zip(expected, gradient.numpy(), clean.numpy(), strict=True)
        ]
    attacked = pgd(loss_fn, clean, norm="l2", radius=0.5, step=0.2, num_steps=7, start=start)
    np.testing.assert_allclose(attacked.numpy(), np.stack(expected), rtol=0, atol=1e-12)


def test_l2_reaches_the_optimum_of_a_linear_loss() -> None:
    clean = torch.full((2, 4, 3, 8, 8), 0.5)  # four views of each of two images: a ball for each view
    weight = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    attacked = pgd(lambda x: (weight * x).sum(), clean, norm="l2", radius=0.5, step=0.2, num_steps=4)
    expected = 0.5 + 0.5 * weight.numpy() / norms(weight)[..., None, None, None]
    np.testing.assert_allclose(attacked.numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("random_start", [False, True])
def test_inside_the_l2_ball_and_the_pixel_range(random_start: bool) -> None:
    clean = pixels()
    start = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)) if random_start else None
    attacked = pgd(loss_of(small_network()), clean, norm="l2", radius=0.5, step=0.1, num_steps=9, start=start)
    moved = norms(attacked - clean)
    assert moved.max() <= 0.5 + 1e-6 and moved.min() > 0.3  # the pixel range takes some of it
    assert float(attacked.min()) >= 0 and float(attacked.max()) <= 1
    still = pgd(loss_of(small_network()), clean, norm="l2", radius=0.0, step=0.1, num_steps=3, start=start)
    assert torch.equal(still, clean)


@pytest.mark.parametrize("scale", [1e-40, 1e-25, 1.0, 1e25])
def test_the_l2_direction_has_norm_1_whatever_the_gradient(scale: float) -> None:
    gradient = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    direction = ascent_direction(gradient * scale, "l2")
    np.testing.assert_allclose(norms(direction), 1, rtol=1e-6)
    expected = gradient / torch.from_numpy(norms(gradient))[:, None, None, None]
    torch.testing.assert_close(direction, expected.float(), rtol=0, atol=1e-4)
    assert torch.equal(ascent_direction(torch.zeros(1, 3, 8, 8), "l2"), torch.zeros(1, 3, 8, 8))


def test_what_is_in_the_ball_is_left_there() -> None:
    drawn = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    radius = float(np.sort(norms(drawn))[2])
    inside = within_ball(drawn, radius + 1e-4, "l2")
    is_inside = torch.from_numpy(norms(drawn) <= radius + 1e-4)
    assert is_inside.sum() == 3 and torch.equal(inside[is_inside], drawn[is_inside])
    np.testing.assert_allclose(norms(inside[~is_inside]), radius + 1e-4, rtol=1e-6)


@pytest.mark.usefixtures("global_rng_untouched")
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_perturbations_are_uniform_in_the_ball(norm: Norm) -> None:
    """In d dimensions, distance / radius to the power d is uniform in [0, 1]."""
    drawn = random_perturbation(torch.Size((4000, 1, 2, 2)), 0.5, norm, torch.Generator().manual_seed(0))
    flat = drawn.flatten(1).double().numpy()
    distances = np.abs(flat).max(axis=1) if norm == "linf" else np.linalg.norm(flat, axis=1)
    assert stats.kstest((distances / 0.5) ** 4, "uniform").pvalue > 1e-3
    assert np.abs(flat.mean(axis=0)).max() < 4 * flat.std() / np.sqrt(len(flat))
    np.testing.assert_allclose(np.corrcoef(flat.T), np.eye(4), atol=0.07)


def test_gradients_of_a_random_loss_are_averaged_over_draws() -> None:
    signs = iter([1.0, -1.0, -1.0] * 2)
    clean = torch.full((1, 3), 0.5)
    attacked = pgd(
        lambda perturbed: (next(signs) * perturbed).sum(), clean, radius=0.1, step=0.1, num_steps=2, num_draws=3
    )
    torch.testing.assert_close(attacked, clean - 0.1)  # two draws of three point down
