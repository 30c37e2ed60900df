"""The images of each batch of a training, in the order of their epoch, on the device that trains."""

import torch
from torch import Tensor

from trainables.data.stored_images import Images
from trainables.hardware import to_device
from trainables.memory import available_bytes
from trainables.streams import stream

# What a GPU keeps: this much of its memory at most, and no more than 4 GiB.
MAX_RESIDENT_SHARE, MAX_RESIDENT_BYTES = 0.1, 2**32


class Batches:
    """Batches of images (or features) and labels; every epoch has an order of its own, and ends with what is left over.

    On a GPU they are copied once as a whole, if they are small enough, and else batch by batch from pinned memory.

    Args:
        values: (N, ...), in CPU memory, in a file or on ``device``.
        labels: (N,) int64, or None.
        size: images per batch.
        seed, purpose: of the random stream of the orders.
        device: where to train.
    """

    def __init__(
        self, values: Images, labels: Tensor | None, size: int, seed: int, purpose: str, device: torch.device
    ) -> None:
        self._given, self._size, self._seed, self._purpose = (values, labels), size, seed, purpose
        self._device = device
        self._kept: tuple[Images, Tensor | None] | None = None
        self._epoch, self._order = -1, torch.empty(0)

    def load(self, epoch: int, batch: int) -> tuple[Tensor, Tensor | None]:
        """Values (B, ...) and labels (B,) of one batch, on the device; the host does not wait for it."""
        if self._kept is None:
            self._kept = self._on_device() if self._fits() else self._given
            self._epoch = -1
        values, labels = self._kept
        if epoch != self._epoch:
            order = torch.randperm(len(values), generator=stream(self._seed, self._purpose, epoch))
            is_there = isinstance(values, Tensor) and values.device.type == self._device.type
            self._epoch, self._order = epoch, to_device(order, self._device) if is_there else order
        rows = self._order[batch * self._size : (batch + 1) * self._size]
        return to_device(values[rows], self._device), None if labels is None else to_device(labels[rows], self._device)

    def release(self) -> None:
        """Frees what is kept on the device, until the next batch is asked for."""
        self._kept = None

    def _fits(self) -> bool:
        if self._device.type != "cuda":
            return False
        values = self._given[0]
        one = values[:1]
        size = len(values) * one.numel() * one.element_size()
        return size <= min(MAX_RESIDENT_BYTES, MAX_RESIDENT_SHARE * available_bytes(self._device))

    def _on_device(self) -> tuple[Tensor, Tensor | None]:
        values, labels = self._given
        return values[:].to(self._device), None if labels is None else labels.to(self._device)
