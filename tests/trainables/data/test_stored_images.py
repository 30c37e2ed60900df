"""Images in a file against the same images in memory; what a pickle of them holds and finds again."""

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.data.datasets import ImageSet, TrialData, load_data
from trainables.data.stored_images import ImageFile, StoredImages
from trainables.evaluation.probe_training import train_probe
from trainables.pretraining.pretrain import Pretraining
from trainables.trial import FinalReport, InterimReport, run_trial
from trainables.trial_config import TrialConfig


@pytest.fixture
def path(tmp_path: Path, noise_images: Tensor) -> Path:
    np.save(tmp_path / "images.npy", noise_images.numpy())
    return tmp_path / "images.npy"


@pytest.fixture
def stored(path: Path) -> StoredImages:
    return StoredImages(ImageFile(path), np.arange(20))


def copy_of(stored: StoredImages) -> StoredImages:
    return pickle.loads(pickle.dumps(stored))


@pytest.mark.parametrize(
    "chosen",
    [slice(None), slice(7), slice(3, 11, 2), slice(-2, None), slice(0), torch.tensor([19, 0, 5, 5]), torch.arange(0)],
    ids=str,
)
def test_indexing_equals_that_of_a_tensor(stored: StoredImages, noise_images: Tensor, chosen: slice | Tensor) -> None:
    found = stored[chosen]
    assert found.dtype == torch.uint8 and torch.equal(found, noise_images[chosen])
    found.zero_()  # belongs to the reader alone
    assert torch.equal(stored[chosen], noise_images[chosen])


@pytest.mark.parametrize("row", [-1, 20])
def test_a_row_that_the_file_does_not_have_is_refused(stored: StoredImages, row: int) -> None:
    with pytest.raises(IndexError, match=rf"images\.npy has no row {row}: it holds 20 images"):
        stored.file.read(np.array([0, row]))


@pytest.mark.parametrize("size", [1, 8, 20, 100])
def test_splitting_equals_that_of_a_tensor(stored: StoredImages, noise_images: Tensor, size: int) -> None:
    for found, expected in zip(stored.split(size), noise_images.split(size), strict=True):
        assert torch.equal(found, expected)


def test_narrowing_twice_is_narrowing_to_rows_of_rows(stored: StoredImages, noise_images: Tensor) -> None:
    rows = np.array([4, 4, 17, 0, 9])
    narrowed = stored.narrowed(rows).narrowed(slice(1, 4))
    assert len(narrowed) == 3
    assert torch.equal(narrowed[:], noise_images[rows[1:4]])
    assert torch.equal(narrowed[torch.tensor([2, 0])], noise_images[[0, 4]])


def test_splitting_reads_when_asked_for(stored: StoredImages, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    file_read = ImageFile.read
    monkeypatch.setattr(ImageFile, "read", lambda file, rows: read.append(len(rows)) or file_read(file, rows))
    parts = stored.split(8)
    assert read == []
    next(parts)
    assert read == [8]


# Pickles.


def test_a_pickle_holds_rows_and_no_pixels(path: Path) -> None:
    np.save(path, np.random.default_rng(0).integers(0, 256, (50, 3, 64, 64), dtype=np.uint8))
    stored = StoredImages(ImageFile(path), np.arange(50)[::-1])
    assert len(pickle.dumps(stored)) < 1000 + 8 * 50
    assert torch.equal(copy_of(stored)[:], stored[:])


def test_what_was_verified_is_not_read_through_again(stored: StoredImages, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, content = stored[:], pickle.dumps(stored)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read through again"))
    assert torch.equal(pickle.loads(content)[:], expected)


def test_another_file_of_the_name_is_verified(stored: StoredImages, path: Path) -> None:
    content, pixels = pickle.dumps(stored), stored[:].numpy()
    path.unlink()
    assert not pickle.loads(content).file.is_here()
    np.save(path, pixels)
    assert torch.equal(pickle.loads(content)[:], torch.from_numpy(pixels))
    np.save(path, pixels[::-1])
    assert not pickle.loads(content).file.is_here()
    with pytest.raises(ValueError, match=r"the pixels in .*images\.npy are not those that were written"):
        pickle.loads(content)[:]


def test_an_open_file_is_read_though_it_was_replaced(stored: StoredImages, path: Path) -> None:
    expected = stored[:]
    path.unlink()
    np.save(path, np.zeros((20, 3, 8, 8), dtype=np.uint8))
    assert torch.equal(stored[:], expected)


def test_a_file_that_is_cut_short_raises(stored: StoredImages, path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)
    assert len(stored[:19]) == 19
    with pytest.raises(OSError, match="has become shorter"):
        stored[:]


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3, 8, 8)), np.zeros((2, 3), dtype=np.uint8), np.zeros((2, 3, 8, 8), np.uint8, order="F")]
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "other.npy", array)
    with pytest.raises(ValueError, match=r"not an \.npy file of images"):
        ImageFile(tmp_path / "other.npy")


def test_descriptors_are_given_back(path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        copy_of(StoredImages(ImageFile(path), np.arange(20)))[:3]
    assert len(os.listdir("/dev/fd")) == before


# Trials.


def in_memory(data: TrialData) -> TrialData:
    """The same images as arrays, read by NumPy."""

    def loaded(part: ImageSet) -> ImageSet:
        assert isinstance(part.images, StoredImages)
        return ImageSet(np.load(part.images.file.path)[part.images.rows], part.labels)

    return TrialData(loaded(data.train), loaded(data.validation), loaded(data.test), data.class_names, data.checksum)


def trial_results(config: TrialConfig, data: TrialData) -> tuple[list[Any], dict[str, Tensor], dict[str, np.ndarray]]:
    """Metrics of all reports, weights and flags."""
    metrics: list[Any] = []
    for report in run_trial(config, data, torch.device("cpu"), milestones=(1,)):
        if isinstance(report, InterimReport | FinalReport):
            metrics.append({k: v for k, v in report.metrics.items() if not k.endswith("_seconds")})
    assert isinstance(report, FinalReport)
    return metrics, report.classifier.state_dict(), report.flags


@pytest.mark.parametrize(
    "changes",
    [
        {"probe": "robust_central", "adversary": "free"},
        {"probe": "central", "adversary": "pgd", "eval_autoattack_samples": 4},
        {"probe": "n_views", "probe_views": 3, "adversary": "none"},
        {"method": "supervised", "probe": "own_head", "num_views": 1, "adversary": "none"},
    ],
    ids=lambda changes: changes["probe"],
)
def test_a_trial_on_a_file_equals_one_in_memory(
    tiny: Callable[..., TrialConfig],
    make_photographs: Callable[[Path, int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = {
        "dataset": "imagefolder", "data_root": str(make_photographs(tmp_path / "photographs", 4)), "image_size": 12,
        "validation_fraction": 0.25, "eval_samples": None, "num_views": 2, "eval_pgd_steps": 2, "rung_images": 20,
        "rung_probe_epochs": 1, "eval_restarts": 2, "pgd_steps": 2, "replays": 2, "epochs": 1,
    }  # fmt: skip
    config = tiny(**(settings | changes))
    data = load_data(config)
    found, expected = trial_results(config, pickle.loads(pickle.dumps(data))), trial_results(config, in_memory(data))
    assert found[0] == expected[0]
    for first, second in zip(found[1:], expected[1:], strict=True):
        assert first.keys() == second.keys()
        assert all(np.array_equal(np.asarray(first[name]), np.asarray(second[name])) for name in first)


def test_resnet18_at_224_pixels_is_updated_and_probed(tiny: Callable[..., TrialConfig], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.save(tmp_path / "large.npy", random.integers(0, 256, (4, 3, 224, 224), dtype=np.uint8))
    stored = StoredImages(ImageFile(tmp_path / "large.npy"), np.arange(4))
    config = tiny(
        dataset="imagefolder", encoder="resnet18", image_size=224, num_views=2, batch_size=4, adversary="none",
        probe="central", epochs=1,
    )  # fmt: skip
    pretraining = Pretraining(config, stored, torch.device("cpu"))
    forward = 2 * 1.814e9  # the multiply-adds that torchvision states for ResNet-18 with the ImageNet stem
    assert pretraining.pass_cost.update == pytest.approx(3 * forward, rel=0.03)  # less the gradient of the input
    before = pretraining.encoder.backbone.conv1.weight.detach().clone()
    assert before.shape == (64, 3, 7, 7)
    assert len(list(pretraining.run())) == 1 and np.isfinite(pretraining.mean_loss())
    assert not torch.equal(pretraining.encoder.backbone.conv1.weight, before)
    classifier = train_probe(pretraining.encoder, stored, torch.tensor([0, 1, 0, 1]), 2, config, num_epochs=1)
    assert classifier.head.weight.isfinite().all()
