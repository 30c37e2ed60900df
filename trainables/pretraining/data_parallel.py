"""Several processes that make each update of a pretraining together, each on its part of the images of every batch.

An update is that of one process up to rounding: all have the same weights and draw the random numbers of the whole
batch, BatchNorm and the losses see the whole batch, and the gradients of the weights are summed.

Shapes: V views, B images of a whole batch, b = B / ``size`` of them in each process, C channels.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from trainables.trial_config import TrialConfig


def _nothing() -> None:
    pass


class Group:
    """What one process knows of those that train together; without arguments, it is alone.

    Every process must call the same methods in the same order.

    Args:
        rank: of this process, from 0.
        size: number of processes, which are those of the default group of ``torch.distributed``.
        proceed: called before each batch; where it returns, all processes will make that batch.
    """

    def __init__(self, rank: int = 0, size: int = 1, proceed: Callable[[], None] = _nothing) -> None:
        self.rank, self.size, self.proceed = rank, size, proceed

    def part(self, num_images: int) -> slice:
        """The images of a whole batch that are this process's."""
        length = num_images // self.size
        return slice(self.rank * length, (self.rank + 1) * length)

    def own(self, whole: Tensor) -> Tensor:
        """This process's part (V, b, ...) of what there is for a whole batch (V, B, ...)."""
        return whole if self.size == 1 else whole[:, self.part(whole.shape[1])]

    def gathered(self, own: Tensor) -> Tensor:
        """The parts (V, b, ...) of all processes as (V, B, ...).

        Gradients flow into the own part alone: they are the whole ones if every process computes the same from it.
        """
        if self.size == 1:
            return own
        own = own.contiguous()
        parts = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(parts, own.detach())
        parts[self.rank] = own
        return torch.cat(parts, dim=1)

    def from_first(self, values: Tensor) -> Tensor:
        """The values that the first process has; those of the others, of the same shape and type, are overwritten."""
        if self.size > 1:
            dist.broadcast(values, 0)
        return values

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replaces the gradients by their sums over all processes."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        total = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(total)
        for gradient, part in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    @contextmanager
    def synchronised(self) -> Iterator[None]:
        """While open, each ``SyncedBatchNorm`` in training mode takes the statistics of the whole batch."""
        SyncedBatchNorm.group = self
        try:
            yield
        finally:
            SyncedBatchNorm.group = ALONE


ALONE = Group()


def require_processes(config: TrialConfig, num_processes: int, device: torch.device) -> None:
    """Raises ``ValueError`` unless so many processes can share every batch and, on CUDA, have a GPU each."""
    if num_processes < 1 or config.batch_size % num_processes:
        raise ValueError(
            "batch_size must be a multiple of the processes that train together: "
            f"batch_size={config.batch_size}, processes={num_processes}"
        )
    if device.type == "cuda" and num_processes > 1 and num_processes > torch.cuda.device_count():
        raise ValueError(f"{num_processes} processes need a GPU each: there are {torch.cuda.device_count()} here")


class SyncedBatchNorm(nn.BatchNorm2d):
    """BatchNorm, of 1 or 2 dimensions, over the batches of all processes while ``Group.synchronised`` is open.

    ``torch.nn.SyncBatchNorm`` computes the same on GPUs alone, and also where one process evaluates.
    """

    group: ClassVar[Group] = ALONE  # that computes this batch together

    def _check_input_dim(self, values: Tensor) -> None:
        """Of 1 or 2 dimensions."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalises values (N, C) or (N, C, S, S), and in training mode moves the running statistics."""
        if self.group.size == 1 or not self.training:
            return super().forward(values)
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        normalised, mean, variance = _SyncedNorm.apply(values, self.weight, self.bias, self.eps, self.group)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        count = self.group.size * values.numel() // values.shape[1]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return normalised


def synchronise_batchnorm(network: nn.Module) -> None:
    """Makes every BatchNorm in ``network`` a ``SyncedBatchNorm``; outside of ``Group.synchronised`` nothing changes."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.__class__ = SyncedBatchNorm


class _SyncedNorm(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias with mean and variance (C,) of the values of all processes.

    Source: Ioffe and Szegedy (arXiv:1502.03167), the gradients among the equations of section 3. Those of weight and
    bias are of this process's values alone, as are those of all other weights.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor, bias: Tensor, eps: float, group: Group
    ) -> tuple[Tensor, Tensor, Tensor]:
        dims = [0, *range(2, values.ndim)]
        moments = weight.new_zeros((group.size, 2, len(weight)))
        moments[group.rank] = torch.stack(torch.var_mean(values.float(), dims, correction=0))
        dist.all_reduce(moments)
        variances, means = moments.unbind(1)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        ctx.save_for_backward(values, weight, mean, (variance + eps).rsqrt())
        ctx.size = group.size
        ctx.mark_non_differentiable(mean, variance)
        return functional.batch_norm(values, mean, variance, weight, bias, eps=eps), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor, None, None]:
        values, weight, mean, inverse = ctx.saved_tensors
        dims, shape = [0, *range(2, values.ndim)], (-1, *[1] * (values.ndim - 2))
        gradient = gradient.float()
        normalised = (values.float() - mean.view(shape)) * inverse.view(shape)
        own = torch.stack([gradient.sum(dims), (gradient * normalised).sum(dims)])
        total = own.clone()
        dist.all_reduce(total)
        along_ones, along_values = (total / (ctx.size * values.numel() / values.shape[1])).unbind()
        straight = gradient - along_ones.view(shape) - normalised * along_values.view(shape)
        return (straight * (weight * inverse).view(shape)).to(values.dtype), own[1], own[0], None, None
