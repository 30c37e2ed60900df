"""Keeps freed memory in the process, so that large tensors are not requested from the kernel in every update."""

import contextlib
import ctypes
import platform
from collections.abc import Iterator

import torch

# Parameters of mallopt(3), from glibc's malloc.h, and their default values.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
DEFAULTS = {M_TRIM_THRESHOLD: 128 * 1024, M_MMAP_MAX: 65_536}
KEPT = {M_TRIM_THRESHOLD: -1, M_MMAP_MAX: 0}  # never return the top of the heap; no separate mapping for any allocation


@contextlib.contextmanager
def freed_memory_kept(device: torch.device) -> Iterator[None]:
    """While the context is open, glibc keeps freed memory for reuse; on exit all of it is returned to the kernel.

    Every update on a CPU frees and allocates the same activations. By default glibc returns large ones to the kernel at
    once, and the kernel fills every page of the next ones with zeros. Results do not change; peak memory may, because
    the heap has gaps. After exit the gaps hold no memory, but later allocations that fit may reuse them. All this
    concerns the main thread's heap; after a failed allocation glibc may switch to other heaps, whose large blocks come
    from the kernel as usual. Does nothing on other devices, where PyTorch caches freed tensors itself, nor with other C
    libraries.

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
