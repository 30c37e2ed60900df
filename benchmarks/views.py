"""Views per second on one core: this project's batched tensors against torchvision image by image, and kornia.

    python -m benchmarks.views
    python -m benchmarks.views --data-root DIR      # an image folder of CIFAR-10

All apply EMP-SSL's augmentation to the same images, in turn. kornia is compared if it is installed
(``pip install kornia``). The geometric part is checked against PIL: crop, resize and flip of equal boxes.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import functional as pil
from torchvision.transforms import v2

from benchmarks.plain_baseline import emp_ssl_augmentation
from benchmarks.step import benchmark_images
from study.record.environment import git_revision
from trainables.pretraining.views import make_views, render_views, sample_view_params
from trainables.trial_config import TrialConfig

OURS, PIL = "ours, batched", "torchvision, PIL"
MakeViews = Callable[[], Any]


def makers(images: np.ndarray, config: TrialConfig) -> dict[str, MakeViews]:
    """Functions that make ``config.num_views`` views of each of ``images`` (N, 3, S, S) uint8, by library name."""
    tensors = torch.from_numpy(images)
    pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]
    through_pil, through_v2 = emp_ssl_augmentation(config), _torchvision_v2(config)
    count = config.num_views
    found: dict[str, MakeViews] = {
        OURS: lambda: make_views(tensors, config, torch.Generator().manual_seed(0)),
        PIL: lambda: [through_pil(picture) for picture in pictures for _ in range(count)],
        "torchvision v2, tensors": lambda: [through_v2(image) for image in tensors for _ in range(count)],
    }
    if importlib.util.find_spec("kornia") is not None:
        through_kornia = _kornia(config)
        repeated = (tensors.float() / 255).repeat(count, 1, 1, 1)
        found["kornia, batched"] = lambda: through_kornia(repeated)
    return found


def _torchvision_v2(config: TrialConfig) -> v2.Compose:
    return v2.Compose(
        [
            v2.RandomResizedCrop(config.image_size, scale=_scale(config), ratio=_ratio(config), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.2)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.RandomApply([v2.GaussianBlur(3, sigma=(0.1, 2.0))], p=0.1),
            v2.RandomSolarize(threshold=128, p=0.1),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )


def _kornia(config: TrialConfig) -> nn.Module:
    from kornia import augmentation  # type: ignore[import-not-found]

    side = (config.image_size, config.image_size)
    sequence: nn.Module = nn.Sequential(
        augmentation.RandomResizedCrop(side, scale=_scale(config), ratio=_ratio(config)),
        augmentation.RandomHorizontalFlip(p=0.5),
        augmentation.ColorJitter(0.4, 0.4, 0.4, 0.2, p=0.8),
        augmentation.RandomGrayscale(p=0.2),
        augmentation.RandomGaussianBlur((3, 3), (0.1, 2.0), p=0.1),
        augmentation.RandomSolarize(p=0.1),
    )
    return sequence


def _scale(config: TrialConfig) -> tuple[float, float]:
    return config.view_scale_min, config.view_scale_max


def _ratio(config: TrialConfig) -> tuple[float, float]:
    return config.view_ratio_min, config.view_ratio_max


def rates(named: dict[str, MakeViews], num_views: int, repeats: int) -> dict[str, list[float]]:
    """Views per second of each maker, ``repeats`` times in turn after a warm-up run."""
    found: dict[str, list[float]] = {name: [] for name in named}
    for turn in range(repeats + 1):
        for name, make in named.items():
            started = time.perf_counter()
            make()
            if turn > 0:
                found[name].append(num_views / (time.perf_counter() - started))
    return found


def largest_difference(images: np.ndarray, config: TrialConfig) -> float:
    """Largest difference from PIL, in 1/255, of views that are cropped, resized and flipped with equal boxes."""
    plain = config.replace(augmentation="none")
    _, _, height, width = images.shape
    params = sample_view_params(config.num_views * len(images), height, width, plain, torch.Generator().manual_seed(0))
    ours = render_views(torch.from_numpy(images), params, config.image_size)
    largest = 0.0
    for row, view in enumerate(ours):
        picture = Image.fromarray(images[row % len(images)].transpose(1, 2, 0))
        box = [int(side[row]) for side in (params.top, params.left, params.height, params.width)]
        expected = pil.resized_crop(picture, *box, [config.image_size] * 2)
        expected = pil.hflip(expected) if params.flip[row] else expected
        difference: Tensor = (view * 255 - torch.from_numpy(np.array(expected)).permute(2, 0, 1)).abs()
        largest = max(largest, float(difference.max()))
    return largest


def main() -> None:
    """Command line: measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="an image folder; none: digits")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    place = {"dataset": "imagefolder", "data_root": str(options.data_root), "train_images": 2000}
    config = TrialConfig(**({"dataset": "digits"} if options.data_root is None else place))
    images = benchmark_images(config, 100)
    num_views = config.num_views * len(images)
    found = rates(makers(images, config), num_views, options.repeats)
    print(f"revision {git_revision()}, torch {torch.__version__}, one core, {options.repeats} turns; "
          f"{len(images)} images x {config.num_views} views of side {config.image_size}\n")  # fmt: skip
    print("| | views/s | times PIL (quartiles) |\n|---|---|---|")
    for name, values in found.items():
        low, middle, high = np.quantile(np.array(values) / np.array(found[PIL]), [0.25, 0.5, 0.75])
        print(f"| {name} | {np.median(values):.0f} | {middle:.2f} ({low:.2f} to {high:.2f}) |")
    print(f"\nLargest difference of the geometric part from PIL: {largest_difference(images, config):.2f}/255.")


if __name__ == "__main__":
    main()
