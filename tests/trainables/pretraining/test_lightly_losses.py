"""Losses and their gradients against what the package lightly gave for the same outputs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from benchmarks.lightly_losses import CASES, drawn
from trainables.pretraining.methods import METHODS
from trainables.pretraining.ssl_losses import ssl_loss
from trainables.trial_config import TrialConfig

RECORDED = json.loads(Path(__file__).with_name("lightly_losses.json").read_text())["cases"]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['method']}-{case['images']}x{case['dim']}")
def test_losses_are_those_of_lightly(tiny: Callable[..., TrialConfig], case: dict[str, Any]) -> None:
    config = tiny(method=case["method"], num_views=2, **case["fields"])
    outputs, targets, direction = drawn(case["images"], case["dim"])
    outputs.requires_grad_()
    given = outputs, targets
    if METHODS[config.method].normalises:
        given = functional.normalize(outputs, dim=2), functional.normalize(targets, dim=2)
    loss = ssl_loss(given[0], config, given[1])
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert loss.item() == pytest.approx(case["loss"], rel=1e-6)
    assert float((gradient * direction).sum()) == pytest.approx(case["slope"], rel=1e-5)
    assert float(gradient.norm()) == pytest.approx(case["gradient_norm"], rel=1e-5)


def test_every_case_has_been_recorded() -> None:
    assert [tuple(case[part] for part in ("method", "fields", "images", "dim")) for case in RECORDED] == CASES
