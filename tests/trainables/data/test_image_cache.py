"""Decoding: every mode as torchvision reads it, few tasks at a time, one process at a time, and full disks."""

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.datasets.folder import pil_loader

from trainables.data import image_cache
from trainables.data.datasets import load_data
from trainables.data.image_cache import cache_dir, decoded_images
from trainables.trial_config import TrialConfig


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def paths(make_photographs: Callable[[Path, int], Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """32 photographs of all shapes, formats and modes."""
    root = make_photographs(tmp_path_factory.mktemp("photographs"), 4)
    return [str(path) for path in sorted(root.rglob("*.*"))]


@pytest.fixture
def decoded_paths(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every path that is decoded from now on."""
    found: list[str] = []
    decode = image_cache._decode
    monkeypatch.setattr(image_cache, "_decode", lambda path, size: found.append(path) or decode(path, size))
    yield found


def test_every_mode_is_read_as_torchvision_reads_it(paths: list[str]) -> None:
    modes = {Image.open(path).mode for path in paths}
    assert modes >= {"RGB", "RGBA", "L", "CMYK", "P", "1"}
    images = decoded_images(paths, "photographs", 40, None).read(np.arange(len(paths)))
    for path, image in zip(paths, images, strict=True):
        expected = ImageOps.fit(pil_loader(path), (40, 40), Image.Resampling.BILINEAR)
        assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(expected)), path


def test_16_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    """PIL's own conversion would make white of every value above 255."""
    grey = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    for name in ("grey.png", "grey.ppm"):
        Image.fromarray(grey).save(tmp_path / name)
    Image.fromarray(grey.astype(np.float32)).save(tmp_path / "real.tiff")
    images = decoded_images([str(tmp_path / "grey.png"), str(tmp_path / "grey.ppm")], "grey", 8, None).read(
        np.arange(2)
    )
    assert np.array_equal(images, np.broadcast_to(np.round(grey / 257), (2, 3, 8, 8)))
    with pytest.raises(ValueError, match=r"real\.tiff: pixels of mode F, whose range is not known"):
        decoded_images([str(tmp_path / "real.tiff")], "real", 8, None)


def test_orientation_is_left_as_it_is_stored(paths: list[str]) -> None:
    (path, *_) = (path for path in paths if Image.open(path).getexif().get(0x0112))
    stored = Image.open(path)
    assert ImageOps.exif_transpose(stored).size == stored.size[::-1]
    image = decoded_images([path], "one", min(stored.size), None).read(np.array([0]))[0]
    expected = ImageOps.fit(Image.open(path).convert("RGB"), (min(stored.size),) * 2, Image.Resampling.BILINEAR)
    assert torch.equal(image.permute(1, 2, 0), torch.from_numpy(np.array(expected)))


def test_few_tasks_are_outstanding(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[Future[Any]] = []
    most = 0

    class CountingPool(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **keywords: Any) -> Future[Any]:
            nonlocal most
            future = super().submit(*arguments, **keywords)
            submitted.append(future)
            most = max(most, sum(not other.done() for other in submitted))
            return future

    monkeypatch.setattr(image_cache, "ThreadPoolExecutor", CountingPool)
    monkeypatch.setattr(image_cache, "DECODED_AT_ONCE", 5)
    reports: list[tuple[int, int]] = []
    decoded_images(paths, "photographs", 8, lambda done, total: reports.append((done, total)))
    assert 0 < most <= 5 and len(submitted) == 32
    assert all(future.result() is None for future in submitted)  # no image waits in a result
    assert reports == [(done, 32) for done in (5, 10, 15, 20, 25, 30, 32)]


def test_pixels_are_hashed_once_a_load(
    tiny: Callable[..., TrialConfig],
    make_photographs: Callable[[Path, int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = make_photographs(tmp_path / "photographs", 4)
    config = tiny(dataset="imagefolder", data_root=str(root), image_size=8, validation_fraction=0.25, eval_samples=None)
    hashed: list[str] = []
    file_digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: hashed.append(file.name) or file_digest(file, name))
    data = load_data(config)
    assert len(hashed) == 2  # train and test
    assert load_data(config).checksum == data.checksum
    assert len(hashed) == 4
    pixels = [np.load(path) for path in sorted(cache_dir().glob("*.npy"), reverse=True)]  # train, test
    labels = [np.arange(4).repeat(6), np.arange(4).repeat(2)]
    digests = [
        hashlib.sha256(array.tobytes()).hexdigest() for pair in zip(pixels, labels, strict=True) for array in pair
    ]
    assert data.checksum == hashlib.sha256("".join(digests).encode()).hexdigest()


def test_two_at_a_time_decode_once(paths: list[str], decoded_paths: list[str]) -> None:
    """Threads stand for processes: the lock is on an open file, of which each has its own."""
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(decoded_images(paths, "photographs", 16, None))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(decoded_paths) == paths
    assert len({file.sha256 for file in found}) == 1 and len(found) == 3


def test_what_a_killed_process_left_is_overwritten(paths: list[str]) -> None:
    cache_dir().mkdir(parents=True)
    (cache_dir() / "photographs.partial").write_bytes(b"x" * 1_000_000)
    file = decoded_images(paths, "photographs", 16, None)
    assert [path.name for path in sorted(cache_dir().glob("*.*"))] == ["photographs.json", "photographs.npy"]
    assert np.array_equal(np.load(file.path), file.read(np.arange(32)).numpy())


def test_a_disk_that_is_too_small_is_found_out_before_decoding(
    paths: list[str], decoded_paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage("/")._replace(free=32 * 3 * 64 * 64 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(ValueError, match=r"32 images need 0\.0 GB there, 0\.0 GB are free; .*XDG_CACHE_HOME"):
        decoded_images(paths, "photographs", 64, None)
    assert decoded_paths == []


def test_a_disk_that_fills_up_leaves_nothing(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache.os, "pwrite", lambda descriptor, pixels, offset: len(pixels) - 1)
    with pytest.raises(ValueError, match=r"cannot keep decoded images in .*: the disk is full"):
        decoded_images(paths, "photographs", 16, None)
    assert list(cache_dir().glob("*.*")) == []


def test_a_cache_that_cannot_be_made_is_named(paths: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ValueError, match=r"cannot keep decoded images in .*cache/robust-ssl-studies/images"):
        decoded_images(paths, "photographs", 16, None)
