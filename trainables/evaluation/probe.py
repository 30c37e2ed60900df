"""Linear probes on frozen features, and the resulting classifier, which is attacked end to end.

Shapes: N images, n views of each (only for probe ``n_views``), S pixels a side, F features, K classes.
"""

import itertools
import tempfile

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from trainables.data.stored_images import Images
from trainables.pgd import linf_pgd
from trainables.pretraining.encoders import Encoder, HeadedEncoder, ProbeLayer
from trainables.pretraining.pretrain import autocast, require_finite
from trainables.pretraining.views import ViewParams, render_views, sample_view_params
from trainables.streams import stream, stream_seed
from trainables.trial_config import TrialConfig

N_VIEWS_MOMENTUM, N_VIEWS_WEIGHT_DECAY = 0.9, 5e-5  # as in the paper's code
MAX_PASSES_AT_ONCE = 4096  # views in memory at a time where no gradient is kept
FULL_BATCH_PIXELS = 64  # side of the largest images whose batches are of full size
MAX_FEATURE_BYTES = 2**30  # larger feature matrices are kept in a file
FEATURES = "the features of the encoder"


class ProbedClassifier(nn.Module):
    """A frozen encoder in evaluation mode and a linear head on one of its layers.

    Maps what an attacker perturbs to logits (N, K) in fp32: images (N, 3, S, S) in [0, 1], or, for probe ``n_views``
    under ``probe_threat='per_view'``, the views (N, n, 3, S, S) that ``attack_space`` made of them.
    """

    def __init__(self, encoder: Encoder, head: nn.Linear, config: TrialConfig) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.layer: ProbeLayer = config.probe_layer if config.probe != "own_head" else "backbone"
        self._config = config
        self.redraw_for()

    def redraw_for(self, *purpose: str | int) -> None:
        """Restarts the draws of redrawn views for ``purpose``, so that they do not depend on earlier evaluations."""
        self._purpose, self._draws = purpose, itertools.count()

    @property
    def is_stochastic(self) -> bool:
        """Whether two evaluations of an image differ, so that an attack has to average over several."""
        return self._config.probe == "n_views" and self._config.probe_view_draw == "redrawn"

    @property
    def passes_per_image(self) -> int:
        """Encoder passes that one image costs."""
        return self._config.probe_views if self._config.probe == "n_views" else 1

    def images_at_once(self, max_passes: int) -> int:
        """Number of images in ``max_passes`` encoder passes; above 64 pixels a side, fewer in proportion to area."""
        scaled = max_passes * FULL_BATCH_PIXELS**2 // max(FULL_BATCH_PIXELS, self._config.image_size) ** 2
        return max(1, scaled // self.passes_per_image)

    def forward(self, attacked: Tensor) -> Tensor:
        """Logits of images (whole, or through their views) or of views."""
        return self.head(self.features(attacked))

    def attack_space(self, images: Tensor) -> Tensor:
        """What an attacker perturbs of images (N, 3, S, S): the images, or their views (N, n, 3, S, S)."""
        is_per_view = self._config.probe == "n_views" and self._config.probe_threat == "per_view"
        return self.views(images) if is_per_view else images

    def features(self, attacked: Tensor) -> Tensor:
        """The frozen features (N, F) that the head reads, averaged over views where there are any."""
        if attacked.ndim == 4 and self._config.probe == "n_views":
            attacked = self.views(attacked)
        images = attacked.flatten(0, 1) if attacked.ndim == 5 else attacked
        with autocast(self._config, images.device):
            features = self.encoder.features(images.contiguous(memory_format=torch.channels_last), self.layer)
        return features.unflatten(0, attacked.shape[:2]).mean(dim=1) if attacked.ndim == 5 else features

    def views(self, images: Tensor) -> Tensor:
        """Views (N, n, 3, S, S) of images: crops and flips at the scales of pretraining, differentiable, no colour.

        Fixed views use the same n boxes for every image and every evaluation, so that the classifier is a function of
        the image alone; redrawn views use new boxes for every image at every evaluation since ``redraw_for``.
        """
        num_images, num_views, config = len(images), self._config.probe_views, self._config
        draw = (*self._purpose, next(self._draws)) if self.is_stochastic else (0,)
        rows = num_views * num_images if self.is_stochastic else num_views
        geometric = config.replace(augmentation="none")
        random = stream(config.seed, "n_views", *draw)
        params = sample_view_params(rows, images.shape[2], images.shape[3], geometric, random)
        if not self.is_stochastic:
            params = _repeat_rows(params, num_images)
        views = render_views(images, params, config.image_size)
        return views.unflatten(0, (num_views, num_images)).transpose(0, 1)


def train_probe(
    encoder: Encoder, images: Images, labels: Tensor, num_classes: int, config: TrialConfig, *, num_epochs: int
) -> ProbedClassifier:
    """Trains a linear head on the frozen encoder: on clean features, or on PGD examples of the whole classifier (r-LE).

    Args:
        encoder: put into evaluation mode, where it is left; its parameters and buffers do not change.
        images: (N, 3, S, S) uint8, in CPU memory or in a file.
        labels: (N,) int64.
        num_classes: K.
        config: ``probe`` and the ``probe_*`` fields.
        num_epochs: passes over the images; not used for ``own_head``, which is already trained.

    Returns:
        The classifier, in evaluation mode, with no parameter of its encoder requiring gradients.

    Raises:
        TrialDiverged: if features or the trained head are not finite.

    Source: the paper's central and robust central probe (r-LE, Kim et al., arXiv:2006.07589) with Adam, and its probe
    on averaged views with SGD and a cosine schedule; cross-entropy.
    """
    device = next(encoder.parameters()).device
    if isinstance(encoder, HeadedEncoder):
        return ProbedClassifier(encoder, encoder.head, config).eval().requires_grad_(False)
    head = _new_head(encoder.layer_dims[config.probe_layer], num_classes, config).to(device)
    classifier = ProbedClassifier(encoder, head, config).eval()
    encoder.requires_grad_(False)
    optimiser, schedule = _build_optimiser(head, config, num_epochs)
    cached = None if config.probe == "robust_central" else frozen_features(classifier, images)
    for epoch in range(num_epochs):
        order = torch.randperm(len(images), generator=stream(config.seed, "probe", epoch))
        for chosen in order.split(config.probe_recipe().batch_size):
            targets = labels[chosen].to(device)
            if cached is None:
                features = _adversarial_features(classifier, to_pixels(images[chosen], device), targets, config)
            else:
                features = cached[chosen.to(cached.device)].to(device)
            optimiser.zero_grad()
            functional.cross_entropy(head(features), targets).backward()
            optimiser.step()
        schedule.step()
    head.requires_grad_(False)
    require_finite(torch.cat([head.weight.flatten(), head.bias]), "the weights of the trained probe")
    return classifier


def frozen_classifier(encoder: Encoder, head: dict[str, Tensor], config: TrialConfig) -> ProbedClassifier:
    """Rebuilds the classifier that ``train_probe`` returned from the state of its head; nothing is trained."""
    num_classes, num_features = head["weight"].shape
    linear = encoder.head if isinstance(encoder, HeadedEncoder) else skip_init(nn.Linear, num_features, num_classes)
    linear.load_state_dict(head)
    linear.to(next(encoder.parameters()).device)
    return ProbedClassifier(encoder, linear, config).eval().requires_grad_(False)


def to_pixels(images: Images, device: torch.device) -> Tensor:
    """uint8 images (N, 3, S, S) as fp32 in [0, 1] on ``device``."""
    return images[:].to(device, non_blocking=True).float() / 255


@torch.no_grad()
def frozen_features(classifier: ProbedClassifier, images: Images) -> Tensor:
    """The features (N, F) of uint8 images (N, 3, S, S); above 1 GiB, a memory map of an unnamed temporary file.

    Raises:
        TrialDiverged: if they are not finite.
    """
    device = classifier.head.weight.device
    size = classifier.images_at_once(MAX_PASSES_AT_ONCE)
    parts = (classifier.features(to_pixels(part, device)) for part in images.split(size))
    shape = (len(images), classifier.head.in_features)
    if 4 * shape[0] * shape[1] <= MAX_FEATURE_BYTES:
        return require_finite(torch.cat(list(parts)), FEATURES)
    with tempfile.TemporaryFile() as file:
        for part in parts:
            require_finite(part, FEATURES)
            part.cpu().numpy().tofile(file)
        return torch.from_numpy(np.memmap(file, dtype=np.float32, mode="r+", shape=shape))


def _repeat_rows(params: ViewParams, times: int) -> ViewParams:
    """Repeats each row ``times`` times in succession: one box for all images."""
    return ViewParams(**{name: value.repeat_interleave(times, dim=0) for name, value in vars(params).items()})


def _new_head(num_features: int, num_classes: int, config: TrialConfig) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(config.seed, "head"))
        return nn.Linear(num_features, num_classes)


def _build_optimiser(
    head: nn.Linear, config: TrialConfig, num_epochs: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    learning_rate = config.probe_recipe().learning_rate
    if config.probe == "n_views":
        optimiser: torch.optim.Optimizer = torch.optim.SGD(
            head.parameters(),
            lr=learning_rate,
            momentum=N_VIEWS_MOMENTUM,
            weight_decay=N_VIEWS_WEIGHT_DECAY,
        )
        return optimiser, torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, num_epochs)
    optimiser = torch.optim.Adam(head.parameters(), lr=learning_rate)
    return optimiser, torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)


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
