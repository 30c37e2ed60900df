"""The images of a trial: loaded once, decoded to one size, split with a fixed seed.

Test images are a separate set; validation images are a stratified sample cut from the training images. Digits and CIFAR
are arrays in memory; the images of an ImageFolder and of STL-10, however many, stay in a file.
"""

import hashlib
import mimetypes
import os
import platform
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainables.data.image_cache import OnProgress, decoded_images
from trainables.data.stored_images import Images, StoredImages
from trainables.trial_config import TrialConfig

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm")
DIGITS_TEST_FRACTION = 0.25


@dataclass(frozen=True)
class ImageSet:
    """Images (N, 3, S, S) uint8 and labels (N,) int64."""

    images: np.ndarray | StoredImages
    labels: np.ndarray

    def take(self, indices: np.ndarray) -> "ImageSet":
        """The images at ``indices``, in that order: copied from an array, or left unread in their file."""
        if isinstance(self.images, StoredImages):
            return ImageSet(self.images.narrowed(indices), self.labels[indices])
        return ImageSet(self.images[indices], self.labels[indices])

    def tensors(self, cap: int | None = None) -> tuple[Images, Tensor]:
        """The first ``cap`` images and labels (all for None) as tensors sharing memory, or left in their file."""
        with warnings.catch_warnings():
            # Arrays of Ray's object store are read-only; nothing here writes to them.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            labels = torch.from_numpy(self.labels[:cap])
            if isinstance(self.images, StoredImages):
                return self.images.narrowed(slice(cap)), labels
            return torch.from_numpy(self.images[:cap]), labels


@dataclass(frozen=True)
class TrialData:
    """The images of a trial: those of its pretraining, and those on which it is probed and evaluated.

    Args:
        pretraining: images of ``dataset``; without transfer those of ``train``, before ``probe_train_images`` caps it.
        pretraining_checksum: of all decoded images and labels of ``dataset``, before the split.
        train, validation, test: of the probe.
        test_rows: (N,) of the test images in the order of the data set's own test images.
        class_names: of the probe's images.
        checksum: of all decoded images and labels that a trial sees, before the split; with transfer two, joined by +.
    """

    pretraining: ImageSet
    pretraining_checksum: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    test_rows: np.ndarray
    class_names: tuple[str, ...]
    checksum: str

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.class_names)

    @property
    def chance_percent(self) -> float:
        """Accuracy in percent of always guessing the most frequent class of the validation images."""
        return 100 * float(np.bincount(self.validation.labels).max()) / len(self.validation.labels)


def load_data(config: TrialConfig, on_progress: OnProgress | None = None) -> TrialData:
    """Loads, caches and splits the images that ``config`` names.

    Raises:
        ValueError: if the files are missing or unreadable, naming the path and what can be run without them; if a class
            is left without training images.
    """
    source = _load(config.dataset, config.data_root, config.image_size, on_progress)
    if config.dataset == "stl10_unlabeled":
        train_rows = stratified_rows(source.train.labels, config.train_images, config.split_seed)
    else:
        train_rows, validation_rows = split_rows(source.train.labels, config, config.train_images)
    pretraining = train = source.train.take(train_rows)
    probed, checksum = source, source.checksum
    if config.probed_data != (config.dataset, config.data_root):
        probed = _load(*config.probed_data, config.image_size, on_progress)
        checksum = f"{source.checksum}+{probed.checksum}"
        train_rows, validation_rows = split_rows(probed.train.labels, config, None)
        train = probed.train.take(train_rows)
    if config.probe_train_images is not None:
        train = train.take(stratified_rows(train.labels, config.probe_train_images, config.split_seed))
    missing = missing_classes(train.labels, probed.class_names)
    if missing:
        raise ValueError(
            f"no training image is left of {shortened(missing)}: train_images={config.train_images}, "
            f"probe_train_images={config.probe_train_images}, validation_fraction={config.validation_fraction}"
        )
    test_rows = stratified_rows(probed.test.labels, config.eval_samples, config.split_seed)
    return TrialData(
        pretraining=pretraining,
        pretraining_checksum=source.checksum,
        train=train,
        validation=probed.train.take(validation_rows),
        test=probed.test.take(test_rows),
        test_rows=test_rows,
        class_names=probed.class_names,
        checksum=checksum,
    )


def missing_classes(labels: np.ndarray, names: Sequence[str]) -> list[str]:
    """The names of the classes that ``labels`` lack, in their order."""
    counts = np.bincount(labels, minlength=len(names))
    return [name for name, count in zip(names, counts, strict=True) if count == 0]


def shortened(names: Sequence[str]) -> str:
    """At most five names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def available_here(data: TrialData, config: TrialConfig) -> TrialData:
    """``data``, or the same images loaded again if its files are not on this machine (a worker on another node).

    Args:
        data: from ``load_data``, perhaps in another process.
        config: of one of the trials that share ``data``.

    Raises:
        ValueError: if the images are missing here too, or are not the same.
    """
    sets = (data.pretraining, data.train, data.validation, data.test)
    stored = [s.images for s in sets if isinstance(s.images, StoredImages)]
    if all(images.file.is_here() for images in stored):
        return data
    try:
        found = load_data(config)
    except ValueError as error:
        raise ValueError(f"on {platform.node()}: {error}") from error
    if found.checksum != data.checksum:
        places = dict.fromkeys([config.data_root, config.probed_data[1]])
        raise ValueError(
            f"the images in {' and '.join(places)} on {platform.node()} are not those that were loaded first: "
            f"checksum {found.checksum[:12]} here, {data.checksum[:12]} there"
        )
    return found


def split_rows(labels: np.ndarray, config: TrialConfig, cap: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows for training and for validation: disjoint, stratified, seeded by ``split_seed``, each in shuffled order.

    The validation rows are drawn first and do not depend on ``cap``, that of the training rows, so that trials with
    fewer training images are still compared on the same validation images.
    """
    from sklearn.model_selection import train_test_split

    try:
        train, validation = train_test_split(
            np.arange(len(labels)),
            test_size=config.validation_fraction,
            stratify=labels,
            random_state=config.split_seed,
        )
    except ValueError as error:
        raise ValueError(f"cannot cut a stratified validation split from {len(labels)} images: {error}") from error
    kept = stratified_rows(labels[train], cap, config.split_seed)
    capped = stratified_rows(labels[validation], config.eval_samples, config.split_seed)
    return train[kept], validation[capped]


def stratified_rows(labels: np.ndarray, cap: int | None, seed: int) -> np.ndarray:
    """At most ``cap`` rows of ``labels`` (all for None) with the classes in proportion, shuffled by ``seed``."""
    from sklearn.model_selection import train_test_split

    rows = np.random.default_rng(seed).permutation(len(labels))
    if cap is None or cap >= len(labels):
        return rows
    counts = np.bincount(labels)
    num_left = len(labels) - cap
    if num_left < np.count_nonzero(counts) <= cap:
        # train_test_split needs at least one left-out row per class; leave out one of each of the most frequent
        # classes.
        left_out = [rows[labels[rows] == k][-1] for k in np.argsort(-counts, kind="stable")[:num_left]]
        return rows[~np.isin(rows, left_out)]
    try:
        kept, _ = train_test_split(rows, train_size=cap, stratify=labels[rows], random_state=seed)
    except ValueError as error:
        raise ValueError(
            f"cannot take {cap} of {len(labels)} images in proportion to their classes: {error}"
        ) from error
    return np.asarray(kept)


class _Source(NamedTuple):
    """A data set before it is split."""

    train: ImageSet
    test: ImageSet
    class_names: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """Over all pixels and labels; for a file, this uses the digest that it was verified by."""
        sets = (self.train, self.test)
        return hashlib.sha256("".join(_sha256(s.images) + _sha256(s.labels) for s in sets).encode()).hexdigest()


def _load(dataset: str, data_root: str, image_size: int, on_progress: OnProgress | None) -> _Source:
    match dataset:
        case "digits":
            return _load_digits(image_size)
        case "cifar10" | "cifar100":
            return _load_cifar(dataset, data_root, image_size, on_progress)
        case "stl10" | "stl10_unlabeled":
            return _load_stl10(dataset, data_root, image_size, on_progress)
        case _:
            return _load_image_folder(Path(data_root), image_size, on_progress)


def _load_digits(image_size: int) -> _Source:
    """scikit-learn's 1,797 handwritten digits (8x8, 16 gray levels) as RGB, a quarter of them for testing."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    gray = torch.from_numpy(digits.images).float()[:, None] / 16
    size = (image_size, image_size)
    large = torch.nn.functional.interpolate(gray, size=size, mode="bilinear", antialias=True, align_corners=False)
    images = (large * 255).round().clamp(0, 255).byte().expand(-1, 3, -1, -1).numpy().copy()
    labels = digits.target.astype(np.int64)
    # Independent of the split seed, which must not move images between training and test.
    train, test = train_test_split(
        np.arange(len(labels)), test_size=DIGITS_TEST_FRACTION, stratify=labels, random_state=0
    )
    everything = ImageSet(images, labels)
    return _Source(everything.take(train), everything.take(test), tuple(str(digit) for digit in range(10)))


def _load_cifar(dataset: str, data_root: str, image_size: int, on_progress: OnProgress | None) -> _Source:
    """CIFAR-10 or CIFAR-100 through torchvision, which downloads and checks the archive's checksum.

    Other sizes than 32 pixels are resized into files of the cache.
    """
    from torchvision import datasets

    dataset_class = datasets.CIFAR10 if dataset == "cifar10" else datasets.CIFAR100
    with _named_if_missing(dataset, data_root):
        parts = [dataset_class(data_root, train=train, download=True) for train in (True, False)]

    def images_of(pixels: Any) -> np.ndarray | StoredImages:
        if image_size == pixels.shape[1]:
            return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        name = f"{dataset}-{image_size}px-{hashlib.sha256(pixels.tobytes()).hexdigest()[:16]}"
        return StoredImages(decoded_images(pixels, name, image_size, on_progress), np.arange(len(pixels)))

    sets = [ImageSet(images_of(part.data), np.asarray(part.targets, dtype=np.int64)) for part in parts]
    return _Source(sets[0], sets[1], tuple(parts[0].classes))


def _load_stl10(dataset: str, data_root: str, image_size: int, on_progress: OnProgress | None) -> _Source:
    """STL-10 through torchvision, which checks every file, resized from 96 pixels into files of the cache.

    The images without labels, which are given label 0, come with the labelled test images: a set of images has both.
    """
    from torchvision.datasets import STL10

    def read(split: str, digest: str) -> tuple[ImageSet, tuple[str, ...]]:
        with _named_if_missing(dataset, data_root):
            part = STL10(data_root, split=split, download=True)
        name = f"stl10-{split}-{image_size}px-{digest[:16]}"
        file = decoded_images(part.data.transpose(0, 2, 3, 1), name, image_size, on_progress)
        labels = np.maximum(part.labels.astype(np.int64), 0)
        return ImageSet(StoredImages(file, np.arange(len(labels))), labels), tuple(part.classes)

    digests = dict([*STL10.train_list, *STL10.test_list])
    train_split = "unlabeled" if dataset == "stl10_unlabeled" else "train"
    train, names = read(train_split, digests[f"{train_split}_X.bin"])
    test, _ = read("test", digests["test_X.bin"])
    return _Source(train, test, names)


@contextmanager
def _named_if_missing(dataset: str, data_root: str) -> Iterator[None]:
    """Says where the files of a data set were looked for, if torchvision neither found nor could download them."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{dataset} is not in {Path(data_root).resolve()} and could not be downloaded ({reason}); "
            "--data-root names another folder, --dataset digits needs no download"
        ) from error


def _load_image_folder(root: Path, image_size: int, on_progress: OnProgress | None) -> _Source:
    """``root/train/<class>/*`` and ``root/test/<class>/*`` (or ``root/val``), decoded once into files of the cache."""
    train_dir, test_dir = root / "train", root / "test"
    if not test_dir.is_dir():
        test_dir = root / "val"
    for folder in (train_dir, test_dir):
        if not folder.is_dir():
            raise ValueError(
                f"no image folder at {root.resolve()}: it needs train/<class>/ and test/<class>/ (or val/<class>/); "
                "--dataset digits needs no files"
            )
    names, tested = (
        tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir())) for folder in (train_dir, test_dir)
    )
    if unseen := [name for name in tested if name not in names]:
        raise ValueError(f"{test_dir.resolve()} has classes that {train_dir.name} lacks: {shortened(unseen)}")
    if len(names) < 2:
        raise ValueError(f"{train_dir.resolve()} has {len(names)} class folders; at least 2 are needed")
    train, test = (_decode_folder(folder, names, image_size, on_progress) for folder in (train_dir, test_dir))
    return _Source(train, test, names)


def _decode_folder(folder: Path, names: tuple[str, ...], image_size: int, on_progress: OnProgress | None) -> ImageSet:
    """The images of one split, from the cache if the same files were decoded to the same size before."""
    found = [(path, label) for label, name in enumerate(names) for path in sorted((folder / name).rglob("*"))]
    files = [(str(path), label) for path, label in found if path.suffix.lower() in IMAGE_SUFFIXES]
    others = [str(path) for path, _ in found if path.suffix.lower() not in IMAGE_SUFFIXES and _is_named_as_image(path)]
    if others:  # to leave them out without a word would change the data
        raise ValueError(f"images must be {', '.join(IMAGE_SUFFIXES)}; convert or remove {shortened(others)}")
    labels = np.asarray([label for _, label in files], dtype=np.int64)
    empty = missing_classes(labels, names)
    if empty:
        raise ValueError(f"no images ({', '.join(IMAGE_SUFFIXES)}) of {shortened(empty)} in {folder.resolve()}")
    listing = hashlib.sha256(f"{folder.resolve()} {image_size} 16 bits as 8".encode())
    for path, label in files:
        status, relative = os.stat(path), path.removeprefix(f"{folder}{os.sep}")
        listing.update(f"{relative} {label} {status.st_size} {status.st_mtime_ns}\n".encode())
    name = f"{folder.name}-{image_size}px-{listing.hexdigest()[:16]}"
    file = decoded_images([path for path, _ in files], name, image_size, on_progress)
    return ImageSet(StoredImages(file, np.arange(len(files))), labels)


def _is_named_as_image(path: Path) -> bool:
    return (mimetypes.guess_type(path.name)[0] or "").startswith("image/")


def _sha256(pixels_or_labels: np.ndarray | StoredImages) -> str:
    if isinstance(pixels_or_labels, StoredImages):
        return pixels_or_labels.file.sha256
    return hashlib.sha256(np.ascontiguousarray(pixels_or_labels).data).hexdigest()
