"""Image files decoded once, to one size, into a file whose checksum is verified whenever it is loaded."""

import fcntl
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from trainables.data.stored_images import ImageFile, write_header

if TYPE_CHECKING:
    from PIL import Image

DECODED_AT_ONCE = 1000  # images between two calls of OnProgress, and at most this many tasks outstanding
OnProgress = Callable[[int, int], None]  # images done, images in total


def cache_dir() -> Path:
    """Where decoded images are kept: ``$XDG_CACHE_HOME`` or ``~/.cache``, in this project's own folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "robust-ssl-studies" / "images"


def decoded_images(
    sources: Sequence[str | np.ndarray], name: str, image_size: int, on_progress: OnProgress | None
) -> ImageFile:
    """The images of ``sources``, from the cache if it has them, otherwise decoded into it by one process at a time.

    Args:
        sources: at least one: paths, or pixels (H, W, 3) uint8.
        name: of the file in the cache, without a suffix; must differ whenever path, content or size differs.
        image_size: S, in pixels.
        on_progress: called during decoding with the number of images decoded so far.

    Raises:
        ValueError: if an image cannot be read, or the cache cannot be written.
    """
    cached, shape = cache_dir() / f"{name}.npy", (len(sources), 3, image_size, image_size)
    found = _read_cached(cached, shape)
    if found is not None:
        return found
    try:
        with _only_one_process(cached.parent):
            return _read_cached(cached, shape) or _decode_to_cache(sources, cached, shape, on_progress)
    except OSError as error:
        raise ValueError(
            f"cannot keep decoded images in {cached.parent}: {error.strerror or error}; "
            "the environment variable XDG_CACHE_HOME names another folder"
        ) from error


@contextmanager
def _only_one_process(folder: Path) -> Iterator[None]:
    """Creates ``folder`` if missing and waits until no other process decodes into it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read_cached(path: Path, shape: tuple[int, ...]) -> ImageFile | None:
    """The file at ``path``, or None if there is none or its bytes are not those that were written."""
    try:
        file = ImageFile(path, json.loads(path.with_suffix(".json").read_text())["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return file if file.shape == shape else None


def _decode_to_cache(
    sources: Sequence[str | np.ndarray], cached: Path, shape: tuple[int, ...], on_progress: OnProgress | None
) -> ImageFile:
    """Decodes in parallel; each thread writes its own image, so that images never accumulate in memory."""
    needed, free = math.prod(shape), shutil.disk_usage(cached.parent).free
    if needed > free:
        raise OSError(f"{len(sources)} images need {needed / 1e9:.1f} GB there, {free / 1e9:.1f} GB are free")
    unfinished = cached.with_suffix(".partial")  # what a killed process left is overwritten
    try:
        with unfinished.open("wb") as file:
            start = write_header(file, shape)
            file.flush()
            _decode_into(file, start, sources, shape[-1], on_progress)
        images = ImageFile(unfinished)
        cached.with_suffix(".json").write_text(json.dumps({"sha256": images.sha256, "shape": shape}))
        images.move(cached)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return images


def _decode_into(
    file: BinaryIO,
    start: int,
    sources: Sequence[str | np.ndarray],
    image_size: int,
    on_progress: OnProgress | None,
) -> None:
    def decode_row(row: int) -> None:
        pixels = _decode(sources[row], image_size).tobytes()
        if os.pwrite(file.fileno(), pixels, start + row * len(pixels)) != len(pixels):
            raise OSError("the disk is full")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in range(0, len(sources), DECODED_AT_ONCE):
            until = min(done + DECODED_AT_ONCE, len(sources))
            for _ in pool.map(decode_row, range(done, until)):
                pass
            if on_progress is not None:
                on_progress(until, len(sources))


def _decode(source: str | np.ndarray, image_size: int) -> np.ndarray:
    """One image as (3, S, S) uint8 RGB: shorter side resized to S with antialiasing, then the centre cut out.

    A file is read as torchvision's ImageFolder reads it: whatever the mode, PIL converts it to RGB, and an EXIF
    orientation is not applied.

    Raises:
        ValueError: if the file cannot be read, naming it.
    """
    from PIL import Image, ImageOps

    try:
        if isinstance(source, str):
            with Image.open(source) as file:
                image = _as_8_bits(file).convert("RGB")
        else:
            image = Image.fromarray(source)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read the image {source}: {error}") from error
    if image.size != (image_size, image_size):
        image = ImageOps.fit(image, (image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(image).transpose(2, 0, 1)


def _as_8_bits(image: "Image.Image") -> "Image.Image":
    """``image`` itself, or one of 16 bits a pixel as 8: PIL's own conversion would clip all above 255 to white.

    Raises:
        ValueError: if the pixels are real numbers, or integers of more than 16 bits, whose range no file says.
    """
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    pixels = np.asarray(image)
    if image.mode == "F" or pixels.min() < 0 or pixels.max() >= 2**16:
        raise ValueError(f"pixels of mode {image.mode}, whose range is not known; convert it to 8 bits")
    return Image.fromarray(np.round(pixels / 257).astype(np.uint8))
