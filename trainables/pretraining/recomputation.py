"""Activation checkpointing: residual blocks that keep their input alone, and are computed again for the backward pass.

Source: Chen et al., Training Deep Nets with Sublinear Memory Cost (arXiv:1604.06174).
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class RecomputedBlocks(nn.Sequential):
    """A sequence of blocks with the parameters, numbers and gradients of ``nn.Sequential``, and less memory.

    ``recomputes`` is False where operations or bytes are counted as those of the blocks alone.
    """

    recomputes = True

    def forward(self, inputs: Tensor) -> Tensor:
        """Applies the blocks in turn."""
        for block in self:
            inputs = _recomputed(block, inputs) if self.recomputes and torch.is_grad_enabled() else block(inputs)
        return inputs


def _recomputed(block: nn.Module, inputs: Tensor) -> Tensor:
    if torch.compiler.is_compiling():  # the compiler itself leaves the running statistics alone
        return checkpoint(block, inputs, use_reentrant=False, preserve_rng_state=False)
    contexts = contextlib.nullcontext(), _running_statistics_kept(block)
    return checkpoint(block, inputs, use_reentrant=False, preserve_rng_state=False, context_fn=lambda: contexts)


@contextlib.contextmanager
def _running_statistics_kept(block: nn.Module) -> Iterator[None]:
    """BatchNorm has taken this batch into its running statistics once; a momentum of 0 leaves them as they are."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm) and m.training]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, num_batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, num_batches
