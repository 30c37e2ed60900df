"""Waiting without a limit that a busy machine could reach."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 900.0  # what takes longer hangs


def wait_until(holds: Callable[[], bool], told: Callable[[], str] = lambda: "") -> None:
    """Returns as soon as ``holds``; raises ``AssertionError``, with what is ``told``, if that takes 15 minutes."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < ends_at, f"timed out: {told()}"
        time.sleep(0.01)
