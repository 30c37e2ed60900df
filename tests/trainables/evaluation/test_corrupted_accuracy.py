"""Accuracy on corrupted images: each corruption at each severity is of the images that it says, and counts alike."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data.corruptions import (
    GENERATED_CORRUPTIONS,
    NUM_SEVERITIES,
    OFFICIAL_CORRUPTIONS,
    generated_images,
)
from trainables.data.datasets import TrialData, load_data
from trainables.evaluation import corrupted_accuracy
from trainables.evaluation.corrupted_accuracy import corrupted_accuracies
from trainables.evaluation.probe import ProbedClassifier
from trainables.trial import require_fitting
from trainables.trial_config import TrialConfig


class Pixels(nn.Module):
    """Features that are the pixels."""

    def features(self, images: Tensor, layer: str) -> Tensor:
        return images.flatten(1)


def ridge_classifier(config: TrialConfig, data: TrialData) -> ProbedClassifier:
    """Linear in the pixels, fitted by least squares."""
    images, labels = data.train.tensors()
    pixels = images[:].flatten(1).double() / 255
    head = nn.Linear(pixels.shape[1], 10)
    gram = pixels.T @ pixels + torch.eye(pixels.shape[1])
    with torch.no_grad():
        head.weight.copy_(torch.linalg.solve(gram, pixels.T @ functional.one_hot(labels, 10).double()).T)
        head.bias.zero_()
    return ProbedClassifier(Pixels(), head, config).eval().requires_grad_(False)  # type: ignore[arg-type]


@pytest.mark.parametrize("split", ["val", "test"])
def test_generated_images_are_classified(
    tiny: Callable[..., TrialConfig], monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    monkeypatch.setattr(corrupted_accuracy, "IMAGES_AT_ONCE", 30)
    config = tiny(eval_corruptions="generated")
    data = load_data(config)
    classifier = ridge_classifier(config, data)
    found = corrupted_accuracies(classifier, data, split, config)
    images, labels = (data.validation if split == "val" else data.test).tensors()
    expected = {}
    for name in GENERATED_CORRUPTIONS:
        right = []
        for severity in range(1, NUM_SEVERITIES + 1):
            parts = [generated_images(images[start : start + 30], name, severity, split, start) for start in (0, 30)]
            logits = classifier(torch.cat(parts).float() / 255)
            right.append((logits.argmax(dim=1) == labels).float().mean())
        expected[f"{split}_corrupted_{name}"] = 100 * float(np.mean(right))
    assert found == pytest.approx({f"{split}_corrupted": np.mean(list(expected.values()))} | expected)
    assert len(set(found.values())) > 3 and min(found.values()) > 30


def test_official_images_are_those_of_the_evaluated_test_images(
    tiny: Callable[..., TrialConfig], tmp_path: Path
) -> None:
    """Files in which only fog is harmless, and only at severity 2: there, the images are as they are."""
    source = tiny(image_size=32, eval_samples=None, train_images=200)
    config = tiny(dataset="cifar10", data_root=str(tmp_path), image_size=32, eval_corruptions="files")
    everything, data = load_data(source), load_data(source.replace(eval_samples=10))
    inverse = np.argsort(everything.test_rows)
    images, labels = everything.test.images[inverse], everything.test.labels[inverse]  # type: ignore[index]
    assert np.array_equal(images[data.test_rows], data.test.images)
    folder = tmp_path / "CIFAR-10-C"
    folder.mkdir()
    black = np.zeros((NUM_SEVERITIES, len(labels), 32, 32, 3), dtype=np.uint8)
    for name in OFFICIAL_CORRUPTIONS:
        corrupted = black.copy()
        if name == "fog":
            corrupted[1] = images.transpose(0, 2, 3, 1)
        np.save(folder / f"{name}.npy", corrupted.reshape(-1, 32, 32, 3))
    np.save(folder / "labels.npy", np.tile(labels, NUM_SEVERITIES).astype(np.uint8))
    require_fitting(config, data)
    classifier = ridge_classifier(config, data)
    found = corrupted_accuracies(classifier, data, "test", config)
    targets = torch.from_numpy(data.test.labels)
    on_black = 100 * float((classifier(torch.zeros(1, 3, 32, 32)).argmax() == targets).float().mean())
    clean = 100 * float((classifier(data.test.tensors()[0].float() / 255).argmax(dim=1) == targets).float().mean())
    assert clean != on_black
    expected = {f"test_corrupted_{name}": on_black for name in OFFICIAL_CORRUPTIONS}
    expected["test_corrupted_fog"] = (4 * on_black + clean) / 5
    assert found == pytest.approx(expected | {"test_corrupted": np.mean(list(expected.values()))})
    with pytest.raises(ValueError, match="are not those of the test images"):
        require_fitting(config, replace(data, test_rows=np.roll(data.test_rows, 1)))
