"""Encoders: shapes, stems, seeds."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trainables.pretraining.encoders import build_encoder
from trainables.trial_config import TrialConfig


def views(num_views: int, size: int) -> Tensor:
    return torch.rand(num_views, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "feature_dim"), [("resnet_narrow", 64), ("resnet18", 512), ("resnet50", 2048)])
def test_shapes_and_unit_norm(tiny: Callable[..., TrialConfig], name: str, feature_dim: int) -> None:
    encoder = build_encoder(tiny(encoder=name, projector_hidden_dim=24, projector_dim=12), 0)
    assert encoder.layer_dims == {"backbone": feature_dim, "hidden": 24}
    with torch.no_grad():
        projected = encoder(views(4, 8))
        assert encoder.features(views(4, 8), "backbone").shape == (4, feature_dim)
        hidden = encoder.features(views(4, 8), "hidden")
    assert projected.shape == (4, 12) and projected.dtype == torch.float32
    torch.testing.assert_close(projected.norm(dim=1), torch.ones(4), rtol=0, atol=1e-5)
    assert hidden.shape == (4, 24) and float(hidden.min()) >= 0  # behind the ReLU


@pytest.mark.parametrize("bf16", [False, True])
def test_outputs_are_fp32_under_autocast(tiny: Callable[..., TrialConfig], bf16: bool) -> None:
    encoder = build_encoder(tiny(), 0).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        assert encoder(views(4, 8)).dtype == torch.float32
        assert encoder.features(views(4, 8), "hidden").dtype == torch.float32


def test_small_images_keep_their_resolution_in_the_stem() -> None:
    backbone = build_encoder(TrialConfig(encoder="resnet18", image_size=64), 0).backbone
    assert backbone.conv1.kernel_size == (3, 3) and backbone.conv1.stride == (1, 1)
    assert isinstance(backbone.maxpool, nn.Identity) and isinstance(backbone.fc, nn.Identity)
    assert backbone.conv1(views(1, 64)).shape == (1, 64, 64, 64)


def test_large_images_get_the_imagenet_stem() -> None:
    backbone = build_encoder(TrialConfig(encoder="resnet18", image_size=65), 0).backbone
    assert backbone.conv1.kernel_size == (7, 7) and backbone.conv1.stride == (2, 2)
    assert isinstance(backbone.maxpool, nn.MaxPool2d)


@pytest.mark.parametrize(("stem", "image_size", "kernel"), [("small", 96, 3), ("imagenet", 32, 7)])
def test_the_stem_can_be_chosen(stem: str, image_size: int, kernel: int) -> None:
    backbone = build_encoder(TrialConfig(encoder="resnet18", image_size=image_size, stem=stem), 0).backbone
    assert backbone.conv1.kernel_size == (kernel, kernel)
    assert isinstance(backbone.maxpool, nn.Identity if stem == "small" else nn.MaxPool2d)


def test_paper_projector() -> None:
    encoder = build_encoder(TrialConfig(), 0)
    layers = [*encoder.hidden, *encoder.projection]
    assert [type(layer).__name__ for layer in layers] == [
        "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"
    ]  # fmt: skip
    linear = [(layer.in_features, layer.out_features) for layer in layers if isinstance(layer, nn.Linear)]
    assert linear == [(512, 4096), (4096, 4096), (4096, 1024)]


@pytest.mark.usefixtures("global_rng_untouched")
def test_weights_are_a_function_of_the_seed(tiny: Callable[..., TrialConfig]) -> None:
    first, again, other = (build_encoder(tiny(), seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["backbone.stem.0.weight"], other["backbone.stem.0.weight"])
    assert not torch.equal(first["projection.3.weight"], other["projection.3.weight"])
