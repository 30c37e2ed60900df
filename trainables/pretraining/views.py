"""Makes all random views (crop, flip, colour, blur) of a batch of images at once, on the images' device.

``make_views`` = ``sample_view_params`` (everything random, drawn on the CPU) + ``render_views`` (nothing random).

Legend: V views per image, B images, N = V * B rows, n rows of one chunk, H x W image, S side of a view; row v * B + i
is view v of image i. Pixels are in [0, 1] and stay float between operations, whereas PIL rounds to 1/255 after each.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import pad

from trainables.hardware import to_device
from trainables.pretraining.view_colours import JITTER_OPERATIONS, blur, grayscale, solarize
from trainables.trial_config import TrialConfig


@dataclass(frozen=True)
class Recipe:
    """Strengths of torchvision's ColorJitter and the probability of each colour operation, for one augmentation."""

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    jitter_probability: float = 0.0
    grayscale_probability: float = 0.0
    blur_probability: float = 0.0
    solarize_probability: float = 0.0

    def scaled(self, strength: float) -> "Recipe":
        """All strengths and probabilities times ``strength``."""
        return Recipe(**{field.name: strength * getattr(self, field.name) for field in fields(self)})


# EMP-SSL: arXiv:2304.03977 and github.com/tsb0601/EMP-SSL. SimCLR as in the CF-AMC-SSL code: half the hue, no blur.
RECIPES: dict[str, Recipe] = {
    "emp_ssl": Recipe(0.4, 0.4, 0.4, 0.2, 0.8, 0.2, 0.1, 0.1),
    "simclr": Recipe(0.4, 0.4, 0.4, 0.1, 0.8, 0.2, 0.0, 0.0),
    "padded_crop": Recipe(),
    "none": Recipe(),
}
PADDING_SHARE = 8  # padded_crop: the eighth of a side is added to each side, 4 of 32 pixels
FLIP_PROBABILITY = 0.5
BLUR_SIGMA_PIXELS = (0.1, 2.0)
CROP_ATTEMPTS = 10  # of torchvision's RandomResizedCrop

# Rows of a chunk times pixels of an image or view: chosen on a CPU to fit the cache, on a GPU to bound the memory.
CPU_CHUNK_PIXELS = 256 * 32 * 32
GPU_CHUNK_PIXELS = 2**24


@dataclass(frozen=True)
class ViewParams:
    """Everything random about N views, one row per view, as CPU tensors of shape (N,), (N, 4) for ``order``."""

    top: Tensor  # int64, pixels; the crop is rows top ... top + height - 1 of the image
    left: Tensor  # int64, pixels
    height: Tensor  # int64, pixels, at least 1
    width: Tensor  # int64, pixels, at least 1
    flip: Tensor  # bool, left to right
    jitter: Tensor  # bool, whether the four operations of ``order`` apply
    order: Tensor  # int64, a permutation of 0 brightness, 1 contrast, 2 saturation, 3 hue; first column first
    brightness: Tensor  # float32 factor, 1 is the identity
    contrast: Tensor  # float32 factor, 1 is the identity
    saturation: Tensor  # float32 factor, 1 is the identity
    hue: Tensor  # float32 shift in turns of the colour circle, 0 is the identity
    grayscale: Tensor  # bool
    blur: Tensor  # bool
    blur_sigma: Tensor  # float32, pixels of the view
    solarize: Tensor  # bool

    def __len__(self) -> int:
        return len(self.top)

    def rows(self, start: int, stop: int) -> "ViewParams":
        """Returns the parameters of rows ``start`` ... ``stop - 1``."""
        return ViewParams(**{field.name: getattr(self, field.name)[start:stop] for field in fields(self)})

    def of_images(self, part: slice, num_images: int) -> "ViewParams":
        """Returns the parameters of the views of some of the ``num_images`` images."""
        rows = torch.arange(len(self)).view(-1, num_images)[:, part].flatten()
        return ViewParams(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def augmentation_strength(epoch: int, config: TrialConfig) -> float:
    """The strength in (0, 1] of the augmentation in data epoch ``epoch`` (from 0).

    With ``augmentation_decay='linear'`` it falls from 1 by equal steps, one after every ``augmentation_decay_period``
    epochs, towards the 0 that it would reach after the last epoch.

    Source: DynACL (arXiv:2303.01289), its schedule for the strength.
    """
    if config.augmentation_decay == "none":
        return 1.0
    return 1 - (epoch - epoch % config.augmentation_decay_period) / config.epochs


def make_views(
    images: Tensor,
    config: TrialConfig,
    generator: torch.Generator,
    strength: float = 1.0,
    num_views: int | None = None,
    part: slice = slice(None),
) -> Tensor:
    """Returns random views of every image, (V, B, 3, S, S) float32 in [0, 1] on their device.

    Args:
        images: (B, 3, H, W), uint8 in 0 ... 255 or float in [0, 1], any device.
        config: its ``num_views``, ``image_size`` (S), ``view_*`` and ``augmentation``.
        generator: on the CPU. One seed gives the same views on every device.
        strength: of the augmentation, in [0, 1]; see ``sample_view_params``.
        num_views: V, if not that of ``config``.
        part: those images whose views are made; they are the same as if all were.

    Raises:
        ValueError: as ``sample_view_params`` and ``render_views`` do.
    """
    _check_images(images)
    if config.augmentation == "padded_crop":
        rows, columns = (side // PADDING_SHARE for side in images.shape[2:])
        images = pad(images, (columns, columns, rows, rows))
    num_images, _, height, width = images.shape
    num_views = num_views or config.num_views
    params = sample_view_params(num_views * num_images, height, width, config, generator, strength)
    if len(images[part]) < num_images:
        params, images = params.of_images(part, num_images), images[part]
    views = render_views(images, params, config.image_size)
    return views.view(num_views, len(images), *views.shape[1:])


def sample_view_params(
    num_views_total: int,
    image_height: int,
    image_width: int,
    config: TrialConfig,
    generator: torch.Generator,
    strength: float = 1.0,
) -> ViewParams:
    """Draws the parameters of ``num_views_total`` (N) views of H x W images, distributed as torchvision draws them.

    Under ``padded_crop`` H and W are those of the padded images, and the crops have the size of the images themselves.
    The number of draws depends on N alone, so that one seed gives the same crops under every augmentation.

    A ``strength`` below 1 multiplies the strengths and probabilities of all colour operations, and moves both ends of
    the range of the crops' areas towards the whole image; at 0 only flips and aspect ratios are left. Flips do not
    depend on it. (As in DynACL, arXiv:2303.01289, whose recipe has neither blur nor solarisation.)

    Raises:
        ValueError: if a number is not positive, or the generator is not on the CPU.
    """
    if num_views_total < 1 or image_height < 1 or image_width < 1:
        raise ValueError(f"views and image sides must be positive: {num_views_total=}, {image_height=}, {image_width=}")
    if generator.device.type != "cpu":
        raise ValueError(f"generator must be on the CPU: {generator.device=}")
    recipe = RECIPES[config.augmentation].scaled(strength)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(num_views_total, generator=generator)

    def happens(probability: float) -> Tensor:
        return torch.rand(num_views_total, generator=generator) < probability

    top, left, height, width = _sample_crops(num_views_total, image_height, image_width, config, generator, strength)
    return ViewParams(
        top=top,
        left=left,
        height=height,
        width=width,
        flip=happens(FLIP_PROBABILITY),
        jitter=happens(recipe.jitter_probability),
        order=torch.rand(num_views_total, 4, generator=generator, dtype=torch.float64).argsort(dim=1),
        brightness=uniform(max(0.0, 1 - recipe.brightness), 1 + recipe.brightness),
        contrast=uniform(max(0.0, 1 - recipe.contrast), 1 + recipe.contrast),
        saturation=uniform(max(0.0, 1 - recipe.saturation), 1 + recipe.saturation),
        hue=uniform(-recipe.hue, recipe.hue),
        grayscale=happens(recipe.grayscale_probability),
        blur=happens(recipe.blur_probability),
        blur_sigma=uniform(*BLUR_SIGMA_PIXELS),
        solarize=happens(recipe.solarize_probability),
    )


def _sample_crops(
    num_views_total: int,
    image_height: int,
    image_width: int,
    config: TrialConfig,
    generator: torch.Generator,
    strength: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draws int64 boxes (top, left, height, width), each (N,), as torchvision's RandomResizedCrop.get_params does.

    That is: the first of ten attempts that fits, else a central crop of the nearest allowed ratio. Unlike in
    torchvision, a central crop is at least a pixel high and wide.
    """

    def uniform(rows: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(rows, num_views_total, generator=generator, dtype=torch.float64)

    ratio_min, ratio_max = config.view_ratio_min, config.view_ratio_max
    smallest, largest = (scale * strength + (1 - strength) for scale in (config.view_scale_min, config.view_scale_max))
    area = image_height * image_width * uniform(CROP_ATTEMPTS, smallest, largest)
    ratio = uniform(CROP_ATTEMPTS, math.log(ratio_min), math.log(ratio_max)).exp()
    widths, heights = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (widths > 0) & (widths <= image_width) & (heights > 0) & (heights <= image_height)
    first = fits.int().argmax(dim=0, keepdim=True)
    found = fits.any(dim=0)

    central_height = max(1, min(image_height, round(image_width / ratio_min)))
    central_width = max(1, min(image_width, round(image_height * ratio_max)))
    height = torch.where(found, heights.gather(0, first)[0], central_height)
    width = torch.where(found, widths.gather(0, first)[0], central_width)
    if config.augmentation == "padded_crop":
        unpadded = [side - 2 * (side // (PADDING_SHARE + 2)) for side in (image_height, image_width)]
        height, width = torch.full_like(height, unpadded[0]), torch.full_like(width, unpadded[1])
        found = torch.ones_like(found)
    position = uniform(2, 0.0, 1.0)
    top = torch.where(found, position[0] * (image_height - height + 1), (image_height - height) / 2).floor()
    left = torch.where(found, position[1] * (image_width - width + 1), (image_width - width) / 2).floor()
    return top.long(), left.long(), height.long(), width.long()


@dataclass(frozen=True)
class _PlacedChunk:
    """What is done to some consecutive rows, in tensors on the device of the images."""

    rows: slice
    boxes: Tensor  # (5, n, 1) float32: top, height, left, width, and 1 for a flip
    changes: Sequence[tuple[Callable[[Tensor, Tensor], Tensor], Tensor, Tensor]]  # operation, rows (k,), strengths (k,)


@dataclass(frozen=True)
class PlacedViews:
    """``ViewParams`` on a device, where they can be rendered again and again without another copy to it."""

    chunks: list[_PlacedChunk]
    image_size: int


def render_views(images: Tensor, params: ViewParams, image_size: int, chunk_views: int | None = None) -> Tensor:
    """Renders every row of ``params``: crop, resize, flip, colour jitter, grayscale, blur, solarize, in this order.

    Differentiable in float images. Does not synchronise with a GPU and draws no random numbers.

    Args:
        images: (B, 3, H, W), uint8 in 0 ... 255 or float in [0, 1].
        params: N = V * B rows, row v * B + i for view v of image i, boxes inside H x W.
        image_size: S, side of a view, pixels.
        chunk_views: rows rendered at a time; None: chosen to suit the device. Bounds the memory; does not change the
            result.

    Returns:
        (N, 3, S, S) float32 in [0, 1], on the device of ``images``.

    Raises:
        ValueError: for images of another shape or type, rows that are no multiple of B, or a box outside the image.
    """
    return render_placed(images, place_views(images, params, image_size, chunk_views))


def place_views(images: Tensor, params: ViewParams, image_size: int, chunk_views: int | None = None) -> PlacedViews:
    """Brings ``params`` to the device of ``images``, in one copy for each chunk; arguments as for ``render_views``."""
    _check_images(images)
    num_images, _, height, width = images.shape
    if len(params) == 0 or len(params) % num_images:
        raise ValueError(f"rows of params must be a multiple of the images: {len(params)=}, {num_images=}")
    if int((params.top + params.height).max()) > height or int((params.left + params.width).max()) > width:
        raise ValueError(f"params must hold boxes inside the images: {height=}, {width=}")
    if chunk_views is None:
        budget = CPU_CHUNK_PIXELS if images.device.type == "cpu" else GPU_CHUNK_PIXELS
        chunk_views = max(1, budget // max(image_size**2, height * width))
    starts = range(0, len(params), chunk_views)
    bounds = [slice(start, min(start + chunk_views, len(params))) for start in starts]
    return PlacedViews([_place_chunk(params, rows, images.device) for rows in bounds], image_size)


def _place_chunk(params: ViewParams, rows: slice, device: torch.device) -> _PlacedChunk:
    """One float32 copy holds boxes, strengths and the rows that they belong to, whole numbers far below 2^24.

    Which rows an operation changes is found here, on the CPU, so that the host never waits for the device.
    """
    params = params.rows(rows.start, rows.stop)
    boxes = torch.stack([params.top, params.height, params.left, params.width, params.flip.long()]).float()
    none = torch.zeros(len(params))
    factors = (params.brightness, params.contrast, params.saturation, params.hue)
    wanted = [
        (adjust, params.jitter & (params.order[:, turn] == operation), factor)
        for turn in range(4)
        for operation, (adjust, factor) in enumerate(zip(JITTER_OPERATIONS, factors, strict=True))
    ]
    wanted += [(grayscale, params.grayscale, none), (blur, params.blur, params.blur_sigma)]
    wanted += [(solarize, params.solarize, none)]
    chosen = [(operation, mask.nonzero()[:, 0], strength) for operation, mask, strength in wanted]
    chosen = [(operation, found, strength[found]) for operation, found, strength in chosen if len(found) > 0]
    parts = [boxes.flatten(), *(part for _, found, strength in chosen for part in (found.float(), strength))]
    placed = to_device(torch.cat(parts), device).split([len(part) for part in parts])
    changes = [
        (operation, found.long(), strength)
        for (operation, *_), found, strength in zip(chosen, placed[1::2], placed[2::2], strict=True)
    ]
    return _PlacedChunk(rows, placed[0].view(5, -1, 1), changes)


def render_placed(images: Tensor, placed: PlacedViews) -> Tensor:
    """What ``render_views`` returns, of images (B, 3, H, W) like those that ``place_views`` was given."""
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    pixels = pixels.transpose(1, 2).contiguous()  # (B, H, 3, W): makes both products of the resize plain ones
    views = []
    with torch.autocast(images.device.type, enabled=False):  # bf16 products would cost half a grey level
        for chunk in placed.chunks:
            image_of_row = torch.arange(chunk.rows.start, chunk.rows.stop, device=images.device) % len(images)
            rendered = _crop_resize_flip(pixels[image_of_row], chunk.boxes, placed.image_size)
            for operation, rows, strengths in chunk.changes:
                # Autograd works, because nothing that writes to the views keeps them for its backward pass.
                changed = operation(rendered.index_select(0, rows), strengths.view(-1, 1, 1, 1))
                rendered.index_copy_(0, rows, changed)
            views.append(rendered)
    return torch.cat(views)


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"images must have shape (B, 3, H, W): {tuple(images.shape)=}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"images must be uint8 or float: {images.dtype=}")


def _crop_resize_flip(pixels: Tensor, boxes: Tensor, size: int) -> Tensor:
    """(n, H, 3, W) pixels -> (n, 3, S, S) crops, resized as PIL's antialiased bilinear filter does (within 1/255)."""
    n, height, _, width = pixels.shape
    top, crop_height, left, crop_width, flip = boxes
    row_weights = _resize_weights(top, crop_height, torch.zeros_like(flip), height, size)
    column_weights = _resize_weights(left, crop_width, flip, width, size)
    narrow = torch.bmm(pixels.view(n, height * 3, width), column_weights.transpose(1, 2))
    views = torch.bmm(row_weights, narrow.view(n, height, 3 * size)).view(n, size, 3, size)
    views = views.transpose(1, 2).contiguous()
    # Rounding lifts white a little above 1. A plain clamp would also cut the gradient of those pixels.
    return views - (views.detach() - 1).clamp_(min=0) if views.requires_grad else views.clamp_(max=1)


def _resize_weights(start: Tensor, length: Tensor, flip: Tensor, image_side: int, size: int) -> Tensor:
    """Returns (n, S, image_side) weights, rows summing to 1, from ``start``, ``length`` and ``flip`` (0 or 1), (n, 1).

    Output pixel j sees the input through a triangle around its centre, as wide as the output pixel but at least one
    input pixel to either side, cut off at the crop's edges: PIL's ``Image.resize`` with BILINEAR of the cropped image.
    """
    scale = length / size
    output = torch.arange(size, device=start.device) + 0.5
    centre = start + scale * torch.lerp(output, size - output, flip)
    pixel = torch.arange(image_side, device=start.device) + 0.5
    inside = (pixel > start) & (pixel < start + length)
    distance = (pixel - centre.unsqueeze(-1)).abs_().div_(scale.clamp(min=1).unsqueeze(-1))
    weights = (1 - distance).clamp_(min=0).mul_(inside.unsqueeze(1))
    return weights.div_(weights.sum(dim=-1, keepdim=True))
