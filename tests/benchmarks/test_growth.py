"""What the benchmark of growth says, on parts that are cheap."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.growth import describe, peak_memory, seconds_per_pass, stored
from trainables.memory import least_training_bytes
from trainables.pretraining.pretrain import Pretraining
from trainables.trial_config import TrialConfig

TINY = TrialConfig(
    dataset="digits", image_size=8, encoder="resnet_narrow", projector_hidden_dim=16, projector_dim=8, batch_size=5,
    num_views=2, epochs=9,
)  # fmt: skip


def test_shares_are_of_the_mean() -> None:
    assert describe("views", {2: 1e-3, 4: 3e-3})[2:4] == ["| 2 | 1000 | 0.50 |", "| 4 | 3000 | 1.50 |"]


def test_every_training_takes_each_turn(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 3, 8, 8), dtype=np.uint8)
    files = {n: stored(images, n, tmp_path) for n in (10, 25)}
    trainings = {n: Pretraining(TINY, file, torch.device("cpu")) for n, file in files.items()}
    found = seconds_per_pass(trainings, rounds=2)
    assert list(found) == [10, 25] and min(found.values()) > 0
    assert [training.batches_done for training in trainings.values()] == [3, 3]
    assert len(files[25]) == 25


@pytest.mark.slow
def test_a_process_needs_at_least_what_was_told() -> None:
    config = TINY.replace(num_views=16, batch_size=40, image_size=16)
    least = least_training_bytes(Pretraining(config, torch.zeros(40, 3, 16, 16), torch.device("cpu")).encoder, config)
    assert least < peak_memory(config) < 4 * least + 2**26
