"""The colour operations, each applied to many views at once, with a separate strength for each view.

All map (n, 3, S, S) views in [0, 1] and (n, 1, 1, 1) strengths to new views in [0, 1]; the first four are torchvision's
adjust_brightness, adjust_contrast, adjust_saturation and adjust_hue on float images.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

BLUR_RADIUS_PIXELS = 8  # four times the largest sigma in use
SOLARIZE_THRESHOLD = 128 / 255
GRAY_WEIGHTS = (0.2989, 0.587, 0.114)  # of torchvision's rgb_to_grayscale


def _gray(channels: Tensor) -> Tensor:
    """The weighted sum of the three channels along dimension 1, which is kept with length 1."""
    red, green, blue = channels.chunk(3, dim=1)
    return (GRAY_WEIGHTS[0] * red).add_(green, alpha=GRAY_WEIGHTS[1]).add_(blue, alpha=GRAY_WEIGHTS[2])


def adjust_brightness(views: Tensor, factor: Tensor) -> Tensor:
    """Blends with black: torchvision's adjust_brightness."""
    return (factor * views).clamp_(0, 1)


def adjust_contrast(views: Tensor, factor: Tensor) -> Tensor:
    """Blends with the mean gray of each view: torchvision's adjust_contrast."""
    mean_gray = _gray(views.mean(dim=(2, 3), keepdim=True))
    return (factor * views).add_((1 - factor) * mean_gray).clamp_(0, 1)


def adjust_saturation(views: Tensor, factor: Tensor) -> Tensor:
    """Blends with the gray of each pixel: torchvision's adjust_saturation."""
    return (factor * views).add_((1 - factor) * _gray(views)).clamp_(0, 1)


def adjust_hue(views: Tensor, shift: Tensor) -> Tensor:
    """Rotates the hue by ``shift`` of the circle in HSV, in closed form: V - d min(max(min(k, 4 - k), 0), 1), d = V S.

    k is the distance in sixths of the circle from 5 (red), 3 (green) and 1 (blue) sixths before the hue, modulo 6.
    """
    red, green, blue = views.chunk(3, dim=1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    green_sector = (blue - red).add_(chroma, alpha=2)
    blue_sector = (red - green).add_(chroma, alpha=4)
    hue6 = torch.where(red == value, green - blue, torch.where(green == value, green_sector, blue_sector))
    hue6 = hue6 / chroma.clamp(min=1e-12) + 6 * shift  # without chroma the hue is 0, and nothing depends on it
    k = torch.cat([hue6 + 5, hue6 + 3, hue6 + 1], dim=1)
    k = k - (k.detach() / 6).floor_().mul_(6)
    return value - chroma * (2 - (k - 2).abs_()).clamp_(0, 1)


def grayscale(views: Tensor, _: Tensor) -> Tensor:
    """The gray of each pixel in all three channels: torchvision's rgb_to_grayscale."""
    return _gray(views).expand_as(views)


def solarize(views: Tensor, _: Tensor) -> Tensor:
    """Inverts pixels of at least 128/255: PIL's ImageOps.solarize."""
    return torch.where(views >= SOLARIZE_THRESHOLD, 1 - views, views)


def blur(views: Tensor, sigma: Tensor) -> Tensor:
    """Convolves with a sampled Gaussian of ``sigma`` pixels, edges replicated. PIL's three box blurs approximate it."""
    size, radius = views.shape[-1], BLUR_RADIUS_PIXELS
    source = torch.arange(-radius, size + radius, device=views.device)
    distance = source - torch.arange(size, device=views.device).unsqueeze(1)
    weights = torch.exp(-(distance**2) / (2 * sigma**2)) * (distance.abs() <= radius)  # (n, 1, S, S + 2 radius)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    before = weights[..., :radius].sum(dim=-1, keepdim=True)
    after = weights[..., radius + size :].sum(dim=-1, keepdim=True)
    matrix = weights[..., radius : radius + size] + pad(before, (0, size - 1)) + pad(after, (size - 1, 0))
    return (matrix @ views @ matrix.transpose(2, 3)).clamp(0, 1)


JITTER_OPERATIONS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
