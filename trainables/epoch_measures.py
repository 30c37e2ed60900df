"""What is measured of each epoch of a training, without a look at the device in between."""

from typing import Any

import torch
from torch import Tensor

Row = dict[str, float]


class EpochMeasures:
    """Mean loss, learning rate and images per second of each epoch, also of a training that is interrupted.

    Args:
        device: of the losses.
    """

    def __init__(self, device: torch.device) -> None:
        self.rows: list[Row] = []  # epoch (from 1), train_loss, learning_rate, images_per_second
        # Of the epoch that is under way:
        self._loss_sum, self._num_losses = torch.zeros((), device=device), 0
        self._seconds, self._num_images = 0.0, 0

    def add_loss(self, loss: Tensor) -> None:
        """Notes the loss of one update."""
        self._loss_sum += loss.detach()
        self._num_losses += 1

    def add_images(self, num_images: int) -> None:
        """Notes that a batch of so many images was trained on."""
        self._num_images += num_images

    def add_seconds(self, seconds: float) -> None:
        """Notes how long the training on some of these images took."""
        self._seconds += seconds

    def end_epoch(self, epoch: int, learning_rate: float) -> None:
        """Adds the row of ``epoch``, counted from 1; the learning rate is that of its last update."""
        self.rows.append(
            {
                "epoch": epoch,
                "train_loss": float(self._loss_sum) / self._num_losses,
                "learning_rate": learning_rate,
                "images_per_second": self._num_images / max(self._seconds, 1e-9),
            }
        )
        self._loss_sum.zero_()
        self._num_losses, self._seconds, self._num_images = 0, 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        """All that ``load_state_dict`` needs; the tensor is live, not a copy."""
        return {
            "rows": self.rows,
            "loss_sum": self._loss_sum,
            "num_losses": self._num_losses,
            "seconds": self._seconds,
            "num_images": self._num_images,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what ``state_dict`` returned."""
        self.rows = [dict(row) for row in state["rows"]]
        self._loss_sum = state["loss_sum"].to(self._loss_sum.device, copy=True)
        self._num_losses = state["num_losses"]
        self._seconds, self._num_images = state["seconds"], state["num_images"]
