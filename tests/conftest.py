"""What all tests share: one thread, and photographs as users have them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

SIZES = ((301, 197), (180, 333), (224, 224), (64, 500), (97, 31), (640, 480))  # width, height
ROTATED = 6  # of the EXIF orientations, the one of a camera that was held upright


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Many threads on small tensors only wait for each other, above all beside another busy process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _photograph(number: int) -> Image.Image:
    width, height = SIZES[number % len(SIZES)]
    coarse = np.random.default_rng(number).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def _save(image: Image.Image, folder: Path, number: int) -> None:
    """Another format or mode for each of eight numbers in a row."""
    path = folder / f"photograph {number}.jpg"
    match number % 8:
        case 0 | 1:
            image.save(path.with_suffix(".JPEG"), quality=90)
        case 2:
            image.convert("L").save(path)
        case 3:
            image.convert("CMYK").save(path)
        case 4:
            exif = Image.Exif()
            exif[0x0112] = ROTATED
            image.save(path, exif=exif)
        case 5:
            image.putalpha(image.convert("L"))
            image.save(path.with_suffix(".png"))
        case 6:
            image.quantize(16).save(path.with_suffix(".png"), transparency=3)
        case 7:
            image.convert("1").save(path.with_suffix(".png"))


@pytest.fixture(scope="session")
def make_photographs() -> Callable[[Path, int], Path]:
    """Fills ``root/train`` and ``root/test``, which it returns, with 6 and 2 photographs of each of some classes.

    They are of odd shapes and in all formats and modes that are found in the wild.
    """

    def make(root: Path, num_classes: int) -> Path:
        number = 0
        for label in range(num_classes):
            for split, count in (("train", 6), ("test", 2)):
                folder = root / split / f"class {label:03}"
                folder.mkdir(parents=True)
                for _ in range(count):
                    _save(_photograph(number), folder, number)
                    number += 1
        return root

    return make
