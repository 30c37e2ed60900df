"""Independent random streams, each a pure function of the seed and its purpose.

Nothing has to be saved to resume a trial at any batch: the stream of batch 7 of epoch 2 is always the same.
"""

import torch

from study.streams import stream_seed

__all__ = ["stream", "stream_seed"]


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator seeded for ``purpose``; the global generator is not touched."""
    return torch.Generator().manual_seed(stream_seed(seed, *purpose))
