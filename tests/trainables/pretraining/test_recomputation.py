"""Activation checkpointing changes memory, and no number."""

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainables.memory import activation_bytes_per_view
from trainables.pretraining.encoders import build_encoder
from trainables.pretraining.pretrain import Pretraining
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")


@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("adversary", ["free", "pgd"])
def test_recomputed_blocks_give_the_same_numbers(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, monkeypatch: pytest.MonkeyPatch, adversary: str,
    is_compiled: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    trained = []
    for activation_checkpointing in (False, True):
        config = tiny(adversary=adversary, compile=is_compiled, activation_checkpointing=activation_checkpointing)
        training = Pretraining(config, noise_images, CPU)
        next(training.run())
        trained.append(training)
    plain, recomputed = (one.encoder.state_dict() for one in trained)  # running statistics and their counts included
    assert list(plain) == list(recomputed)
    assert all(torch.equal(plain[name], recomputed[name]) for name in plain)
    assert trained[0].train_pflop == trained[1].train_pflop
    assert trained[0].config.content_hash() == trained[1].config.content_hash()


def test_blocks_keep_their_inputs_alone(tiny: Callable[..., TrialConfig]) -> None:
    plain, recomputed = (
        activation_bytes_per_view(build_encoder(config, 0), config)
        for config in (tiny(), tiny(activation_checkpointing=True))
    )
    inputs = 4 * (16 * 8 * 8 + 16 * 8 * 8 + 32 * 4 * 4)  # of the three blocks: float32, channels x height x width
    assert inputs < recomputed < 0.6 * plain
