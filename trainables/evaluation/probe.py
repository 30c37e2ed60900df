"""Encoder and linear head as one classifier, which is attacked end to end.

Shapes: N images, n views of each (only for probe ``n_views``), S pixels a side, F features, K classes.
"""

import itertools
import tempfile

import numpy as np
import torch
from torch import Tensor, nn

from trainables.data.stored_images import Images
from trainables.hardware import to_device
from trainables.pretraining.encoders import Encoder, ProbeLayer
from trainables.pretraining.methods import METHODS
from trainables.pretraining.pretrain import autocast, require_finite
from trainables.pretraining.views import PlacedViews, ViewParams, place_views, render_placed, sample_view_params
from trainables.streams import stream
from trainables.trial_config import TrialConfig

MAX_PASSES_AT_ONCE = 4096  # views in memory at a time where no gradient is kept
FULL_BATCH_PIXELS = 64  # side of the largest images whose batches are of full size
MAX_FEATURE_BYTES = 2**30  # larger feature matrices are kept in a file
FEATURES = "the features of the encoder"


class ProbedClassifier(nn.Module):
    """An encoder and a linear head on one of its layers.

    Maps what an attacker perturbs to logits (N, K) in fp32: images (N, 3, S, S) in [0, 1], or, for probe ``n_views``
    under ``probe_threat='per_view'``, the views (N, n, 3, S, S) that ``attack_space`` made of them.
    """

    def __init__(self, encoder: Encoder, head: nn.Linear, config: TrialConfig) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.layer = probed_layer(config)
        self._config = config
        self._fixed: dict[tuple[torch.device, torch.Size], PlacedViews] = {}  # the fixed views of images of this shape
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
        """The features (N, F) that the head reads, averaged over views where there are any."""
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
        if self.is_stochastic:
            placed = self._place(images, (*self._purpose, next(self._draws)))
        else:
            key = images.device, images.shape
            if key not in self._fixed:
                self._fixed[key] = self._place(images, (0,))
            placed = self._fixed[key]
        views = render_placed(images, placed)
        return views.unflatten(0, (self._config.probe_views, len(images))).transpose(0, 1)

    def _place(self, images: Tensor, draw: tuple[str | int, ...]) -> PlacedViews:
        num_views, config = self._config.probe_views, self._config
        rows = num_views * len(images) if self.is_stochastic else num_views
        geometric = config.replace(augmentation="none")
        random = stream(config.seed, "n_views", *draw)
        params = sample_view_params(rows, images.shape[2], images.shape[3], geometric, random)
        if not self.is_stochastic:
            params = _repeat_rows(params, len(images))
        return place_views(images, params, config.image_size)


def probed_layer(config: TrialConfig) -> ProbeLayer:
    """The layer that the head reads: a supervised encoder has no hidden one."""
    return "backbone" if METHODS[config.method].needs_labels else config.probe_layer


def to_pixels(images: Images, device: torch.device) -> Tensor:
    """uint8 images (N, 3, S, S) as fp32 in [0, 1] on ``device``."""
    return to_device(images[:], device).float() / 255


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
