"""Data sets: splits, decoding, the cache, and what is said where files are missing."""

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets as torchvision_datasets

from trainables.data.datasets import ImageSet, available_here, load_data, stratified_rows
from trainables.data.image_cache import cache_dir
from trainables.trial_config import TrialConfig


def keys(*sets: ImageSet) -> list[tuple[int, bytes]]:
    """Label and pixels of every image, sorted."""
    return sorted((int(label), image.tobytes()) for s in sets for image, label in zip(pixels(s), s.labels, strict=True))


def pixels(images: ImageSet) -> np.ndarray:
    """(N, 3, S, S), also of images that are in a file."""
    return images.tensors()[0][:].numpy()


# Digits and splits.


def test_digits_are_complete_and_disjoint(tiny: Callable[..., TrialConfig]) -> None:
    data = load_data(tiny(eval_samples=None))
    parts = data.train, data.validation, data.test
    assert sum(len(part.labels) for part in parts) == 1797
    assert len(set(keys(*parts))) == 1797  # no image twice, in one part or in two
    for part in parts:
        assert part.images.dtype == np.uint8 and part.images.shape[1:] == (3, 8, 8)
        assert part.labels.dtype == np.int64
    assert data.num_classes == 10 and data.class_names == tuple("0123456789")


@pytest.mark.parametrize("size", [8, 16])
def test_digits_fill_the_grey_scale(tiny: Callable[..., TrialConfig], size: int) -> None:
    images = load_data(tiny(image_size=size)).train.images
    assert images.shape[1:] == (3, size, size)
    assert images.min() == 0 and images.max() == 255
    assert np.array_equal(images[:, 0], images[:, 1]) and np.array_equal(images[:, 0], images[:, 2])


def test_digits_equal_scikit_learns_at_their_own_size(tiny: Callable[..., TrialConfig]) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.round(digits.images * 255 / 16).astype(np.uint8)[:, None].repeat(3, axis=1)
    data = load_data(tiny(eval_samples=None))
    assert keys(data.train, data.validation, data.test) == keys(ImageSet(grey, digits.target))


def test_splits_are_stratified(tiny: Callable[..., TrialConfig]) -> None:
    everything = load_data(tiny(eval_samples=None))
    share = np.bincount(np.concatenate([p.labels for p in (everything.train, everything.validation, everything.test)]))
    share = share / share.sum()
    capped = load_data(tiny(train_images=200, eval_samples=60))
    assert [len(p.labels) for p in (capped.train, capped.validation, capped.test)] == [200, 60, 60]
    for data in (everything, capped):
        for part in (data.train, data.validation, data.test):
            counts = np.bincount(part.labels, minlength=10)
            assert np.abs(counts - share * counts.sum()).max() <= 2


def test_evaluation_images_do_not_depend_on_train_images(tiny: Callable[..., TrialConfig]) -> None:
    full, capped = load_data(tiny()), load_data(tiny(train_images=100))
    for part in ("validation", "test"):
        assert np.array_equal(getattr(full, part).images, getattr(capped, part).images)
        assert np.array_equal(getattr(full, part).labels, getattr(capped, part).labels)
    assert set(keys(capped.train)) < set(keys(full.train))


def test_split_seed_moves_validation_but_never_test_images(tiny: Callable[..., TrialConfig]) -> None:
    first, again, other = (load_data(tiny(split_seed=seed, eval_samples=None)) for seed in (0, 0, 1))
    assert np.array_equal(first.train.images, again.train.images)
    assert np.array_equal(first.validation.images, again.validation.images)
    assert keys(first.validation) != keys(other.validation)
    assert keys(first.test) == keys(other.test)
    assert not set(keys(other.train, other.validation)) & set(keys(first.test))


def test_trial_seed_does_not_move_images(tiny: Callable[..., TrialConfig]) -> None:
    first, other = load_data(tiny(seed=0)), load_data(tiny(seed=1))
    assert np.array_equal(first.train.images, other.train.images)
    assert np.array_equal(first.validation.images, other.validation.images)


def test_checksum_is_of_the_images_before_the_split(tiny: Callable[..., TrialConfig]) -> None:
    checksum = load_data(tiny()).checksum
    assert load_data(tiny(split_seed=1, train_images=100)).checksum == checksum
    assert load_data(tiny(image_size=9)).checksum != checksum


def test_capped_tensors_are_stratified_enough_and_share_memory(tiny: Callable[..., TrialConfig]) -> None:
    train = load_data(tiny()).train
    images, labels = train.tensors(200)
    assert images.dtype == torch.uint8 and labels.dtype == torch.int64 and len(images) == len(labels) == 200
    assert np.shares_memory(images.numpy(), train.images)
    assert np.array_equal(images.numpy(), train.images[:200])
    assert len(labels.unique()) == 10  # the rows are shuffled, not sorted by class


def test_read_only_images_give_tensors_without_a_warning(
    tiny: Callable[..., TrialConfig], recwarn: pytest.WarningsRecorder
) -> None:
    train = load_data(tiny()).train
    train.images.setflags(write=False)
    train.tensors()
    assert not recwarn.list


def test_chance_is_the_commonest_class(tiny: Callable[..., TrialConfig]) -> None:
    data = load_data(tiny())
    assert data.chance_percent == 100 * np.bincount(data.validation.labels).max() / 50


def test_stratified_rows_without_cap_are_all_rows() -> None:
    labels = np.arange(30) % 3
    assert sorted(stratified_rows(labels, None, 0)) == list(range(30))
    assert sorted(stratified_rows(labels, 99, 0)) == list(range(30))
    assert not np.array_equal(stratified_rows(labels, None, 0), stratified_rows(labels, None, 1))


@pytest.mark.parametrize("cap", [100, 150, 200, 201, 240, 299])
def test_any_cap_above_the_number_of_classes_is_possible(cap: int) -> None:
    labels = np.random.default_rng(0).permutation(np.arange(300) % 100)
    rows = stratified_rows(labels, cap, 0)
    assert len(set(rows)) == len(rows) == cap
    counts = np.bincount(labels[rows], minlength=100)
    assert counts.min() >= cap // 100 and counts.max() <= -(-cap // 100)
    assert not np.array_equal(rows, np.sort(rows)) and np.array_equal(rows, stratified_rows(labels, cap, 0))


def test_a_few_left_out_are_of_the_commonest_classes() -> None:
    labels = np.array([1, 1, 0, 2, 2, 2])
    assert np.bincount(labels[stratified_rows(labels, 5, 0)]).tolist() == [1, 2, 2]
    assert np.bincount(labels[stratified_rows(labels, 4, 0)]).tolist() == [1, 1, 2]


def test_a_class_that_is_left_without_training_images_is_named(
    tiny: Callable[..., TrialConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for split, counts in (("train", {"ape": 60, "bee": 60, "yak": 2}), ("test", {"ape": 10, "bee": 10, "yak": 10})):
        for name, count in counts.items():
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                Image.fromarray(noise(8, 8, number)).save(tmp_path / split / name / f"{number}.png")
    config = tiny(dataset="imagefolder", data_root=str(tmp_path), eval_samples=None)
    assert set(load_data(config).train.labels) == {0, 1, 2}
    with pytest.raises(
        ValueError,
        match="no training image is left of yak: train_images=20, probe_train_images=None, validation",
    ):
        load_data(config.replace(train_images=20))


def test_impossible_caps_and_splits_are_refused(tiny: Callable[..., TrialConfig]) -> None:
    with pytest.raises(ValueError, match="cannot take 2 of 30 images in proportion"):
        stratified_rows(np.arange(30) % 3, 2, 0)
    with pytest.raises(ValueError, match="cannot cut a stratified validation split from 1347 images"):
        load_data(tiny(validation_fraction=0.001))


# Image folders.

SHAPES = ((40, 23), (17, 31), (12, 12), (13, 60), (100, 90), (12, 13))  # width, height


def noise(width: int, height: int, seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture
def image_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of JPEG and PNG images of odd shapes and modes, and a file that is no image."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "images"
    seed = 0
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            folder = root / split / name
            folder.mkdir(parents=True)
            (folder / "notes.txt").write_text("not an image")
            for index in range(12):
                seed += 1
                image = Image.fromarray(noise(*SHAPES[index % len(SHAPES)], seed))
                match index % 4:
                    case 0:
                        image.save(folder / f"{index}.JPEG", quality=90)
                    case 1:
                        image.save(folder / f"{index}.png")
                    case 2:
                        image.convert("L").save(folder / f"{index}.png")
                    case 3:
                        image.quantize(16).save(folder / f"{index}.png")
    return root


def folder_config(tiny: Callable[..., TrialConfig], root: Path, size: int = 12) -> TrialConfig:
    return tiny(
        dataset="imagefolder", data_root=str(root), image_size=size, validation_fraction=0.25, eval_samples=None
    )


def decoded(folder: Path, size: int) -> list[tuple[int, bytes]]:
    """Every image as PIL resizes its central square."""
    found = []
    for label, name in enumerate(("cat", "dog")):
        for path in (folder / name).iterdir():
            if path.suffix == ".txt":
                continue
            image = Image.open(path).convert("RGB")
            side = min(image.size)
            left, top = (image.width - side) / 2, (image.height - side) / 2
            box = (left, top, left + side, top + side)
            small = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
            found.append((label, np.asarray(small).transpose(2, 0, 1).tobytes()))
    return sorted(found)


@pytest.mark.parametrize("size", [8, 12])
def test_decoding_equals_pil(tiny: Callable[..., TrialConfig], image_folder: Path, size: int) -> None:
    done: list[tuple[int, int]] = []
    data = load_data(folder_config(tiny, image_folder, size), on_progress=lambda now, of: done.append((now, of)))
    assert data.class_names == ("cat", "dog")
    assert keys(data.train, data.validation) == decoded(image_folder / "train", size)
    assert keys(data.test) == decoded(image_folder / "test", size)
    assert done.count((24, 24)) == 2  # once a split


def test_val_stands_in_for_test(tiny: Callable[..., TrialConfig], image_folder: Path) -> None:
    (image_folder / "test").rename(image_folder / "val")
    assert keys(load_data(folder_config(tiny, image_folder)).test) == decoded(image_folder / "val", 12)


def test_nothing_is_left_out_without_a_word(tiny: Callable[..., TrialConfig], image_folder: Path) -> None:
    (image_folder / "train" / "cat" / "moving.gif").touch()
    with pytest.raises(ValueError, match=r"images must be .*; convert or remove .*moving.gif"):
        load_data(folder_config(tiny, image_folder))
    (image_folder / "train" / "cat" / "moving.gif").unlink()
    (image_folder / "test" / "wolf").mkdir()
    with pytest.raises(ValueError, match="test has classes that train lacks: wolf"):
        load_data(folder_config(tiny, image_folder))


def cache_files() -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(cache_dir().glob("*.*"))}


def make_unreadable(path: Path) -> None:
    """Overwrites the bytes of a file but keeps its size and time."""
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_second_load_reads_the_cache_alone(tiny: Callable[..., TrialConfig], image_folder: Path) -> None:
    config = folder_config(tiny, image_folder)
    first = load_data(config)
    written = cache_files()
    assert sorted(path.suffix for path in written) == [".json", ".json", ".npy", ".npy"]
    for path in image_folder.rglob("*.png"):
        make_unreadable(path)
    again = load_data(config)
    assert cache_files() == written
    assert again.checksum == first.checksum
    assert np.array_equal(pixels(again.train), pixels(first.train))


def test_another_size_is_another_cache(tiny: Callable[..., TrialConfig], image_folder: Path) -> None:
    load_data(folder_config(tiny, image_folder, 12))
    load_data(folder_config(tiny, image_folder, 8))
    assert len(cache_files()) == 8


def flip_a_pixel(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    "corrupt",
    [
        flip_a_pixel,
        lambda path: path.write_bytes(path.read_bytes()[:-1000]),
        lambda path: path.write_bytes(b"x" * 1000),
        lambda path: path.unlink(),
        lambda path: path.with_suffix(".json").write_text("{"),
        lambda path: path.write_bytes(b""),
        lambda path: path.with_suffix(".json").write_text("{}"),
        lambda path: path.with_suffix(".json").write_text("[]"),
        lambda path: path.with_suffix(".json").unlink(),
    ],
    ids=["flipped", "truncated", "garbage", "missing", "bad json", "empty", "no checksum", "a list", "no json"],
)
def test_corrupted_cache_is_decoded_again(
    tiny: Callable[..., TrialConfig], image_folder: Path, corrupt: Callable[[Path], None]
) -> None:
    config = folder_config(tiny, image_folder)
    first = load_data(config)
    for path in list(cache_dir().glob("*.npy")):
        corrupt(path)
    assert load_data(config).checksum == first.checksum
    written = cache_files()
    assert load_data(config).checksum == first.checksum
    assert cache_files() == written  # and is whole afterwards


def test_changed_file_is_decoded_again(tiny: Callable[..., TrialConfig], image_folder: Path) -> None:
    config = folder_config(tiny, image_folder)
    first = load_data(config)
    Image.fromarray(noise(30, 30, 999)).save(image_folder / "train" / "cat" / "1.png")
    data = load_data(config)
    assert data.checksum != first.checksum
    assert keys(data.train, data.validation) == decoded(image_folder / "train", 12)


def test_added_file_is_decoded(tiny: Callable[..., TrialConfig], image_folder: Path) -> None:
    config = folder_config(tiny, image_folder)
    load_data(config)
    Image.fromarray(noise(30, 30, 999)).save(image_folder / "test" / "dog" / "new.png")
    assert keys(load_data(config).test) == decoded(image_folder / "test", 12)


@pytest.mark.parametrize("content", [b"", b"no image", "half"])
def test_unreadable_image_is_named(tiny: Callable[..., TrialConfig], image_folder: Path, content: bytes | str) -> None:
    broken = image_folder / "train" / "dog" / "4.JPEG"
    broken.write_bytes(content if isinstance(content, bytes) else broken.read_bytes()[: broken.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"cannot read the image .*train/dog/4\.JPEG"):
        load_data(folder_config(tiny, image_folder))
    assert cache_files() == {}  # nothing half-written is left


def test_image_too_large_to_decode_is_named(tiny: Callable[..., TrialConfig], image_folder: Path) -> None:
    Image.new("1", (14_000, 14_000)).save(image_folder / "train" / "dog" / "huge.png")
    with pytest.raises(ValueError, match=r"cannot read the image .*huge\.png"):
        load_data(folder_config(tiny, image_folder))


def test_missing_folder_is_named(tiny: Callable[..., TrialConfig], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no image folder at .*/nowhere: it needs train/<class>/ .*digits"):
        load_data(folder_config(tiny, tmp_path / "nowhere"))


def test_single_class_is_refused(tiny: Callable[..., TrialConfig], image_folder: Path) -> None:
    for split in ("train", "test"):
        (image_folder / split / "dog").rename(image_folder / f"dog {split}")
    with pytest.raises(ValueError, match=r"train has 1 class folders; at least 2"):
        load_data(folder_config(tiny, image_folder))


def test_empty_class_is_named(tiny: Callable[..., TrialConfig], image_folder: Path) -> None:
    for path in (image_folder / "test" / "dog").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"no images \(\.jpg, .*\) of dog in .*test"):
        load_data(folder_config(tiny, image_folder))


# On another machine than the one that loaded the data.


def test_files_that_are_here_are_not_made_again(tiny: Callable[..., TrialConfig], image_folder: Path) -> None:
    config = folder_config(tiny, image_folder)
    data = pickle.loads(pickle.dumps(load_data(config)))
    assert available_here(data, config) is data


@pytest.mark.parametrize("damage", [Path.unlink, flip_a_pixel], ids=["missing", "damaged"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_files_that_are_missing_here_are_made(
    tiny: Callable[..., TrialConfig], image_folder: Path, damage: Callable[[Path], None], split: str
) -> None:
    config = folder_config(tiny, image_folder)
    first = load_data(config)
    expected = [(pixels(part), part.labels) for part in (first.train, first.validation, first.test)]
    content = pickle.dumps(first)
    (cached,) = cache_dir().glob(f"{split}-*.npy")
    damage(cached)
    found = available_here(pickle.loads(content), config)
    assert cached.exists() and found.checksum == first.checksum
    for part, (images, labels) in zip((found.train, found.validation, found.test), expected, strict=True):
        assert np.array_equal(pixels(part), images) and np.array_equal(part.labels, labels)


def test_other_images_here_are_refused(
    tiny: Callable[..., TrialConfig], image_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = folder_config(tiny, image_folder)
    content = pickle.dumps(load_data(config))
    Image.fromarray(noise(30, 30, 999)).save(image_folder / "train" / "cat" / "1.png")
    for path in cache_dir().glob("*.npy"):
        path.unlink()
    with pytest.raises(ValueError, match=r"the images in .*/images on .* are not those that were loaded first"):
        available_here(pickle.loads(content), config)
    (image_folder / "train").rename(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"on .*: no image folder at .*/images"):
        available_here(pickle.loads(content), config)


def test_images_in_memory_are_always_here(tiny: Callable[..., TrialConfig]) -> None:
    data = load_data(tiny())
    assert available_here(data, tiny()) is data


# CIFAR-10.


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ImageSet, ImageSet]:
    """CIFAR-10's files with a hundred training and fifty test images of noise, whose checksums torchvision accepts."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (150, 3, 32, 32), dtype=np.uint8)
    labels = np.tile(np.arange(10), 15)

    def write(name: str, content: dict[str, object]) -> tuple[str, str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return name, hashlib.md5((folder / name).read_bytes()).hexdigest()

    def batch(name: str, rows: slice) -> tuple[str, str]:
        return write(name, {"data": images[rows].reshape(-1, 3072), "labels": labels[rows].tolist()})

    loader = torchvision_datasets.CIFAR10
    train_list = [batch(f"data_batch_{n + 1}", slice(20 * n, 20 * n + 20)) for n in range(5)]
    names = [f"class {k}" for k in range(10)]
    meta_name, meta_md5 = write("batches.meta", {"label_names": names})
    monkeypatch.setattr(loader, "train_list", train_list)
    monkeypatch.setattr(loader, "test_list", [batch("test_batch", slice(100, 150))])
    monkeypatch.setattr(loader, "meta", {"filename": meta_name, "key": "label_names", "md5": meta_md5})
    monkeypatch.setattr(loader, "url", "http://127.0.0.1:9/")
    return tmp_path, ImageSet(images[:100], labels[:100]), ImageSet(images[100:], labels[100:])


@pytest.mark.parametrize("size", [32, 16])
def test_cifar10_is_read_from_its_files(
    tiny: Callable[..., TrialConfig], cifar10: tuple[Path, ImageSet, ImageSet], size: int
) -> None:
    root, train, test = cifar10
    config = tiny(dataset="cifar10", data_root=str(root), image_size=size, validation_fraction=0.2, eval_samples=None)
    data = load_data(config)
    assert keys(data.train, data.validation) == keys(resized(train, size))
    assert keys(data.test) == keys(resized(test, size))
    assert data.class_names == tuple(f"class {k}" for k in range(10)) and len(data.validation.labels) == 20


def resized(images: ImageSet, size: int) -> ImageSet:
    pixels = [Image.fromarray(one.transpose(1, 2, 0)) for one in images.images[:]]
    small = [np.asarray(one.resize((size, size), Image.Resampling.BILINEAR)) for one in pixels]
    return ImageSet(np.stack(small).transpose(0, 3, 1, 2), images.labels)


def test_damaged_cifar10_is_refused(tiny: Callable[..., TrialConfig], cifar10: tuple[Path, ImageSet, ImageSet]) -> None:
    root, _, _ = cifar10
    flip_a_pixel(root / "cifar-10-batches-py" / "data_batch_3")
    with pytest.raises(ValueError, match="cifar10 is not in"):
        load_data(tiny(dataset="cifar10", data_root=str(root), image_size=32))


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_missing_cifar_names_the_path_and_an_alternative(
    tiny: Callable[..., TrialConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str
) -> None:
    monkeypatch.setattr(getattr(torchvision_datasets, dataset.upper()), "url", "http://127.0.0.1:9/")
    config = tiny(dataset=dataset, data_root=str(tmp_path / "empty"), image_size=32)
    with pytest.raises(ValueError, match=rf"{dataset} is not in {tmp_path}/empty and .*digits needs no download"):
        load_data(config)
