"""Common corruptions of images (Hendrycks and Dietterich, arXiv:1903.12261): made here, or read from official files.

What is made here follows the authors' formulas and severities for CIFAR-10-C, with draws of its own. It has eight of
their fifteen corruptions, so accuracies on it are not comparable with those that are published for the official files.
Left out are those that need ImageMagick, photographs of frost, or OpenCV's geometric transforms.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from trainables.streams import stream

NUM_SEVERITIES = 5
ROUNDING_ERROR = 1e-3  # of fp32 in grey levels, and more: what is a grey level stays it
# The fifteen that published means are over; the official files hold four more, meant for validation.
OFFICIAL_CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip


def generated_images(images: Tensor, corruption: str, severity: int, *purpose: str | int) -> Tensor:
    """Corrupted copies (N, 3, S, S), uint8, of ``images``, which are the same at every call of the same ``purpose``.

    Args:
        images: (N, 3, S, S), uint8, on the CPU.
        corruption: one of ``GENERATED_CORRUPTIONS``.
        severity: 1 to 5.
        purpose: names the random stream, together with corruption and severity.
    """
    random = stream(0, "corruption", corruption, severity, *purpose)
    corrupt, strengths = _CORRUPTIONS[corruption]
    corrupted = corrupt(images.float() / 255, strengths[severity - 1], random)
    return (corrupted.clamp(0, 1) * 255 + ROUNDING_ERROR).byte()  # rounded down, as the official files are


def official_images(folder: Path, corruption: str, severity: int, rows: np.ndarray) -> Tensor:
    """Images (n, 3, 32, 32), uint8, from the files of CIFAR-10-C or CIFAR-100-C.

    Args:
        folder: with ``<corruption>.npy``, the test images at severity 1, then again at severity 2, and so on.
        corruption: one of ``OFFICIAL_CORRUPTIONS``.
        severity: 1 to 5.
        rows: (n,) of the test images in the order of the data set.
    """
    images = np.load(folder / f"{corruption}.npy", mmap_mode="r")
    first = (severity - 1) * (len(images) // NUM_SEVERITIES)
    return torch.from_numpy(images[first + rows]).permute(0, 3, 1, 2)


def require_official_files(folder: Path, rows: np.ndarray, labels: np.ndarray) -> None:
    """Raises ``ValueError`` unless ``folder`` holds all files, and ``labels`` (n,) are those of its images ``rows``."""
    try:
        recorded = np.load(folder / "labels.npy")
        shapes = {np.load(folder / f"{name}.npy", mmap_mode="r").shape for name in OFFICIAL_CORRUPTIONS}
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no corrupted test images in {folder.resolve()}: it needs labels.npy and {', '.join(OFFICIAL_CORRUPTIONS)}"
            f", each .npy ({error}); eval_corruptions=generated needs no files"
        ) from error
    if shapes != {(len(recorded), 32, 32, 3)}:
        raise ValueError(f"the files in {folder.resolve()} hold {len(recorded)} labels and images of {sorted(shapes)}")
    by_severity = recorded.reshape(NUM_SEVERITIES, -1) if len(recorded) % NUM_SEVERITIES == 0 else recorded[None, :0]
    if rows.max() >= by_severity.shape[1] or not (by_severity[:, rows] == labels).all():
        raise ValueError(f"the labels in {folder.resolve()} are not those of the test images, five times")


def _gaussian_noise(pixels: Tensor, std: float, random: torch.Generator) -> Tensor:
    return pixels + std * torch.randn(pixels.shape, generator=random)


def _shot_noise(pixels: Tensor, photons: float, random: torch.Generator) -> Tensor:
    return torch.poisson(pixels * photons, generator=random) / photons


def _impulse_noise(pixels: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Salt and pepper, half and half, channel by channel."""
    is_hit = torch.rand(pixels.shape, generator=random) < share
    is_salt = torch.rand(pixels.shape, generator=random) < 0.5
    return torch.where(is_hit, is_salt.float(), pixels)


def _defocus_blur(pixels: Tensor, disk: tuple[float, float], random: torch.Generator) -> Tensor:
    """A mean over a disk of ``radius`` pixels, whose edge is blurred over three pixels with deviation ``edge``."""
    radius, edge = disk
    squares = torch.arange(-2.0, 3.0) ** 2
    kernel = (squares[:, None] + squares <= radius**2).float()
    gaussian = torch.exp(-(torch.tensor([1.0, 0.0, 1.0])) / (2 * edge**2))
    gaussian = torch.outer(gaussian, gaussian) / gaussian.sum() ** 2
    kernel = functional.conv2d(kernel[None, None] / kernel.sum(), gaussian[None, None], padding=1)
    padded = functional.pad(pixels, (2, 2, 2, 2), mode="reflect")
    return functional.conv2d(padded.flatten(0, 1)[:, None], kernel).view(pixels.shape)


def _brightness(pixels: Tensor, added: float, random: torch.Generator) -> Tensor:
    """The value of hue, saturation and value is raised; so the largest channel is, and the others in proportion."""
    value = pixels.amax(dim=1, keepdim=True)
    brighter = (value + added).clamp(max=1)
    return torch.where(value > 0, pixels * brighter / value.clamp(min=1e-6), brighter)


def _contrast(pixels: Tensor, factor: float, random: torch.Generator) -> Tensor:
    mean = pixels.mean(dim=(2, 3), keepdim=True)
    return mean + factor * (pixels - mean)


def _pixelate(pixels: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Resized to a ``share`` of the side and back, by means over boxes."""
    size = pixels.shape[-1]

    def pixelated(image: Image.Image) -> Image.Image:
        small = image.resize((int(size * share),) * 2, Image.Resampling.BOX)
        return small.resize((size, size), Image.Resampling.BOX)

    return _by_pillow(pixels, pixelated)


def _jpeg_compression(pixels: Tensor, quality: float, random: torch.Generator) -> Tensor:
    def compressed(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(quality))
        return Image.open(file)

    return _by_pillow(pixels, compressed)


def _by_pillow(pixels: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    images = (pixels * 255).round().byte().permute(0, 2, 3, 1).numpy()
    changed = np.stack([np.asarray(change(Image.fromarray(image))) for image in images])
    return torch.from_numpy(changed).permute(0, 3, 1, 2).float() / 255


# Corruption -> how it is made, and its strength at severities 1 to 5, as for CIFAR-10-C.
_CORRUPTIONS: dict[str, tuple[Callable[[Tensor, Any, torch.Generator], Tensor], tuple[Any, ...]]] = {
    "gaussian_noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (_shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": (_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": (_defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))),
    "brightness": (_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "pixelate": (_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": (_jpeg_compression, (80, 65, 58, 50, 40)),
}
GENERATED_CORRUPTIONS = tuple(_CORRUPTIONS)
