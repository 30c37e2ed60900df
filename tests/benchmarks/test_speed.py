"""The speed benchmarks measure what they say: on tiny inputs, every part runs and its numbers fit together."""

import re

import numpy as np
import pytest
import torch

from benchmarks.evaluation import compare
from benchmarks.step import Comparison, WatchedPretraining, compare_steps, take_turns
from benchmarks.views import OURS, PIL, largest_difference, makers, rates
from trainables.pretrain import Pretraining
from trainables.trial_config import PRESETS, TrialConfig

CPU = torch.device("cpu")
TINY = TrialConfig(
    dataset="digits", image_size=8, num_views=2, batch_size=6, encoder="resnet_narrow", projector_hidden_dim=16,
    projector_dim=8, epochs=2,
)  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 3, 8, 8), dtype=np.uint8)


def test_sides_take_turns_and_the_ratio_is_of_medians() -> None:
    order: list[str] = []
    compared = take_turns(lambda: order.append("ours"), lambda: order.append("plain"), 2)
    assert order == ["ours", "plain", "ours", "plain", "plain", "ours"]
    assert len(compared.ours) == len(compared.plain) == 2
    told = Comparison([1.0, 2.0, 3.0], [4.0, 8.0, 12.0]).describe()
    assert told == "ours 2.00 s, plain 8.00 s: 4.00x (quartiles 4.00 to 4.00)"


@pytest.mark.parametrize("adversary", ["free", "pgd"])
def test_watching_changes_no_number_and_misses_no_time(adversary: str) -> None:
    config = TINY.replace(adversary=adversary)
    watched, plain = (kind(config, torch.from_numpy(IMAGES), CPU) for kind in (WatchedPretraining, Pretraining))
    plain.encoder.train()
    for _ in range(2):
        watched.train_batch()
        plain.train_batch()
    assert watched.mean_loss() == plain.mean_loss()
    assert min(watched.watch.seconds.values()) > 0
    assert set(watched.watch.seconds) == {"views", "forward", "loss", "backward", "optimiser", "perturbation"}


def test_a_step_is_told_part_by_part() -> None:
    lines = compare_steps(TINY.replace(adversary="pgd"), IMAGES, CPU, repeats=1)
    assert re.match(r"\*\*PGD-5, an update\*\*: ours .* plain .*x \(quartiles", lines[0])
    assert [line.split(" | ")[0] for line in lines[4:10]] == [
        "| views", "| forward", "| loss", "| backward", "| optimiser", "| perturbation",
    ]  # fmt: skip
    assert "TFLOP/s" in lines[-1]


def test_all_makers_make_as_many_views() -> None:
    named = makers(IMAGES, TINY)
    assert {OURS, PIL} <= set(named)
    assert len(named[OURS]().flatten(0, 1)) == len(named[PIL]()) == 24
    assert min(min(values) for values in rates(named, 24, repeats=1).values()) > 0
    assert largest_difference(IMAGES, TINY) <= 1.01


def test_an_evaluation_of_ours_leaves_no_more_standing_than_plain() -> None:
    config = TrialConfig(**PRESETS["laptop"] | TINY.model_dump(exclude_unset=True)).replace(
        train_images=300, eval_samples=20, eval_pgd_steps=3, eval_radii_255=(4.0, 8.0), probe_epochs=1, batch_size=50
    )
    *_, attacked, autoattacked = compare(config, CPU, repeats=1, num_autoattack=10)
    assert attacked.startswith("| clean and PGD-3 at 4, 8 / 255 | ours ")
    for line in (attacked, autoattacked):
        pairs = re.findall(r"([\d.]+) / ([\d.]+)", line.rpartition(" | ")[2])
        assert pairs and all(float(ours) <= float(plain) for ours, plain in pairs)
