"""Losses of the package lightly, and their gradients, on drawn outputs: what this project's losses are tested against.

    python3 -m venv /tmp/lightly && /tmp/lightly/bin/pip install torch lightly
    /tmp/lightly/bin/python benchmarks/lightly_losses.py > tests/trainables/pretraining/lightly_losses.json

lightly is compared with and no dependency: the script needs a Python that has it, and nothing of this project.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

VICREG_TERMS = ("invariance", "variance", "covariance")
# Method, fields of its config, images, and features of each.
CASES: list[tuple[str, dict[str, float], int, int]] = [
    ("simclr", {"temperature": 0.07}, 12, 20),
    ("simclr", {"temperature": 0.5}, 20, 12),
    ("barlow_twins", {"barlow_lambda": 5e-3}, 12, 20),
    ("barlow_twins", {"barlow_lambda": 0.5}, 20, 12),
    ("vicreg", {}, 12, 20),
    ("vicreg", {f"vicreg_{name}_weight": 2.0**i for i, name in enumerate(VICREG_TERMS)}, 20, 12),
    ("byol", {}, 12, 20),
]


def drawn(images: int, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of two views, targets for them, and a direction to derive along, each (2, B, D) and float64.

    The features have different scales and means; the views of an image are alike.
    """
    random = torch.Generator().manual_seed(1000 * images + dim)
    noise = torch.randn(4, 2, images, dim, generator=random, dtype=torch.float64)
    scale = torch.linspace(0.2, 2.0, dim, dtype=torch.float64)
    return (noise[0, :1] + 0.5 * noise[1]) * scale + scale.flip(0), noise[2] + noise[0, :1], noise[3]


def lightly_losses() -> dict[str, Callable[..., Tensor]]:
    """lightly's losses by method: of outputs (2, B, D), targets and the fields of the case."""
    import lightly.loss  # type: ignore[import-not-found]

    def simclr(outputs: Tensor, targets: Tensor, temperature: float) -> Tensor:
        return lightly.loss.NTXentLoss(temperature=temperature)(*outputs)

    def barlow_twins(outputs: Tensor, targets: Tensor, barlow_lambda: float) -> Tensor:
        return lightly.loss.BarlowTwinsLoss(barlow_lambda)(*outputs)

    def vicreg(outputs: Tensor, targets: Tensor, **weights: float) -> Tensor:
        return lightly.loss.VICRegLoss(*weights.values())(*outputs)

    def byol(outputs: Tensor, targets: Tensor) -> Tensor:
        cosine = lightly.loss.NegativeCosineSimilarity()  # of BYOL's equation 2: 2 - 2 cos, for both views
        return 4 + 2 * cosine(outputs[0], targets[1]) + 2 * cosine(outputs[1], targets[0])

    return {"simclr": simclr, "barlow_twins": barlow_twins, "vicreg": vicreg, "byol": byol}


def recorded(method: str, fields: dict[str, float], images: int, dim: int) -> dict[str, Any]:
    """The loss of a case, its slope along the drawn direction, and the length of its gradient."""
    outputs, targets, direction = drawn(images, dim)
    loss = lightly_losses()[method](outputs.requires_grad_(), targets, **fields)
    (gradient,) = torch.autograd.grad(loss, outputs)
    found = {"loss": loss.item(), "slope": float((gradient * direction).sum()), "gradient_norm": float(gradient.norm())}
    return {"method": method, "fields": fields, "images": images, "dim": dim} | found


if __name__ == "__main__":
    from importlib.metadata import version

    packages = {name: version(name) for name in ("lightly", "torch")}
    json.dump({"versions": packages, "cases": [recorded(*case) for case in CASES]}, sys.stdout, indent=1)
    print()
