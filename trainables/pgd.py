"""Projected gradient ascent inside an l-infinity ball, one loop for training, probing and evaluation."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def linf_pgd(
    loss_fn: Callable[[Tensor], Tensor],
    clean: Tensor,
    *,
    radius: float,
    step: float,
    num_steps: int,
    start: Tensor | None = None,
    num_draws: int = 1,
    leak_into: Sequence[nn.Parameter] = (),
) -> Tensor:
    """Ascends ``loss_fn`` by signed gradient steps, projected after each onto the ball and onto [0, 1].

    Only the gradient with respect to the input is computed, and no ``.grad`` changes, unless ``leak_into`` is given.
    (If ``loss_fn`` is compiled, the gradients of all parameters that require them are computed too, and discarded.)

    Args:
        loss_fn: maps a perturbed batch shaped like ``clean`` to a scalar.
        clean: (N, ...), pixels in [0, 1].
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
    low, high = (clean - radius).clamp(min=0), (clean + radius).clamp(max=1)
    perturbed = clean if start is None else torch.clamp(clean + start, low, high)
    for _ in range(num_steps):
        perturbed = perturbed.detach().requires_grad_()
        gradient = torch.zeros_like(perturbed)
        for _ in range(num_draws):
            with torch.enable_grad():
                drawn, *leaks = torch.autograd.grad(loss_fn(perturbed), [perturbed, *leak_into])
            gradient += drawn
            for parameter, leak in zip(leak_into, leaks, strict=True):
                parameter.grad = leak if parameter.grad is None else parameter.grad + leak
        perturbed = torch.clamp(perturbed.detach() + step * gradient.sign(), low, high)
    return perturbed.detach()
