"""Projected gradient ascent inside an l-infinity or l2 ball, one loop for training, probing and evaluation.

An l2 ball is of each image, and so of each view: norms are over the last three dimensions.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from trainables.trial_config import Norm

SMALLEST = torch.finfo(torch.float32).tiny  # divides 0 into 0


def pgd(
    loss_fn: Callable[[Tensor], Tensor],
    clean: Tensor,
    *,
    norm: Norm = "linf",
    radius: float,
    step: float,
    num_steps: int,
    start: Tensor | None = None,
    num_draws: int = 1,
    leak_into: Sequence[nn.Parameter] = (),
) -> Tensor:
    """Ascends ``loss_fn`` by steps in the direction of ``ascent_direction``, each projected onto the ball and [0, 1].

    Only the gradient with respect to the input is computed, and no ``.grad`` changes, unless ``leak_into`` is given.
    (If ``loss_fn`` is compiled, the gradients of all parameters that require them are computed too, and discarded.)

    Args:
        loss_fn: maps a perturbed batch shaped like ``clean`` to a scalar.
        clean: (N, ..., 3, S, S), pixels in [0, 1].
        norm: of ``radius`` and ``step``.
        radius, step: on the [0, 1] scale.
        num_steps: gradient steps; 0 returns the start.
        start: perturbation to begin from (default 0); it is projected first.
        num_draws: evaluations of a random ``loss_fn`` over which each gradient is averaged (expectation over
            transformation, Athalye et al., arXiv:1802.00420).
        leak_into: parameters whose ``.grad`` also accumulate the gradients of every step (as in the paper's code).

    Returns:
        The perturbed batch, detached, within ``radius`` of ``clean`` and within [0, 1].

    Source: Madry et al. (arXiv:1706.06083).
    """
    clean = clean.detach()
    perturbed = clean if start is None else _projected(clean + start, clean, radius, norm)
    for _ in range(num_steps):
        perturbed = perturbed.detach().requires_grad_()
        gradient = torch.zeros_like(perturbed)
        for _ in range(num_draws):
            with torch.enable_grad():
                drawn, *leaks = torch.autograd.grad(loss_fn(perturbed), [perturbed, *leak_into])
            gradient += drawn
            for parameter, leak in zip(leak_into, leaks, strict=True):
                parameter.grad = leak if parameter.grad is None else parameter.grad + leak
        perturbed = _projected(perturbed.detach() + step * ascent_direction(gradient, norm), clean, radius, norm)
    return perturbed.detach()


def ascent_direction(gradient: Tensor, norm: Norm) -> Tensor:
    """The step (..., 3, S, S) of norm 1 along which a loss of this ``gradient`` rises fastest; 0 where the gradient is.

    The sign for l-infinity; for l2 the gradient divided by its norm, whatever its size: squares do not underflow.
    """
    if norm == "linf":
        return gradient.sign()
    scaled = gradient / gradient.abs().amax(dim=(-3, -2, -1), keepdim=True).clamp(min=SMALLEST)
    return scaled / _l2_norms(scaled).clamp(min=SMALLEST)


def within_ball(perturbation: Tensor, radius: float, norm: Norm) -> Tensor:
    """The nearest perturbation (..., 3, S, S) of norm ``radius`` or less."""
    if norm == "linf":
        return perturbation.clamp(-radius, radius)
    return perturbation * (radius / _l2_norms(perturbation).clamp(min=SMALLEST)).clamp(max=1)


def random_perturbation(shape: torch.Size, radius: float, norm: Norm, random: torch.Generator) -> Tensor:
    """Perturbations of ``shape`` (..., 3, S, S), on the device of ``random``, uniform in the ball."""
    device = random.device
    if norm == "linf":
        return (torch.rand(shape, generator=random, device=device) * 2 - 1) * radius
    direction = torch.randn(shape, generator=random, device=device)
    distances = torch.rand((*shape[:-3], 1, 1, 1), generator=random, device=device) ** (1 / math.prod(shape[-3:]))
    return radius * distances * ascent_direction(direction, norm)


def _l2_norms(images: Tensor) -> Tensor:
    """(..., 1, 1, 1)."""
    return torch.linalg.vector_norm(images, dim=(-3, -2, -1), keepdim=True)


def _projected(moved: Tensor, clean: Tensor, radius: float, norm: Norm) -> Tensor:
    """``moved`` in the ball round ``clean`` and in [0, 1]: the latter takes no pixel away from ``clean``."""
    if norm == "linf":
        return torch.clamp(moved, (clean - radius).clamp(min=0), (clean + radius).clamp(max=1))
    return (clean + within_ball(moved - clean, radius, norm)).clamp(0, 1)
