"""Whole updates of preset ``authors`` over several batches, in fp64, against the authors' procedure written out anew.

Views and initial weights are this project's; losses, attacks, replays, schedule and optimiser are written here in plain
tensor operations from the description of that procedure.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainables.presets import AUTHORS
from trainables.pretraining.encoders import ProjectedEncoder
from trainables.pretraining.pretrain import Pretraining
from trainables.pretraining.ssl_losses import nt_xent_loss
from trainables.trial_config import TrialConfig

MakeConfig = Callable[..., TrialConfig]
RADIUS, STEP, MOMENTUM, DECAY, TRUST = 8 / 255, 0.01, 0.9, 1e-4, 0.005
SIMCLR = {"method": "simclr", "num_views": 2}
NUM_BATCHES = 4


class Authors:
    """The authors' procedure, on a copy of the weights that ``encoder`` has."""

    def __init__(self, encoder: ProjectedEncoder, config: TrialConfig) -> None:
        self.net, self.config = copy.deepcopy(encoder).train(), config
        self.delta: Tensor | None = None
        self.velocity: dict[int, Tensor] = {}
        self.updates = 0

    def loss(self, projected: list[Tensor]) -> Tensor:
        """Of projections (B, D) of each view."""
        if self.config.method == "simclr":
            return self.contrastive(torch.stack(projected, dim=1))
        centre = torch.stack(projected).mean(dim=0)
        similar = sum(functional.cosine_similarity(z, centre, dim=1).mean() for z in projected) / len(projected)
        rate = sum(self.half_log_det(z) for z in projected) / len(projected)
        return -200 * similar - rate

    def contrastive(self, features: Tensor) -> Tensor:
        """Over features (B, 2, D), with the factor temperature / 0.07."""
        rows = torch.cat([features[:, 0], features[:, 1]])
        logits = rows @ rows.T / self.config.temperature
        total = 0.0
        for i in range(len(rows)):
            others = torch.cat([logits[i, :i], logits[i, i + 1 :]])
            total = total + torch.logsumexp(others, dim=0) - logits[i, (i + len(features)) % len(rows)]
        return self.config.temperature / 0.07 * total / len(rows)

    @staticmethod
    def half_log_det(z: Tensor) -> Tensor:
        num_images, dim = z.shape
        return torch.logdet(torch.eye(dim, dtype=z.dtype) + dim / (num_images * 0.2) * z.T @ z) / 2

    def train_on(self, views: list[Tensor]) -> None:
        """The updates on one batch of views, each (B, 3, S, S)."""
        target = views[1] if self.config.method == "simclr" else torch.cat(views)
        if self.config.adversary == "free":
            self.replay(views, target)
        else:
            self.net.zero_grad()
            delta = self.attack(target)
            self.training_loss(views, target + delta).backward()
            self.update()

    def replay(self, views: list[Tensor], target: Tensor) -> None:
        if self.delta is None:
            self.delta = torch.zeros_like(target)
        for _ in range(self.config.replays):
            delta = self.delta.clone().requires_grad_()
            self.net.zero_grad()
            self.training_loss(views, target + delta).backward()
            self.update()
            self.delta = self.moved(target, delta)

    def attack(self, target: Tensor) -> Tensor:
        """PGD from 0; what its backward passes leave in the weights' gradients stays there."""
        delta = torch.zeros_like(target)
        for _ in range(self.config.pgd_steps):
            delta.requires_grad_()
            if self.config.method == "simclr":
                loss = self.loss([self.net(target), self.net(target + delta)])
            else:
                loss = self.loss(list(self.net(target + delta).chunk(self.config.num_views)))
            loss.backward()
            delta = self.moved(target, delta)
        return delta

    def training_loss(self, views: list[Tensor], perturbed: Tensor) -> Tensor:
        if self.config.method == "simclr":
            return self.loss([self.net(views[0]), self.net(perturbed)])
        return self.loss(list(self.net(perturbed).chunk(len(views))))

    @staticmethod
    def moved(target: Tensor, delta: Tensor) -> Tensor:
        assert delta.grad is not None
        inside = (delta.detach() + STEP * delta.grad.sign()).clamp(-RADIUS, RADIUS)
        return (target + inside).clamp(0, 1) - target

    @torch.no_grad()
    def update(self) -> None:
        """LARS over SGD with Nesterov momentum, at a cosine whose horizon counts batches."""
        rate = 0.3 * (1 + math.cos(math.pi * self.updates / NUM_BATCHES)) / 2
        for number, weight in enumerate(self.net.parameters()):
            gradient = weight.grad.clone()
            if weight.ndim > 1:
                adapted = TRUST * weight.norm() / (gradient.norm() + DECAY * weight.norm() + 1e-8)
                gradient = (gradient + DECAY * weight) * (min(float(adapted) / rate, 1) if rate else 1)
            before = self.velocity.get(number)
            velocity = gradient if before is None else MOMENTUM * before + gradient
            self.velocity[number] = velocity
            weight -= rate * (gradient + MOMENTUM * velocity)
        self.updates += 1


class Double(Pretraining):
    """In fp64 throughout."""

    def __init__(self, config: TrialConfig, images: Tensor) -> None:
        super().__init__(config, images, torch.device("cpu"))
        self.encoder.double().train()

    def _next_batch(self) -> tuple[Tensor, Tensor | None]:
        views, labels = super()._next_batch()
        return views.double(), labels


def differences(config: TrialConfig, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """After each batch, the largest relative difference of a weight or a BatchNorm statistic from the authors'."""
    monkeypatch.setattr(  # without the rounding to fp32 at its end
        ProjectedEncoder,
        "forward",
        lambda self, x: functional.normalize(self.projection(self.hidden(self.backbone(x))), dim=1),
    )
    ours = Double(config, images)
    theirs = Authors(ours.encoder, config)  # type: ignore[arg-type]
    found = []
    for _ in range(NUM_BATCHES):
        theirs.train_on(list(ours._next_batch()[0]))
        ours.train_batch()
        pairs = zip(ours.encoder.state_dict().values(), theirs.net.state_dict().values(), strict=True)
        found.append(max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-9)) for a, b in pairs))
    return found


CASES: dict[str, dict[str, Any]] = {
    "emp_ssl, free": {"adversary": "free"},
    "emp_ssl, PGD": {"adversary": "pgd"},
    "simclr, free": SIMCLR | {"adversary": "free"},
    "simclr, PGD": SIMCLR | {"adversary": "pgd"},
}


@pytest.mark.parametrize("case", CASES)
def test_preset_authors_is_the_authors_update(
    tiny: MakeConfig, noise_images: Tensor, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    config = tiny(**AUTHORS | CASES[case] | {"attack_step_255": 2.55, "epochs": 2})
    assert max(differences(config, noise_images, monkeypatch)) < 1e-9


@pytest.mark.parametrize(
    ("case", "field", "first"),
    [
        ("emp_ssl, free", "perturbation", 1),
        ("simclr, free", "perturbation", 1),
        ("emp_ssl, free", "lr_horizon", 0),
        ("emp_ssl, PGD", "gradient_leak", 0),
        ("simclr, PGD", "gradient_leak", 0),
        ("simclr, PGD", "simclr_attack_anchor", 0),
        ("simclr, PGD", "simclr_anchor_leak", 0),
    ],
)
def test_each_of_its_switches_is_needed(
    tiny: MakeConfig, noise_images: Tensor, monkeypatch: pytest.MonkeyPatch, case: str, field: str, first: int
) -> None:
    """Without it, the numbers are others from the batch ``first`` on."""
    default = TrialConfig.model_fields[field].default
    config = tiny(**AUTHORS | CASES[case] | {field: default, "epochs": 2})
    found = differences(config, noise_images, monkeypatch)
    assert all(difference < 1e-9 for difference in found[:first]) and found[first] > 1e-4


def test_the_contrastive_loss_differs_by_a_factor_at_other_temperatures(tiny: MakeConfig) -> None:
    random = torch.Generator().manual_seed(0)
    z = functional.normalize(torch.randn(2, 6, 5, generator=random, dtype=torch.float64), dim=2)
    for temperature in (0.07, 0.5):
        authors = Authors.__new__(Authors)
        authors.config = tiny(**SIMCLR, temperature=temperature)
        ours = nt_xent_loss(z[0], z[1], temperature)
        assert float(authors.loss(list(z))) == pytest.approx(float(ours) * temperature / 0.07, rel=1e-12)
