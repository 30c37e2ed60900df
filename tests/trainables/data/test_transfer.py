"""Pretraining on other images than those of probe and evaluation; STL-10, of which most images have no labels."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.datasets import STL10

from study.trainable import Context, Final
from trainables.data.datasets import ImageSet, available_here, load_data
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial import FinalReport, InterimReport, require_fitting, run_trial
from trainables.trial_config import TrialConfig, resolve_paths

CPU = torch.device("cpu")
NAMES = ("airplane", "bird", "car", "cat", "deer")


def pixels(images: ImageSet) -> np.ndarray:
    return images.tensors()[0][:].numpy()


def keys(*sets: ImageSet) -> list[tuple[int, bytes]]:
    return sorted((int(label), image.tobytes()) for s in sets for image, label in zip(pixels(s), s.labels, strict=True))


@pytest.fixture
def stl10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, np.ndarray], np.ndarray]:
    """STL-10's files with 30 training, 25 test and 40 unlabelled images of noise, as (N, 96, 96, 3); their labels."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    random = np.random.default_rng(0)
    counts = {"train": 30, "test": 25, "unlabeled": 40}
    images = {split: random.integers(0, 256, (n, 96, 96, 3), dtype=np.uint8) for split, n in counts.items()}
    labels = np.arange(30) % 5

    def write(name: str, content: np.ndarray) -> list[str]:
        (folder / name).write_bytes(content.astype(np.uint8).tobytes())
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    # The files hold columns of a channel one after the other, and classes from 1.
    files = {split: write(f"{split}_X.bin", found.transpose(0, 3, 2, 1)) for split, found in images.items()}
    train_y, test_y = write("train_y.bin", labels + 1), write("test_y.bin", labels[:25] + 1)
    (folder / "class_names.txt").write_text("\n".join(NAMES))
    monkeypatch.setattr(STL10, "train_list", [files["train"], train_y, files["unlabeled"]])
    monkeypatch.setattr(STL10, "test_list", [files["test"], test_y])
    monkeypatch.setattr(STL10, "url", "http://127.0.0.1:9/stl10_binary.tar.gz")
    return tmp_path, images, labels


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """By PIL, as (N, 3, S, S)."""
    found = [ImageOps.fit(Image.fromarray(image), (size, size), Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(image) for image in found]).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("size", [12, 96])
def test_stl10_is_read_from_its_files(
    tiny: Callable[..., TrialConfig], stl10: tuple[Path, dict[str, np.ndarray], np.ndarray], size: int
) -> None:
    root, images, labels = stl10
    config = tiny(dataset="stl10", data_root=str(root), image_size=size, validation_fraction=0.2, eval_samples=None)
    data = load_data(config)
    assert keys(data.train, data.validation) == keys(ImageSet(resized(images["train"], size), labels))
    assert keys(data.test) == keys(ImageSet(resized(images["test"], size), labels[:25]))
    assert data.class_names == NAMES and data.pretraining is data.train and len(data.validation.labels) == 6
    assert data.checksum == data.pretraining_checksum


def test_stl10_without_labels_is_for_pretraining(
    tiny: Callable[..., TrialConfig], stl10: tuple[Path, dict[str, np.ndarray], np.ndarray]
) -> None:
    root, images, labels = stl10
    config = tiny(
        dataset="stl10_unlabeled", data_root=str(root), image_size=12, validation_fraction=0.2, eval_samples=None
    )
    data = load_data(config)
    assert keys(data.pretraining) == keys(ImageSet(resized(images["unlabeled"], 12), np.zeros(40, dtype=np.int64)))
    assert keys(data.train, data.validation) == keys(ImageSet(resized(images["train"], 12), labels))
    labelled = load_data(config.replace(dataset="stl10"))
    assert keys(data.validation) == keys(labelled.validation) and keys(data.test) == keys(labelled.test)
    assert data.checksum == f"{data.pretraining_checksum}+{labelled.checksum}"
    assert len(load_data(config.replace(train_images=25)).pretraining.labels) == 25
    assert ROBUST_SSL.scale(data) == 40 and ROBUST_SSL.data_name(config) == "stl10_unlabeled to stl10"


def test_damaged_or_missing_stl10_is_refused(
    tiny: Callable[..., TrialConfig], stl10: tuple[Path, dict[str, np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    config = tiny(dataset="stl10", data_root=str(stl10[0]), image_size=12)
    with pytest.raises(ValueError, match=r"stl10 is not in .*empty and .*digits needs no download"):
        load_data(config.replace(data_root=str(tmp_path / "empty")))
    (stl10[0] / "stl10_binary" / "test_X.bin").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="stl10 is not in"):
        load_data(config)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three classes of coloured images in the format of an image folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(1)
    for split, count in (("train", 20), ("test", 10)):
        for channel, name in enumerate(("red", "green", "blue")):
            (tmp_path / "folder" / split / name).mkdir(parents=True)
            for index in range(count):
                image = random.integers(0, 128, (8, 8, 3), dtype=np.uint8)
                image[..., channel] += 100
                Image.fromarray(image).save(tmp_path / "folder" / split / name / f"{index}.png")
    return tmp_path / "folder"


def transfer(tiny: Callable[..., TrialConfig], folder: Path, **changes: object) -> TrialConfig:
    """Pretrained on digits, probed on the folder."""
    fields = {"probe_dataset": "imagefolder", "probe_data_root": str(folder), "eval_samples": 20, "train_images": 80}
    return tiny(**(fields | changes))


def test_the_probe_has_its_own_images(tiny: Callable[..., TrialConfig], folder: Path) -> None:
    config = transfer(tiny, folder)
    data, source = load_data(config), load_data(config.replace(probe_dataset=None))
    target = load_data(tiny(dataset="imagefolder", data_root=str(folder), eval_samples=20))
    assert keys(data.pretraining) == keys(source.train) and data.class_names == ("blue", "green", "red")
    for part in ("train", "validation", "test"):
        assert keys(getattr(data, part)) == keys(getattr(target, part)), part
    assert data.pretraining_checksum == source.checksum
    assert data.checksum == f"{source.checksum}+{target.checksum}"
    assert ROBUST_SSL.examples_checksum(data.checksum) == target.checksum
    assert ROBUST_SSL.data_name(config) == "digits to imagefolder"
    assert ROBUST_SSL.data_name(config.replace(probe_dataset=None)) == "digits"
    assert len(load_data(config.replace(probe_train_images=30)).train.labels) == 30
    (next((folder / "test" / "red").iterdir())).unlink()
    changed = load_data(config)
    assert changed.checksum != data.checksum and changed.pretraining_checksum == data.pretraining_checksum
    assert available_here(data, config) is data, "the decoded images are still in the cache"


def test_fewer_images_for_the_probe_leave_the_rest_alone(tiny: Callable[..., TrialConfig]) -> None:
    data, few = (load_data(tiny(probe_train_images=cap)) for cap in (None, 40))
    assert set(keys(few.train)) < set(keys(data.train)) and np.bincount(few.train.labels).min() >= 3
    for part in ("pretraining", "validation", "test"):
        assert np.array_equal(pixels(getattr(few, part)), pixels(getattr(data, part)))
    assert few.checksum == data.checksum


def test_images_of_another_probe_are_found_out_on_another_machine(
    tiny: Callable[..., TrialConfig], folder: Path
) -> None:
    config = transfer(tiny, folder)
    data = load_data(config)
    file = data.train.images.file  # type: ignore[union-attr]
    file._descriptor = None  # as unpickled
    file.path.unlink()
    (next((folder / "train" / "red").iterdir())).unlink()
    with pytest.raises(ValueError, match=rf"the images in data and {folder} on .* are not those"):
        available_here(data, config)


def test_a_transferred_encoder_is_that_of_its_own_images(
    tiny: Callable[..., TrialConfig], folder: Path, tmp_path: Path
) -> None:
    """The encoder of a trial without transfer is shared; probe, flags and interim reports are of the other images."""
    plain = tiny(train_images=80, epochs=1, eval_pgd_steps=1, eval_samples=20)
    (*_, first) = ROBUST_SSL.run(plain, load_data(plain), Context(tmp_path / "first", tmp_path))
    config = transfer(tiny, folder, epochs=1, eval_pgd_steps=1)
    data = load_data(config)
    (*_, second) = ROBUST_SSL.run(config, data, Context(tmp_path / "second", tmp_path))
    assert isinstance(first, Final) and isinstance(second, Final)
    assert second.metrics["is_encoder_shared"] and not first.metrics["is_encoder_shared"]
    assert second.metrics["val_n"] == len(data.validation.labels) == 6 and second.metrics["test_n"] == 20
    assert second.metrics["chance_accuracy"] == data.chance_percent == pytest.approx(100 / 3)
    alone = list(run_trial(config.replace(rung_images=20), data, CPU, milestones=(1,)))
    (interim,) = (report for report in alone if isinstance(report, InterimReport))
    assert interim.metrics["val_n"] == 6
    assert isinstance(alone[-1], FinalReport) and alone[-1].classifier.head.out_features == 3
    for name, flags in alone[-1].flags.items():
        assert np.array_equal(flags, second.outcomes[name]), name
    with pytest.raises(ValueError, match="batch_size must not exceed the training images: batch_size=8, images=5"):
        require_fitting(config, replace(data, pretraining=data.train.take(np.arange(5))))


def test_the_pretraining_is_that_of_its_images_alone(tiny: Callable[..., TrialConfig], folder: Path) -> None:
    plain, config = tiny(train_images=80, eval_samples=20), transfer(tiny, folder)
    assert config.pretraining_hash() == plain.pretraining_hash()
    assert config.replace(probe_train_images=20).pretraining_hash() == plain.pretraining_hash()
    hashes = [plain, config, config.replace(probe_data_root="elsewhere"), config.replace(probe_dataset="cifar10")]
    assert len({found.content_hash() for found in [*hashes, config.replace(probe_train_images=20)]}) == 5
    on_cifar = config.replace(probe_dataset="cifar10")
    assert on_cifar.content_hash() == on_cifar.replace(probe_data_root="elsewhere").content_hash()
    assert resolve_paths(config.replace(probe_data_root="here")).probe_data_root == str(Path("here").resolve())
    assert resolve_paths(plain).probe_data_root is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"probe_dataset": "digits"}, "probe_dataset must be other images than dataset; none: the same"),
        ({"dataset": "imagefolder", "probe_dataset": "imagefolder"}, "needs the folder of its files"),
        (
            {"dataset": "imagefolder", "probe_dataset": "imagefolder", "probe_data_root": "data"},
            "probe_dataset must be other images",
        ),
        ({"dataset": "stl10", "probe_dataset": "stl10", "probe_data_root": "x"}, "probe_dataset must be other images"),
        ({"dataset": "stl10_unlabeled", "method": "supervised"}, "supervised needs the labels .*dataset=stl10_unlabe"),
        ({"probe_dataset": "cifar10", "method": "supervised"}, "supervised needs the labels .*probe_dataset=cifar10"),
    ],
)
def test_impossible_transfers_are_refused(
    tiny: Callable[..., TrialConfig], fields: dict[str, object], message: str
) -> None:
    supervised = {"num_views": 1, "probe": "own_head"} if "method" in fields else {}
    with pytest.raises(ValueError, match=message):
        tiny(**(fields | supervised))
