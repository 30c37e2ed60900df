"""What is told about memory before a training begins."""

import resource
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from trainables.memory import activation_bytes_per_view, available_bytes, least_training_bytes, require_memory
from trainables.pretraining.encoders import HeadedEncoder, build_encoder
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")
TINY = TrialConfig(
    dataset="digits", image_size=8, encoder="resnet_narrow", projector_hidden_dim=16, projector_dim=8, batch_size=10
)  # fmt: skip


def test_activations_of_a_network_that_can_be_counted_by_hand() -> None:
    """Kept are the input of the first layer and the output of the ReLU, which is the input of the second layer."""
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * 2 * 2, 5), nn.ReLU())
    encoder = HeadedEncoder(backbone, 5, 2)
    assert activation_bytes_per_view(encoder, TINY.model_copy(update={"image_size": 2})) == 4 * (12 + 5)


def test_least_memory_is_linear_in_the_views_of_a_batch() -> None:
    encoder = build_encoder(TINY, 0)
    few, more = (least_training_bytes(encoder, TINY.replace(num_views=views)) for views in (4, 8))
    most = least_training_bytes(encoder, TINY.replace(num_views=4, batch_size=30))
    assert most - few == 2 * (more - few) == 80 * activation_bytes_per_view(encoder, TINY)


def test_half_precision_keeps_less() -> None:
    encoder = build_encoder(TINY, 0)
    half = activation_bytes_per_view(encoder, TINY.replace(precision="bf16"))
    assert 0.4 < half / activation_bytes_per_view(encoder, TINY) < 0.9


def test_what_cannot_fit_is_said_before_it_begins() -> None:
    require_memory(build_encoder(TINY, 0), TINY, CPU)
    huge = TINY.replace(num_views=256, batch_size=10**7)
    with pytest.raises(
        MemoryError, match=r"256 views of 10000000 images need at least [0-9.]+ GiB in training, cpu has"
    ):
        require_memory(build_encoder(huge, 0), huge, CPU)


def test_a_share_of_a_gpu_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=8 * 2**30))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 0.25)
    assert available_bytes(torch.device("cuda")) == 2 * 2**30


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")
def test_a_cap_of_the_process_counts() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (2**34, before[1]))
        assert available_bytes(CPU) <= 2**34
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
