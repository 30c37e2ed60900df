"""Waiting without a limit that a busy machine could reach."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 900.0  # what takes longer hangs


def wait_until(holds: Callable[[], bool]) -> None:
    """Returns as soon as ``holds``; raises ``AssertionError`` if that takes 15 minutes."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < ends_at
        time.sleep(0.01)
