"""Seeds of independent random streams, each a pure function of the study's or trial's seed and its purpose."""

import hashlib


def stream_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for ``purpose``, e.g. ``("views", epoch, batch)``."""
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
