"""What attacks ascend: for each image a loss that is larger the closer it is to being misclassified."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy (N,) of logits (N, K); its gradient vanishes in fp32 once an image is right by a margin of 100."""
    return functional.cross_entropy(logits, targets, reduction="none")


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """Largest logit of a wrong class minus that of the true class, (N,): positive exactly if misclassified.

    Of the losses that large logits do not saturate, this is the plain one: the sign of its gradient, which is all that
    an l-infinity step uses, is the same whatever positive factor the logits are multiplied by. The difference of
    logits ratio (Croce and Hein, arXiv:2003.01690) divides by a difference of logits to the same end, and so needs
    three classes, spends part of its gradient on enlarging the divisor, and gives way where two logits are close.

    Args:
        logits: (N, K), K >= 2.
        targets: (N,) int64.

    Source: Carlini and Wagner (arXiv:1608.04644), f6 with no confidence.

    Example:
        >>> margin(torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]]), torch.tensor([0, 1]))
        tensor([-1.,  2.])
    """
    true = functional.one_hot(targets, logits.shape[1]).bool()
    return logits.masked_fill(true, -torch.inf).amax(dim=1) - logits.gather(1, targets[:, None]).squeeze(1)


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"cross_entropy": cross_entropy, "margin": margin}
