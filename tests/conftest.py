"""What all tests share: processes and threads, and photographs as users have them."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest_plugins = ["written_studies"]
# Ray lets any other process go first by default (niceness 15): beside other tests its workers would hardly get a turn.
os.environ.setdefault("RAY_worker_niceness", "0")

SIZES = ((301, 197), (180, 333), (224, 224), (64, 500), (97, 31), (320, 240))  # width, height
NUM_DIFFERENT = 48  # photographs
LONGEST = ("test_run.py", "test_models.py", "test_trial.py", "test_pretrain.py")  # files of tests
ROTATED = 6  # of the EXIF orientations, the one of a camera that was held upright


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Slow tests time what they do, fill memory and start clusters of processes: nothing else runs beside them."""
    return min(4, os.cpu_count() or 1) if config.option.markexpr == "not slow" else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No process is to begin with the longest file when the others have nothing left to do."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


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


@cache
def _encoded(number: int) -> tuple[str, bytes]:
    """Suffix and content of a file, in another format or mode for each of eight numbers in a row."""
    image, content, exif = _photograph(number), BytesIO(), Image.Exif()
    match number % 8:
        case 0 | 1:
            image.save(content, "JPEG", quality=90)
        case 2:
            image.convert("L").save(content, "JPEG")
        case 3:
            image.convert("CMYK").save(content, "JPEG")
        case 4:
            exif[0x0112] = ROTATED
            image.save(content, "JPEG", exif=exif)
        case 5:
            image.putalpha(image.convert("L"))
            image.save(content, "PNG")
        case 6:
            image.quantize(16).save(content, "PNG", transparency=3)
        case 7:
            image.convert("1").save(content, "PNG")
    return (".jpg", ".JPEG")[number % 2] if number % 8 < 5 else ".png", content.getvalue()


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
                    suffix, content = _encoded(number % NUM_DIFFERENT)
                    (folder / f"photograph {number}{suffix}").write_bytes(content)
                    number += 1
        return root

    return make
