"""The speed benchmarks measure what they say: on tiny inputs, every part runs and its numbers fit together."""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from benchmarks.sides import Comparison, Jobs, format_seconds, side, take_turns
from benchmarks.step import WatchedPretraining, compare_steps
from benchmarks.views import OURS, PIL, largest_difference, makers, rates
from trainables.pretraining.pretrain import Pretraining
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")
TINY = TrialConfig(
    dataset="digits", image_size=8, num_views=2, batch_size=6, encoder="resnet_narrow", projector_hidden_dim=16,
    projector_dim=8, epochs=2,
)  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 3, 8, 8), dtype=np.uint8)


def test_sides_take_turns_and_the_ratio_is_of_medians() -> None:
    order: list[str] = []
    compared = take_turns(lambda: order.append("ours") or 1, lambda: order.append("plain") or 2, 2)
    assert order == ["ours", "plain", "ours", "plain", "plain", "ours"]
    assert len(compared.ours) == len(compared.plain) == 2 and compared.results == {"ours": 1, "plain": 2}
    told = Comparison([1.0, 2.0, 3.0], [4.0, 8.0, 12.0]).describe()
    assert told == "ours 2.00 s, plain 8.00 s: 4.00x (quartiles 4.00 to 4.00)"
    assert [format_seconds(seconds) for seconds in (0, 0.0123456, 0.5, 0.123456)] == [
        "–",
        "12.3 ms",
        "500 ms",
        "123 ms",
    ]


@contextmanager
def counting(first: int) -> Iterator[Jobs]:
    count = itertools.count(first)
    yield {"count": lambda: next(count), "process": os.getpid, "add": int.__add__, "fail": lambda: 1 / 0}


@pytest.mark.slow
def test_a_side_works_in_a_process_of_its_own_and_keeps_its_state() -> None:
    with side(counting, 5) as one, side(counting, 7) as other:
        assert [one.do("count"), other.do("count"), one.do("count")] == [5, 7, 6]
        assert len({os.getpid(), one.do("process"), other.do("process")}) == 3
        assert one.do("add", 2, 3) == 5
        with pytest.raises(EOFError):
            other.do("fail")


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


@pytest.mark.slow
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
