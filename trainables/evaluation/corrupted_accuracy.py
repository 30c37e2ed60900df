"""Accuracy on test images with common corruptions, of which no attacker chose the worst."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.data.corruptions import (
    GENERATED_CORRUPTIONS,
    NUM_SEVERITIES,
    OFFICIAL_CORRUPTIONS,
    generated_images,
    official_images,
    require_official_files,
)
from trainables.data.datasets import ImageSet, TrialData
from trainables.evaluation.probe import ProbedClassifier, to_pixels
from trainables.evaluation.robust_accuracy import evaluation_batch, predicted
from trainables.trial_config import CORRUPTED_FOLDERS, TrialConfig

IMAGES_AT_ONCE = 500  # that are corrupted; the draws of noise depend on it


def corrupted_accuracies(
    classifier: ProbedClassifier, data: TrialData, split: str, config: TrialConfig
) -> dict[str, float]:
    """Accuracy in percent on corrupted images, by corruption and over all of them, each time over all severities.

    Args:
        classifier: in evaluation mode.
        data: images of the trial; those of ``split`` are corrupted, as ``config.eval_corruptions`` says.
        split: ``val`` or ``test``.
        config: of the trial.

    Returns:
        ``{"test_corrupted": percent, "test_corrupted_shot_noise": percent, ...}``; the first is the mean of the others.
    """
    names = GENERATED_CORRUPTIONS if config.eval_corruptions == "generated" else OFFICIAL_CORRUPTIONS
    found = {
        f"{split}_corrupted_{name}": _mean_over_severities(classifier, data, split, name, config) for name in names
    }
    return {f"{split}_corrupted": sum(found.values()) / len(found)} | found


def require_corrupted_images(config: TrialConfig, data: TrialData) -> None:
    """Raises ``ValueError`` if ``config`` needs official files that are not there or are of other images."""
    if config.eval_corruptions == "files":
        require_official_files(official_folder(config), data.test_rows, data.test.labels)


def official_folder(config: TrialConfig) -> Path:
    """Where the official files are expected: beside the images that were corrupted."""
    dataset, root = config.probed_data
    return Path(root) / CORRUPTED_FOLDERS[dataset]


@torch.no_grad()
def _mean_over_severities(
    classifier: ProbedClassifier, data: TrialData, split: str, corruption: str, config: TrialConfig
) -> float:
    device = next(classifier.parameters()).device
    part = data.validation if split == "val" else data.test
    num_correct = 0
    for severity in range(1, NUM_SEVERITIES + 1):
        classifier.redraw_for("corrupted", split, corruption, severity)
        for images, labels in _corrupted(part, data.test_rows, split, corruption, severity, config):
            size = evaluation_batch(classifier)
            for batch, targets in zip(images.split(size), labels.split(size), strict=True):
                found = predicted(classifier, to_pixels(batch, device))
                num_correct += int((found == targets.to(device)).sum())
    return 100 * num_correct / (NUM_SEVERITIES * len(part.labels))


def _corrupted(
    part: ImageSet, rows: np.ndarray, split: str, corruption: str, severity: int, config: TrialConfig
) -> Iterator[tuple[Tensor, Tensor]]:
    """Some images at a time, with their labels."""
    images, labels = part.tensors()
    for start in range(0, len(labels), IMAGES_AT_ONCE):
        chosen = slice(start, start + IMAGES_AT_ONCE)
        if config.eval_corruptions == "generated":
            corrupted = generated_images(images[chosen], corruption, severity, split, start)
        else:
            corrupted = official_images(official_folder(config), corruption, severity, rows[chosen])
        yield corrupted, labels[chosen]
