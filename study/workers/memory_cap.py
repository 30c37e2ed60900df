"""Limits on the memory of one trial: of its process (on Linux), and of its share of a GPU."""

import resource
from pathlib import Path

import torch


def cap_process(num_bytes: int | None, baseline: int) -> None:
    """Makes allocations beyond ``baseline`` + ``num_bytes`` fail as out of memory; None removes the cap.

    Private writable memory counts, touched or not; images in Ray's object store or in files do not. The cap is the
    kernel's soft limit ``RLIMIT_DATA``, so a trial that reaches it fails at the allocation.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = hard if num_bytes is None else baseline + num_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def allocated_bytes() -> int:
    """The private writable memory of this process in bytes, as counted by ``cap_process``."""
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmData:"))


def cap_device(share: float, device: torch.device) -> None:
    """Limits PyTorch to ``share`` (0 to 1) of the GPU's memory; does nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)
