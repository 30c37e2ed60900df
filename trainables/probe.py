"""Linear probes on frozen features, and the classifier that attacks then see end to end."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.encoders import ProbeLayer, ProjectedEncoder
from trainables.linf_attack import linf_pgd
from trainables.pretrain import autocast
from trainables.streams import stream, stream_seed
from trainables.trial_config import TrialConfig


class ProbedClassifier(nn.Module):
    """A frozen encoder in evaluation mode and a linear head on one of its layers.

    Maps images (N, 3, S, S) in [0, 1] to logits (N, K) in fp32.
    """

    def __init__(self, encoder: ProjectedEncoder, head: nn.Linear, config: TrialConfig) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.layer: ProbeLayer = config.probe_layer
        self._config = config

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the images as they are, whole (the paper's central crop)."""
        return self.head(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """The frozen features (N, F) that the head reads."""
        with autocast(self._config, images.device):
            return self.encoder.features(images.contiguous(memory_format=torch.channels_last), self.layer)


def train_probe(
    encoder: ProjectedEncoder,
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    config: TrialConfig,
    *,
    num_epochs: int,
) -> ProbedClassifier:
    """Trains a linear head on the frozen encoder: on clean features, or on PGD examples of the whole classifier (r-LE).

    Args:
        encoder: put into evaluation mode, where it is left; its parameters and buffers do not change.
        images: (N, 3, S, S) uint8 in CPU memory.
        labels: (N,) int64.
        num_classes: K.
        config: ``probe`` and the ``probe_*`` fields.
        num_epochs: walks over the images.

    Returns:
        The classifier, in evaluation mode, no parameter of its encoder requiring gradients.

    Source: the paper's central and robust central probe (r-LE, Kim et al., arXiv:2006.07589): Adam, cross-entropy.
    """
    device = next(encoder.parameters()).device
    head = _new_head(encoder.layer_dims[config.probe_layer], num_classes, config).to(device)
    classifier = ProbedClassifier(encoder, head, config).eval()
    encoder.requires_grad_(False)
    optimiser = torch.optim.Adam(head.parameters(), lr=config.probe_learning_rate)
    cached = _cache_features(classifier, images, config) if config.probe == "central" else None
    for epoch in range(num_epochs):
        order = torch.randperm(len(images), generator=stream(config.seed, "probe", epoch))
        for chosen in order.split(config.probe_batch_size):
            targets = labels[chosen].to(device)
            if cached is None:
                features = _adversarial_features(classifier, to_pixels(images[chosen], device), targets, config)
            else:
                features = cached[chosen.to(device)]
            optimiser.zero_grad()
            functional.cross_entropy(head(features), targets).backward()
            optimiser.step()
    head.requires_grad_(False)
    return classifier


def to_pixels(images: Tensor, device: torch.device) -> Tensor:
    """uint8 images (N, 3, S, S) as fp32 in [0, 1] on ``device``."""
    return images.to(device, non_blocking=True).float() / 255


def _new_head(num_features: int, num_classes: int, config: TrialConfig) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(config.seed, "head"))
        return nn.Linear(num_features, num_classes)


@torch.no_grad()
def _cache_features(classifier: ProbedClassifier, images: Tensor, config: TrialConfig) -> Tensor:
    device = classifier.head.weight.device
    return torch.cat([classifier.features(to_pixels(part, device)) for part in images.split(config.probe_batch_size)])


def _adversarial_features(classifier: ProbedClassifier, pixels: Tensor, targets: Tensor, config: TrialConfig) -> Tensor:
    attacked = linf_pgd(
        lambda perturbed: functional.cross_entropy(classifier(perturbed), targets),
        pixels,
        radius=config.probe_attack_radius_255 / 255,
        step=config.probe_attack_step_255 / 255,
        num_steps=config.probe_attack_steps,
    )
    with torch.no_grad():
        return classifier.features(attacked)
