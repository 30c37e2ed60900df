"""Pretraining against references: its schedule, its optimiser, its updates, and its exact resumption."""

import copy
import functools
import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd

from trainables.pretraining import methods
from trainables.pretraining.encoders import ProjectedEncoder
from trainables.pretraining.pretrain import (
    Pretraining,
    TrialDiverged,
    build_optimiser,
    cooldown_start,
    learning_rate_at,
)
from trainables.pretraining.ssl_losses import ssl_loss
from trainables.pretraining.views import make_views
from trainables.streams import stream
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")
RADIUS, STEP = 8 / 255, 2.55 / 255
METHODS: dict[str, dict[str, Any]] = {
    "standard": {"adversary": "none"},
    "pgd": {"adversary": "pgd"},
    "free": {"adversary": "free"},
    "fgsm": {"adversary": "fgsm"},
    "simclr": {"adversary": "none", "method": "simclr", "num_views": 2},
    "simclr-pgd": {"adversary": "pgd", "method": "simclr", "num_views": 2},
    "simclr-free": {"adversary": "free", "method": "simclr", "num_views": 2},
    "byol": {"adversary": "none", "method": "byol", "num_views": 2},
    "byol-pgd": {"adversary": "pgd", "method": "byol", "num_views": 2},
    "byol-free": {"adversary": "free", "method": "byol", "num_views": 2},
    "pgd-clean-target": {"adversary": "pgd", "invariance_target": "clean"},
    "free-clean-target": {"adversary": "free", "invariance_target": "clean"},
}


class Recorder:
    """What an encoder sees from now on: its inputs, its mode, and whether gradients are computed."""

    def __init__(self, encoder: nn.Module) -> None:
        self.inputs: list[Tensor] = []
        self.training: list[bool] = []
        self.with_gradient: list[bool] = []
        encoder.register_forward_pre_hook(self._record)

    def _record(self, module: nn.Module, arguments: tuple[Tensor]) -> None:
        self.inputs.append(arguments[0].detach().clone())
        self.training.append(module.training)
        self.with_gradient.append(torch.is_grad_enabled())


def start(config: TrialConfig, images: Tensor) -> tuple[Pretraining, Recorder, ProjectedEncoder]:
    """A pretraining in training mode, a recorder of its encoder, and a copy of the encoder before any update."""
    pretraining = Pretraining(config, images, CPU)
    snapshot = copy.deepcopy(pretraining.encoder).train()
    pretraining.encoder.train()
    return pretraining, Recorder(pretraining.encoder), snapshot


def loss_on(encoder: ProjectedEncoder, flat_views: Tensor, config: TrialConfig) -> Tensor:
    return ssl_loss(encoder(flat_views).unflatten(0, (-1, config.batch_size)), config)


# Learning rate.


def scheduled_by_torch(base: float, horizon: int, num_updates: int) -> list[float]:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=horizon)
    rates = []
    for _ in range(num_updates):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("replays", [1, 3, 12])
@pytest.mark.parametrize("lr_horizon", ["updates", "batches"])
def test_learning_rate_equals_torchs_cosine(tiny: Callable[..., TrialConfig], replays: int, lr_horizon: str) -> None:
    num_batches = 40
    config = tiny(adversary="free", replays=replays, lr_horizon=lr_horizon, learning_rate=0.3)
    rates = [learning_rate_at(update, num_batches, config) for update in range(num_batches * replays)]
    horizon = num_batches * (replays if lr_horizon == "updates" else 1)
    assert rates == pytest.approx(scheduled_by_torch(0.3, horizon, len(rates)), abs=1e-9)
    assert rates[0] == 0.3
    peaks_at_end = lr_horizon == "batches" and replays == 12
    assert rates[-1] == pytest.approx(0.3 if peaks_at_end else 0.0, abs=2e-3)


def test_learning_rate_with_batches_horizon_swings_up_again(tiny: Callable[..., TrialConfig]) -> None:
    config = tiny(adversary="free", replays=3, lr_horizon="batches", learning_rate=0.3)
    assert learning_rate_at(40, 40, config) == pytest.approx(0, abs=1e-12)
    assert learning_rate_at(80, 40, config) == pytest.approx(0.3)


def test_learning_rate_of_pgd_ignores_replays(tiny: Callable[..., TrialConfig]) -> None:
    config = tiny(adversary="pgd", replays=12, learning_rate=0.3)
    assert learning_rate_at(20, 40, config) == pytest.approx(0.15)


@pytest.mark.parametrize("adversary", ["free", "pgd"])
@pytest.mark.parametrize(("share", "num_batches", "start"), [(0.3, 40, 28), (0.2, 7, 6), (0.1, 3, 2), (1.0, 5, 0)])
def test_cooldown_is_constant_and_then_linear(
    tiny: Callable[..., TrialConfig], adversary: str, share: float, num_batches: int, start: int
) -> None:
    config = tiny(adversary=adversary, replays=3, lr_schedule="cooldown", cooldown_share=share, learning_rate=0.2)
    updates = config.updates_per_batch()
    rates = [learning_rate_at(update, num_batches, config) for update in range(num_batches * updates)]
    assert cooldown_start(num_batches, config) == start, "a whole number of batches"
    falling = (num_batches - start) * updates
    expected = [0.2] * (start * updates) + [0.2 * (1 - k / falling) for k in range(falling)]
    assert rates == pytest.approx(expected, abs=1e-12)
    assert learning_rate_at(num_batches * updates, num_batches, config) == 0
    assert set(rates[: start * updates]) <= {0.2}, "exactly, as trials of other lengths begin with these updates"


@pytest.mark.parametrize("lr_horizon", ["updates", "batches"])
def test_updates_use_the_schedule(tiny: Callable[..., TrialConfig], noise_images: Tensor, lr_horizon: str) -> None:
    config = tiny(adversary="free", replays=3, lr_horizon=lr_horizon)
    pretraining = Pretraining(config, noise_images, CPU)
    used: list[list[float]] = []
    pretraining.optimiser.register_step_pre_hook(
        lambda optimiser, *_: used.append([group["lr"] for group in optimiser.param_groups])
    )
    for _ in pretraining.run():
        pass
    horizon = 12 if lr_horizon == "updates" else 4
    expected = [0.3 * (1 + math.cos(math.pi * update / horizon)) / 2 for update in range(12)]
    assert used == pytest.approx([pytest.approx([rate, rate]) for rate in expected])


# Optimiser.


def test_optimiser_is_sgd_nesterov_inside_larc(tiny: Callable[..., TrialConfig]) -> None:
    config = tiny(weight_decay=1e-2, momentum=0.9, lars_trust_coefficient=0.005)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)).double()
    reference = copy.deepcopy(network)
    optimiser = build_optimiser(network, config)
    sgd = torch.optim.SGD(reference.parameters(), lr=0.3, momentum=0.9, nesterov=True)
    inputs = torch.randn(20, 16, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    clipped = []
    for update, batch in enumerate(inputs):
        rate = 0.3 * (20 - update) / 20
        scale = 1e-4 if update % 3 == 0 else 1.0  # small gradients reach the clip
        optimiser.zero_grad()
        sgd.zero_grad()
        (scale * network(batch).square().mean()).backward()
        (scale * reference(batch).square().mean()).backward()
        for parameter in reference.parameters():
            if parameter.ndim > 1:
                norms = parameter.detach().norm(), parameter.grad.norm()
                adapted = 0.005 * norms[0] / (norms[1] + 1e-2 * norms[0])
                clipped.append(bool(adapted > rate))
                parameter.grad = (parameter.grad + 1e-2 * parameter.detach()) * min(float(adapted / rate), 1.0)
        for group in (*optimiser.param_groups, *sgd.param_groups):
            group["lr"] = rate
        optimiser.step()
        sgd.step()
    assert any(clipped) and not all(clipped)
    for ours, theirs in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)  # LARS adds 1e-8 to its denominator


# Passes, updates and costs.


@pytest.mark.parametrize(
    ("changes", "passes", "updates"),
    [
        (METHODS["standard"], 8 * 3, 1),
        (METHODS["pgd"] | {"pgd_steps": 5}, 8 * 3 * 6, 1),
        (METHODS["free"] | {"replays": 3}, 8 * 3 * 3, 3),
        (METHODS["fgsm"], 8 * 3 * 2, 1),
        (METHODS["simclr"], 8 * 2, 1),
        (METHODS["simclr-pgd"] | {"pgd_steps": 5}, 8 * (2 + 5), 1),
        (METHODS["simclr-free"] | {"replays": 3}, 8 * 2 * 3, 3),
        (METHODS["byol"], 8 * 2, 1),
        (METHODS["byol-pgd"] | {"pgd_steps": 5}, 8 * (2 + 5), 1),
        (METHODS["byol-free"] | {"replays": 3}, 8 * 2 * 3, 3),
        (METHODS["pgd-clean-target"] | {"pgd_steps": 5}, 8 * 3 * 7, 1),
        (METHODS["free-clean-target"] | {"replays": 3}, 8 * 3 * 6, 3),
        (METHODS["simclr-pgd"] | {"gradient_leak": True, "simclr_anchor_leak": True}, 8 * (2 + 2 * 3), 1),
    ],
    ids=[*METHODS, "simclr-pgd-leaking-anchor"],
)
def test_view_passes_and_updates_of_a_batch(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, changes: dict[str, Any], passes: int, updates: int
) -> None:
    pretraining, seen, _ = start(tiny(**changes), noise_images)
    steps: list[None] = []
    pretraining.optimiser.register_step_post_hook(lambda *_: steps.append(None))
    pretraining.train_batch()
    assert sum(len(views) for views, counted in zip(seen.inputs, seen.with_gradient, strict=True) if counted) == passes
    assert pretraining.view_passes == pretraining.view_passes_per_batch == passes
    assert len(steps) == updates


def test_remainder_of_an_epoch_is_left_out(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    pretraining = Pretraining(tiny(adversary="none", epochs=3), noise_images, CPU)
    done = [pretraining.batches_done for _ in pretraining.run()]
    assert done == [1, 2, 3, 4, 5, 6] and pretraining.num_batches == 6  # of 20 images, 8 a batch
    assert pretraining.view_passes == 6 * 8 * 3
    assert pretraining.train_seconds > 0
    assert list(pretraining.run()) == []


def test_an_epoch_shows_no_image_twice(tiny: Callable[..., TrialConfig]) -> None:
    images = (torch.arange(16, dtype=torch.uint8) * 10)[:, None, None, None].expand(-1, 3, 8, 8).contiguous()
    pretraining, seen, _ = start(tiny(adversary="none", augmentation="none", epochs=2), images)
    orders = []
    for _ in pretraining.run():
        views = seen.inputs.pop().unflatten(0, (3, 8))
        grey = (views.mean(dim=(2, 3, 4)) * 25.5).round()
        assert torch.equal(grey, grey[:1].expand(3, 8))  # views of one image are in one column
        orders.append(grey[0].int().tolist())
    epochs = orders[0] + orders[1], orders[2] + orders[3]
    assert all(sorted(epoch) == list(range(16)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_views_weaken_from_epoch_to_epoch(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    config = tiny(epochs=4, augmentation_decay="linear", augmentation_decay_period=2)
    pretraining = Pretraining(config, noise_images, CPU)
    for epoch, strength in enumerate([1.0, 1.0, 0.5, 0.5]):
        pretraining.batches_done = 2 * epoch + 1
        chosen = torch.randperm(20, generator=stream(config.seed, "order", epoch))[8:16]
        expected = make_views(noise_images[chosen], config, stream(config.seed, "views", epoch, 1), strength)
        assert torch.equal(pretraining._next_batch()[0], expected)


def test_train_pflop_grows_with_batches(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    pretraining = Pretraining(tiny(adversary="none"), noise_images, CPU)
    assert pretraining.train_pflop == 0
    for _ in pretraining.run():
        pass
    assert pretraining.train_pflop == pytest.approx(4 * 24 * pretraining.pass_cost.update / 1e15, rel=1e-12)


# Free adversarial training.


@pytest.mark.parametrize("method", ["free", "simclr-free"])
@pytest.mark.parametrize("perturbation", ["carried", "reset"])
def test_free_perturbation(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, method: str, perturbation: str
) -> None:
    config = tiny(**METHODS[method], perturbation=perturbation, replays=4)
    pretraining, seen, _ = start(config, noise_images)
    standard, clean_seen, _ = start(tiny(**METHODS[method] | {"adversary": "none"}), noise_images)
    before = torch.zeros(())
    for _ in range(4):
        seen.inputs.clear()
        clean_seen.inputs.clear()
        pretraining.train_batch()
        standard.train_batch()
        forwards = seen.inputs
        if method == "simclr-free":  # its first view stays clean at every replay
            assert all(torch.equal(views, clean_seen.inputs[0]) for views in forwards[::2])
            forwards = forwards[1::2]
        clean = clean_seen.inputs[-1]
        assert len(forwards) == 4
        for replay, views in enumerate(forwards):
            assert float(views.min()) >= 0 and float(views.max()) <= 1
            moved = float((views - clean).abs().max())
            assert moved <= RADIUS + 1e-6
            assert replay == 0 or moved >= STEP - 1e-6
        first = (clean + before).clamp(0, 1) if perturbation == "carried" else clean
        assert torch.equal(forwards[0], first)
        assert pretraining.perturbation is not None
        before = pretraining.perturbation.flatten(0, 1)
        assert float(before.abs().max()) <= RADIUS + 1e-6
        ahead = clean + before
        assert float(ahead.min()) >= -1e-6 and float(ahead.max()) <= 1 + 1e-6


@pytest.mark.parametrize(("free_step", "step"), [("attack_step", STEP), ("radius", RADIUS)])
def test_one_backward_pass_gives_both_gradients(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, free_step: str, step: float
) -> None:
    config = tiny(adversary="free", replays=1, free_step=free_step)
    pretraining, seen, snapshot = start(config, noise_images)
    pretraining.train_batch()
    clean = seen.inputs[0].requires_grad_()
    loss_on(snapshot, clean, config).backward()
    for ours, theirs in zip(pretraining.encoder.parameters(), snapshot.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6)
    assert clean.grad is not None and pretraining.perturbation is not None
    moved = (clean.detach() + step * clean.grad.sign()).clamp(0, 1) - clean.detach()
    clear = clean.grad.abs() > 1e-6  # where rounding cannot turn a sign
    assert clear.float().mean() > 0.9
    torch.testing.assert_close(pretraining.perturbation.flatten(0, 1)[clear], moved[clear], rtol=0, atol=1e-6)


@pytest.mark.parametrize("adversary", ["free", "pgd"])
def test_l2_perturbations_of_each_view(tiny: Callable[..., TrialConfig], noise_images: Tensor, adversary: str) -> None:
    radius, step = 0.3, 0.2
    config = tiny(
        adversary=adversary, replays=2, pgd_steps=2, attack_norm="l2", attack_radius_255=255 * radius,
        attack_step_255=255 * step,
    )  # fmt: skip
    pretraining, seen, snapshot = start(config, noise_images)
    pretraining.train_batch()
    with_gradient = [views for views, gradient in zip(seen.inputs, seen.with_gradient, strict=True) if gradient]
    clean, first = with_gradient[0].clone().requires_grad_(), with_gradient[1]
    loss_on(snapshot, clean, config).backward()
    assert clean.grad is not None
    direction = clean.grad / clean.grad.flatten(1).norm(dim=1)[:, None, None, None]
    expected = (clean.detach() + step * direction).clamp(0, 1)
    torch.testing.assert_close(first, expected, rtol=0, atol=1e-5)
    if adversary == "pgd":
        last = with_gradient[2]
    else:
        assert pretraining.perturbation is not None
        last = clean.detach() + pretraining.perturbation.flatten(0, 1)
    moved = (last - clean.detach()).flatten(1).norm(dim=1)
    assert step < float(moved.min()) and float(moved.max()) == pytest.approx(radius, abs=1e-5)


# Training against PGD.


@pytest.mark.parametrize("method", ["pgd", "simclr-pgd"])
def test_pgd_views_raise_the_loss(tiny: Callable[..., TrialConfig], noise_images: Tensor, method: str) -> None:
    config = tiny(**METHODS[method], pgd_steps=5)
    pretraining, seen, snapshot = start(config, noise_images)
    pretraining.train_batch()
    attacks = [views for views, gradient in zip(seen.inputs, seen.with_gradient, strict=True) if gradient]
    if method == "simclr-pgd":
        first, attacked = attacks[-2], attacks[-1]
        assert torch.equal(first, seen.inputs[0])  # the first view stays clean
        clean, after = torch.cat([first, attacks[0]]), torch.cat([first, attacked])
    else:
        clean, after = attacks[0], attacks[-1]
    assert float((after - clean).abs().max()) == pytest.approx(RADIUS, abs=1e-6)
    assert float(after.min()) >= 0 and float(after.max()) <= 1
    with torch.no_grad():
        assert float(loss_on(snapshot, after, config)) > float(loss_on(snapshot, clean, config)) + 1e-3


def test_simclr_can_be_attacked_against_the_same_view(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    config = tiny(**METHODS["simclr-pgd"], pgd_steps=5, simclr_attack_anchor="same_view")
    pretraining, seen, snapshot = start(config, noise_images)
    pretraining.train_batch()
    anchor, first, attacked = seen.inputs[0], seen.inputs[-2], seen.inputs[-1]
    assert torch.equal(anchor, seen.inputs[1])  # where the attack starts: the second view itself
    assert not torch.equal(anchor, first)
    other = Pretraining(config.replace(simclr_attack_anchor="other_view"), noise_images, CPU)
    elsewhere = Recorder(other.encoder.train())
    other.train_batch()
    assert torch.equal(first, elsewhere.inputs[-2]) and torch.equal(anchor, elsewhere.inputs[1])
    with torch.no_grad():  # each attack is the better one at what it is after
        farther, nearer = (loss_on(snapshot, torch.cat([anchor, v]), config) for v in (attacked, elsewhere.inputs[-1]))
    assert float(farther) > float(nearer) + 1e-3


@pytest.mark.parametrize("adversary", ["pgd", "fgsm", "free"])
@pytest.mark.parametrize("method", methods.METHODS)
def test_every_method_is_attacked_through_its_own_loss(
    tiny_of: Callable[..., TrialConfig], noise_images: Tensor, method: methods.MethodName, adversary: str
) -> None:
    config = tiny_of(method, adversary=adversary, pgd_steps=5, replays=5, attack_step_255=2.0)
    labels = torch.arange(20) % 4 if methods.METHODS[method].needs_labels else None
    pretraining = Pretraining(config, noise_images, CPU, labels)
    pretraining.optimiser.step = lambda: None  # type: ignore[assignment, method-assign]
    snapshot, seen = copy.deepcopy(pretraining.encoder).train(), Recorder(pretraining.encoder.train())
    views, given = pretraining._next_batch()
    targets = pretraining._targets(views, given)
    pretraining.train_batch()
    attacked = seen.inputs[-1].unflatten(0, (-1, 8))[-config.num_perturbed_views() :]
    clean, unperturbed = pretraining._split(views)

    def loss_of(views: Tensor) -> float:
        outputs = [snapshot(group.flatten(0, 1)).unflatten(0, (-1, 8)) for group in [*clean, views]]
        return float(ssl_loss(torch.cat(outputs), config, targets).detach())

    losses = loss_of(unperturbed), loss_of(attacked)
    assert 0 < float((attacked - unperturbed).abs().max()) <= RADIUS + 1e-6
    assert losses[1] > losses[0] + 1e-3 * abs(losses[0])
    assert math.isfinite(pretraining.mean_loss())


@pytest.mark.parametrize("changes", [METHODS["fgsm"], METHODS["byol"] | METHODS["fgsm"]], ids=["emp_ssl", "byol"])
def test_fgsm_is_one_step_from_a_random_start(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, changes: dict[str, Any]
) -> None:
    config = tiny(**changes, fgsm_step_factor=0.5)
    pretraining, seen, snapshot = start(config, noise_images)
    views, _ = pretraining._next_batch()
    targets = pretraining._targets(views, None)
    pretraining.train_batch()
    first, attacked = (seen.inputs[i] for i in (-config.num_clean_views() - 2, -1))
    clean = views[config.num_clean_views() :].flatten(0, 1)
    inside = (clean > RADIUS) & (clean < 1 - RADIUS)
    drawn = ((first - clean) / RADIUS)[inside]
    assert float(drawn.abs().max()) <= 1 + 1e-5 and float(drawn.mean()) == pytest.approx(0, abs=0.05)
    assert float(drawn.std()) == pytest.approx(3**-0.5, rel=0.05)  # of the uniform distribution on [-1, 1]
    begun = first.clone().requires_grad_()
    outputs = [snapshot(v).unflatten(0, (-1, 8)) for v in [*views[: config.num_clean_views()], begun]]
    ssl_loss(torch.cat(outputs), config, targets).backward()
    assert begun.grad is not None
    moved = (first - clean + 0.5 * RADIUS * begun.grad.sign()).clamp(-RADIUS, RADIUS)
    clear = begun.grad.abs() > 1e-6  # where rounding cannot turn a sign
    assert clear.float().mean() > 0.9
    torch.testing.assert_close(attacked[clear], (clean + moved).clamp(0, 1)[clear], rtol=0, atol=1e-6)


def test_random_starts_are_those_of_the_batch(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    starts = []
    for seed in (0, 0, 1):
        pretraining = Pretraining(tiny(adversary="fgsm", seed=seed), noise_images, CPU)
        for _ in range(2):
            starts.append(pretraining._random_start(torch.zeros(3, 8, 3, 8, 8), 1.0))
            pretraining.batches_done += 1
    assert torch.equal(starts[0], starts[2]) and torch.equal(starts[1], starts[3])
    assert not torch.equal(starts[0], starts[1]) and not torch.equal(starts[0], starts[4])


@pytest.mark.parametrize("adversary", ["pgd", "free"])
def test_a_clean_target_is_of_the_unperturbed_views(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, adversary: str
) -> None:
    config = tiny(adversary=adversary, invariance_target="clean", replays=2)
    pretraining, seen, snapshot = start(config, noise_images)
    plain, unperturbed, _ = start(tiny(adversary="none"), noise_images)
    pretraining.train_batch()
    plain.train_batch()
    clean, perturbed = seen.inputs[-2:]
    assert torch.equal(clean, unperturbed.inputs[0]) and not torch.equal(clean, perturbed)
    if adversary == "pgd":  # its only update: the gradient reaches the weights through the clean views too
        projected = torch.cat([snapshot(group).unflatten(0, (3, 8)) for group in (clean, perturbed)])
        ssl_loss(projected, config).backward()
        for ours, theirs in zip(pretraining.encoder.parameters(), snapshot.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("attack_batchnorm", "tracked"), [("train", 6), ("eval", 1)])
def test_batchnorm_while_attacking(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, attack_batchnorm: str, tracked: int
) -> None:
    config = tiny(adversary="pgd", pgd_steps=5, attack_batchnorm=attack_batchnorm)
    pretraining, seen, _ = start(config, noise_images)
    pretraining.train_batch()
    assert seen.training == [attack_batchnorm == "train"] * 5 + [True]
    assert int(pretraining.encoder.hidden[1].num_batches_tracked) == tracked


@pytest.mark.parametrize("gradient_leak", [False, True])
def test_gradient_leak(tiny: Callable[..., TrialConfig], noise_images: Tensor, gradient_leak: bool) -> None:
    config = tiny(adversary="pgd", pgd_steps=3, gradient_leak=gradient_leak)
    pretraining, seen, snapshot = start(config, noise_images)
    pretraining.train_batch()
    assert len(seen.inputs) == 4
    for views in seen.inputs if gradient_leak else seen.inputs[-1:]:
        loss_on(snapshot, views, config).backward()  # adds to .grad
    for ours, theirs in zip(pretraining.encoder.parameters(), snapshot.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)


def test_gradient_leak_is_off_by_default_and_changes_the_update(
    tiny: Callable[..., TrialConfig], noise_images: Tensor
) -> None:
    weights = []
    for changes in ({}, {"gradient_leak": False}, {"gradient_leak": True}):
        pretraining, _, _ = start(tiny(adversary="pgd", **changes), noise_images)
        pretraining.train_batch()
        weights.append(pretraining.encoder.projection[3].weight)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


# Determinism and resumption.


def slow(method: str) -> Any:
    return pytest.param(method, marks=pytest.mark.slow)


def finish(pretraining: Pretraining) -> tuple[dict[str, Tensor], float, Tensor | None]:
    for _ in pretraining.run():
        pass
    return pretraining.encoder.state_dict(), pretraining.mean_loss(), pretraining.perturbation


def assert_bitwise_equal(
    found: tuple[dict[str, Tensor], float, Tensor | None], expected: tuple[dict[str, Tensor], float, Tensor | None]
) -> None:
    assert all(torch.equal(value, expected[0][name]) for name, value in found[0].items())
    assert found[1] == expected[1]
    if expected[2] is None:
        assert found[2] is None
    else:
        assert found[2] is not None and torch.equal(found[2], expected[2])


@pytest.mark.parametrize("method", [slow(name) if name in ("byol", "byol-pgd") else name for name in METHODS])
def test_exact_resumption_after_any_batch(tiny: Callable[..., TrialConfig], noise_images: Tensor, method: str) -> None:
    config = tiny(**METHODS[method], epochs=2, replays=2, pgd_steps=2)
    straight = Pretraining(config, noise_images, CPU)
    saved = []
    for _ in straight.run():
        saved.append(io.BytesIO())
        torch.save(straight.state_dict(), saved[-1])
    expected = straight.encoder.state_dict(), straight.mean_loss(), straight.perturbation
    assert_bitwise_equal(finish(Pretraining(config, noise_images, CPU)), expected)  # the same config twice
    for batches_done, file in enumerate(saved, start=1):
        file.seek(0)
        resumed = Pretraining(config, noise_images, CPU)
        resumed.load_state_dict(torch.load(file, weights_only=True))
        assert resumed.batches_done == batches_done
        assert_bitwise_equal(finish(resumed), expected)


def test_another_seed_gives_other_weights(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    first, other = (finish(Pretraining(tiny(seed=seed), noise_images, CPU)) for seed in (0, 1))
    assert first[1] != other[1]


@pytest.mark.parametrize("method", ["pgd", "free"])
@pytest.mark.usefixtures("global_rng_untouched")
def test_global_generators_untouched(tiny: Callable[..., TrialConfig], noise_images: Tensor, method: str) -> None:
    Pretraining(tiny(**METHODS[method]), noise_images, CPU).train_batch()


def test_images_are_only_read(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    before = noise_images.clone()
    Pretraining(tiny(), noise_images, CPU).train_batch()
    assert torch.equal(noise_images, before)


# Losses.


def test_mean_loss_is_of_the_updates_since_the_last_call(
    tiny: Callable[..., TrialConfig], noise_images: Tensor
) -> None:
    config = tiny(adversary="none")
    pretraining, seen, snapshot = start(config, noise_images)
    for _ in range(2):
        snapshot.load_state_dict(pretraining.encoder.state_dict())
        pretraining.train_batch()
        with torch.no_grad():
            expected = float(loss_on(snapshot, seen.inputs[-1], config))
        assert pretraining.mean_loss() == pytest.approx(expected, rel=1e-5)


def test_loss_falls(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    pretraining = Pretraining(tiny(adversary="none", epochs=30), noise_images, CPU)
    losses = [pretraining.mean_loss() for _ in pretraining.run()]
    assert sum(losses[-10:]) < sum(losses[:10]) - 10


def test_an_unfinished_state_is_not_a_finished_one(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    pretraining = Pretraining(tiny(adversary="none"), noise_images, CPU)
    pretraining.train_batch()
    with pytest.raises(ValueError, match="not complete: 1 of 4 batches"):
        pretraining.finished_state()


def test_divergence_is_noticed(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    pretraining = Pretraining(tiny(adversary="none"), noise_images, CPU)
    pretraining.train_batch()
    pretraining.check_finite()
    with torch.no_grad():
        pretraining.encoder.projection[3].weight[0, 0] = float("nan")
    pretraining.train_batch()
    with pytest.raises(TrialDiverged, match=r"nan after 48 view passes"):
        pretraining.check_finite()
    with pytest.raises(TrialDiverged):
        pretraining.mean_loss()


def test_batch_larger_than_the_images_is_refused(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"batch_size=21, images=20"):
        Pretraining(tiny(batch_size=21), noise_images, CPU)


def test_bf16_trains_close_to_fp32(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        pretraining, _, _ = start(tiny(adversary="pgd", precision=precision), noise_images)
        pretraining.train_batch()
        losses.append(pretraining.mean_loss())
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


# Compilation.


def test_a_compiled_training_computes_the_same_and_is_compiled_once_for_all_trials(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphs are counted by the compiler itself; a backend that generates no code spares the test a minute."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    graphs = []
    for seed in range(3):
        losses = {}
        for is_compiled in (False, True):
            config = tiny(adversary="free", seed=seed, compile=is_compiled)
            pretraining = Pretraining(config, noise_images, CPU)
            pretraining.encoder.train()
            pretraining.train_batch()
            pretraining.train_batch()
            losses[is_compiled] = pretraining.mean_loss()
        assert losses[True] == pytest.approx(losses[False], rel=1e-4)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs[0] > 0 and graphs == graphs[:1] * 3


def counted_backward_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Compiles without generating code; the list grows by the number of gradients of each backward pass that runs."""
    num_gradients: list[int] = []

    def watch_backward(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        (output,) = (node for node in graph.graph.nodes if node.op == "output")
        computed = sum(gradient is not None for gradient in output.args[0])

        def run(*arguments: Any) -> Any:
            num_gradients.append(computed)
            return graph(*arguments)

        return make_boxed_func(run)

    backend = aot_autograd(fw_compiler=lambda graph, inputs: make_boxed_func(graph), bw_compiler=watch_backward)
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    return num_gradients


@pytest.mark.parametrize("method", ["pgd", slow("leak"), slow("pgd-clean-target")])
def test_a_compiled_attack_computes_no_gradients_of_weights_unless_they_leak(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    num_gradients = counted_backward_passes(monkeypatch)
    leaks = method == "leak"
    config = tiny(**METHODS["pgd" if leaks else method], gradient_leak=leaks, pgd_steps=3)
    eager, compiled = (Pretraining(config.replace(compile=on), noise_images, CPU) for on in (False, True))
    for pretraining in (eager, compiled):
        pretraining.encoder.train()
        pretraining.train_batch()
    num_weights = len(list(compiled.encoder.parameters()))
    updates = [num_weights] * (2 if config.num_clean_views() else 1)
    assert num_gradients == [1 + num_weights if leaks else 1] * 3 + updates
    assert compiled.mean_loss() == pytest.approx(eager.mean_loss(), rel=1e-4)
    assert all(parameter.requires_grad and parameter.grad is not None for parameter in compiled.encoder.parameters())


def graphs_compiled() -> int:
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


@pytest.mark.parametrize("method", ["free", slow("byol-pgd")])
def test_compilation_comes_before_the_clock_and_changes_nothing(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    config = tiny(**METHODS[method], replays=2, pgd_steps=2, epochs=1, compile=True)
    pretraining = Pretraining(config, noise_images, CPU)
    timed: list[tuple[int, int]] = []  # graphs before and after each batch
    train_batch, before = pretraining.train_batch, graphs_compiled()

    def watched() -> None:
        started = graphs_compiled()
        train_batch()
        timed.append((started, graphs_compiled()))

    monkeypatch.setattr(pretraining, "train_batch", watched)
    found = finish(pretraining)
    assert len(timed) == 2 and before < timed[0][0] == timed[-1][1]
    unwarmed = Pretraining(config, noise_images, CPU)
    monkeypatch.setattr(unwarmed, "compile_graphs", lambda: None)
    assert_bitwise_equal(found, finish(unwarmed))


@pytest.mark.parametrize("method", ["pgd", slow("byol-pgd")])
@pytest.mark.usefixtures("global_rng_untouched")
def test_compilation_leaves_a_resumed_training_as_it_was(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    pretraining = Pretraining(tiny(**METHODS[method], compile=True), noise_images, CPU)
    trained = pretraining.run()
    next(trained)
    before = copy.deepcopy(pretraining.state_dict())
    pretraining.encoder.train()
    pretraining.compile_graphs()
    after = io.BytesIO(), io.BytesIO()
    for file, state in zip(after, (before, copy.deepcopy(pretraining.state_dict())), strict=True):
        torch.save(state, file)
    assert after[0].getvalue() == after[1].getvalue()
    assert all(parameter.grad is None for parameter in pretraining.encoder.parameters())


def test_nothing_is_compiled_for_a_training_that_has_ended_or_is_not_compiled(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pretraining, "compile_graphs", lambda self: pytest.fail("compiled"))
    pretraining = Pretraining(tiny(), noise_images, CPU)
    finish(pretraining)
    ended = Pretraining(tiny(compile=True), noise_images, CPU)
    ended.load_state_dict(pretraining.state_dict())
    finish(ended)


def test_weights_require_gradients_again_where_an_attack_fails(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretraining = Pretraining(tiny(adversary="pgd"), noise_images, CPU)
    monkeypatch.setattr(pretraining, "_loss", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pretraining.train_batch()
    assert all(parameter.requires_grad for parameter in pretraining.encoder.parameters())


def test_compilation_is_for_gpus_unless_asked_for(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    pretraining = Pretraining(tiny(), noise_images, CPU)
    assert pretraining._forward is pretraining.encoder
    assert tiny(compile=True).content_hash() == tiny(compile=False).content_hash()
