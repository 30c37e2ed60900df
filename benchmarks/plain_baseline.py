"""What a user would write without this project: the paper's recipe (EMP-SSL) in the plainest PyTorch.

Views are made image by image with PIL and torchvision in loader workers; everything is fp32; each view has its own
D x D log-determinant; LARS is a loop over parameters around SGD; attacks also compute gradients of the weights, which
are not used; the attacks of the evaluation run on all images to their last step, and a probe recomputes its features in
every epoch. The mathematics is that of ``trainables`` at the paper's settings, which tests check on equal views.

Shapes: V views, B images, S pixels a side, D projected features.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from trainables.pretraining.encoders import Encoder
from trainables.trial_config import TrialConfig


class Stopwatch:
    """Seconds by part of the work; on a GPU each part ends with a synchronisation."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._device = device

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds the time spent in the context to ``name``."""
        started = time.perf_counter()
        yield
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.seconds[name] += time.perf_counter() - started


def emp_ssl_augmentation(config: TrialConfig) -> transforms.Compose:
    """The paper's augmentation of one PIL image into one view, a tensor (3, S, S)."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(
                config.image_size,
                scale=(config.view_scale_min, config.view_scale_max),
                ratio=(config.view_ratio_min, config.view_ratio_max),
            ),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.2)], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.RandomApply([transforms.GaussianBlur(3, sigma=(0.1, 2.0))], p=0.1),
            transforms.RandomSolarize(threshold=128, p=0.1),
            transforms.ToTensor(),
        ]
    )


class ViewDataset(Dataset[Tensor]):
    """The views (V, 3, S, S) of each image, made when the image is requested.

    Args:
        images: (N, 3, S, S) uint8.
        config: its views and augmentation.
    """

    def __init__(self, images: np.ndarray, config: TrialConfig) -> None:
        self._images = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]
        self._augment, self._num_views = emp_ssl_augmentation(config), config.num_views

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        return torch.stack([self._augment(self._images[index]) for _ in range(self._num_views)])


def view_loader(images: np.ndarray, config: TrialConfig, num_workers: int) -> DataLoader[Tensor]:
    """Batches of views (B, V, 3, S, S) in random order."""
    return DataLoader(
        ViewDataset(images, config),
        batch_size=config.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )


def similarity_loss(projections: Tensor) -> Tensor:
    """Minus the mean cosine of each view's projections (B, D) to their mean, over the views of ``projections``."""
    mean = projections.mean(dim=0)
    return -torch.stack([functional.cosine_similarity(z, mean, dim=1).mean() for z in projections]).mean()


def coding_rate(z: Tensor, eps2: float) -> Tensor:
    """1/2 logdet(I + D/(B eps2) Z^T Z) of the projections z (B, D) of one view."""
    num_images, dim = z.shape
    scale = dim / (num_images * eps2)
    return torch.logdet(torch.eye(dim, device=z.device) + scale * z.T @ z) / 2


def emp_ssl_loss(projections: Tensor, config: TrialConfig) -> Tensor:
    """The loss of EMP-SSL on projections (V, B, D)."""
    rates = torch.stack([coding_rate(z, config.coding_rate_eps2) for z in projections])
    return config.invariance_weight * similarity_loss(projections) - config.coding_rate_weight * rates.mean()


class LarsLoop:
    """LARS around SGD with Nesterov momentum, parameter by parameter.

    Args:
        parameters: one-dimensional ones are neither adapted nor decayed.
        config: its learning rate, momentum, weight decay and trust coefficient.
        num_updates: over which the learning rate falls to 0 along a cosine.
    """

    def __init__(self, parameters: list[nn.Parameter], config: TrialConfig, num_updates: int) -> None:
        self._parameters, self._config = parameters, config
        self.sgd = torch.optim.SGD(
            parameters, lr=config.learning_rate, momentum=config.momentum, nesterov=True, foreach=False
        )
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.sgd, T_max=num_updates)

    def step(self) -> None:
        """One update, and one step of the schedule."""
        rate = self.sgd.param_groups[0]["lr"]
        with torch.no_grad():
            for parameter in self._parameters:
                if parameter.grad is None or parameter.ndim <= 1:
                    continue
                weight_norm, grad_norm = torch.norm(parameter), torch.norm(parameter.grad)
                if weight_norm != 0 and grad_norm != 0:
                    decay = self._config.weight_decay
                    trust = self._config.lars_trust_coefficient * weight_norm / (grad_norm + decay * weight_norm)
                    parameter.grad.add_(parameter, alpha=decay)
                    parameter.grad.mul_(min(trust / rate, torch.ones_like(trust)))
        self.sgd.step()
        self._schedule.step()


class PlainPretraining:
    """Free and PGD updates of EMP-SSL.

    Args:
        config: the trial; of its options, only the paper's choices are implemented.
        encoder: trained in place.
        device: where it is.
        num_batches: of the whole training.
    """

    def __init__(self, config: TrialConfig, encoder: Encoder, device: torch.device, num_batches: int) -> None:
        self.encoder = encoder.to(device).train()
        self.optimiser = LarsLoop(list(encoder.parameters()), config, num_batches * config.updates_per_batch())
        self.watch = Stopwatch(device)
        self._config, self._device = config, device
        self._perturbation: Tensor | None = None

    def free_updates(self, batch: Tensor) -> list[float]:
        """All replays on a batch of views (B, V, 3, S, S); returns their losses."""
        views = self._to_device(batch)
        if self._perturbation is None:
            self._perturbation = torch.zeros_like(views)
        radius, step = self._config.attack_radius_255 / 255, self._config.attack_step_255 / 255
        losses = []
        for _ in range(self._config.replays):
            perturbed = (views + self._perturbation).clamp(0, 1).requires_grad_()
            self.optimiser.sgd.zero_grad()
            losses.append(self._forward_backward(perturbed))
            with self.watch.part("optimiser"):
                self.optimiser.step()
            with self.watch.part("perturbation"):
                assert perturbed.grad is not None
                moved = (perturbed.detach() + step * perturbed.grad.sign() - views).clamp(-radius, radius)
                self._perturbation = (views + moved).clamp(0, 1) - views
        return losses

    def pgd_update(self, batch: Tensor) -> float:
        """One update on PGD examples of a batch of views (B, V, 3, S, S); returns its loss."""
        views = self._to_device(batch)
        radius, step = self._config.attack_radius_255 / 255, self._config.attack_step_255 / 255
        perturbed = views
        for _ in range(self._config.pgd_steps):
            perturbed = perturbed.detach().requires_grad_()
            self._forward_backward(perturbed)
            with self.watch.part("perturbation"):
                assert perturbed.grad is not None
                moved = (perturbed.detach() + step * perturbed.grad.sign() - views).clamp(-radius, radius)
                perturbed = (views + moved).clamp(0, 1)
        self.optimiser.sgd.zero_grad()
        loss = self._forward_backward(perturbed.detach())
        with self.watch.part("optimiser"):
            self.optimiser.step()
        return loss

    def _to_device(self, batch: Tensor) -> Tensor:
        return batch.transpose(0, 1).to(self._device)

    def _project(self, views: Tensor) -> Tensor:
        return self.encoder(views.flatten(0, 1)).unflatten(0, views.shape[:2])

    def _forward_backward(self, views: Tensor) -> float:
        with self.watch.part("forward"):
            projections = self._project(views)
        with self.watch.part("loss"):
            loss = emp_ssl_loss(projections, self._config)
        with self.watch.part("backward"):
            loss.backward()
        return loss.item()


def plain_pgd(model: nn.Module, images: Tensor, labels: Tensor, radius: float, step: float, num_steps: int) -> Tensor:
    """PGD with cross-entropy on all images to the last step, including gradients of the weights."""
    perturbed = images
    for _ in range(num_steps):
        perturbed = perturbed.detach().requires_grad_()
        functional.cross_entropy(model(perturbed), labels).backward()
        assert perturbed.grad is not None
        moved = (perturbed.detach() + step * perturbed.grad.sign() - images).clamp(-radius, radius)
        perturbed = (images + moved).clamp(0, 1)
    return perturbed.detach()


def plain_probe(
    encoder: Encoder, images: Tensor, labels: Tensor, num_classes: int, config: TrialConfig, epochs: int, robust: bool
) -> nn.Linear:
    """A linear probe on the hidden features, trained with Adam; features are recomputed for every batch.

    Args:
        encoder: frozen, but attacks still compute gradients of its weights.
        images, labels: (N, 3, S, S) float in [0, 1] and (N,) int64, on the encoder's device.
        num_classes: K.
        config: its probe batch size and attack.
        epochs: passes over the images.
        robust: train on PGD examples.
    """
    encoder.eval()
    head = nn.Linear(encoder.layer_dims["hidden"], num_classes).to(images.device)
    model = nn.Sequential(_Features(encoder), head)
    optimiser = torch.optim.Adam(head.parameters(), lr=3e-4)
    for _ in range(epochs):
        order = torch.randperm(len(images), device=images.device)
        for chosen in order.split(config.probe_recipe().batch_size):
            batch, targets = images[chosen], labels[chosen]
            if robust:
                radius, step = config.probe_attack_radius_255 / 255, config.probe_attack_step_255 / 255
                batch = plain_pgd(model, batch, targets, radius, step, config.probe_attack_steps)
            with torch.no_grad():
                features = encoder.features(batch, "hidden")
            optimiser.zero_grad()
            functional.cross_entropy(head(features), targets).backward()
            optimiser.step()
    return head


class _Features(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder.features(images, "hidden")


def plain_accuracies(
    model: nn.Module, images: Tensor, labels: Tensor, config: TrialConfig, batch_size: int = 256
) -> list[float]:
    """Clean accuracy and that under PGD at each of ``config.eval_radii_255``, in percent."""
    model.eval()
    found = []
    for radius in (0.0, *config.eval_radii_255):
        correct = 0
        for batch, targets in zip(images.split(batch_size), labels.split(batch_size), strict=True):
            steps = config.eval_pgd_steps if radius > 0 else 0
            attacked = plain_pgd(model, batch, targets, radius / 255, config.eval_step_255 / 255, steps)
            with torch.no_grad():
                correct += int((model(attacked).argmax(dim=1) == targets).sum())
        found.append(100 * correct / len(images))
    return found
