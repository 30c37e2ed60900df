"""Memory that stays with the process: large tensors are not asked of the kernel anew in every update."""

import contextlib
import ctypes
import platform
from collections.abc import Iterator

import torch

# Parameters of mallopt(3), from glibc's malloc.h, and what they are where nobody sets them.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
DEFAULTS = {M_TRIM_THRESHOLD: 128 * 1024, M_MMAP_MAX: 65_536}
KEPT = {M_TRIM_THRESHOLD: -1, M_MMAP_MAX: 0}  # never hand back the top of the heap, map no allocation by itself


@contextlib.contextmanager
def freed_memory_kept(device: torch.device) -> Iterator[None]:
    """While it is open, glibc keeps what is freed for the next allocation; then all of it goes back to the kernel.

    An update on a CPU frees and allocates the same activations again and again. By default glibc gives large ones back
    at once, and the kernel fills every page of the next ones with zeros. Numbers do not change; peak memory may, as the
    heap has gaps. Behind it gaps hold no memory, but later allocations that fit may use them again. That heap is the
    main thread's; behind a failed allocation glibc may turn to others, whose large blocks come from the kernel as ever.
    Does nothing for other devices, whose tensors PyTorch keeps itself, nor with other C libraries.

    Source: mallopt(3), malloc_trim(3).
    """
    libc = ctypes.CDLL(None) if device.type == "cpu" and platform.libc_ver()[0] == "glibc" else None
    if libc is None:
        yield
        return
    _set(libc, KEPT)
    try:
        yield
    finally:
        _set(libc, DEFAULTS)
        libc.malloc_trim(0)


def _set(libc: ctypes.CDLL, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        libc.mallopt(parameter, value)
