"""Independent random streams, each a pure function of the seed and its purpose.

Nothing has to be saved to resume a trial at any batch: the stream of batch 7 of epoch 2 is always the same.
"""

import hashlib

import torch


def stream_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for ``purpose``, e.g. ``("views", epoch, batch)``."""
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator seeded for ``purpose``; the global generator is not touched."""
    return torch.Generator().manual_seed(stream_seed(seed, *purpose))
