"""How much memory one trial may take: its process on Linux, its share of a GPU anywhere."""

import resource
from pathlib import Path

import torch


def cap_process(num_bytes: int | None, baseline: int) -> None:
    """Has allocations fail, as out of memory, beyond ``num_bytes`` more than ``baseline``; None takes the cap away.

    What counts is private writable memory, touched or not; images in Ray's object store or in files are not counted.
    It is the kernel's soft limit ``RLIMIT_DATA``, so a trial that comes first up to it fails where it allocates.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = hard if num_bytes is None else baseline + num_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def allocated_bytes() -> int:
    """Private writable memory of this process, in bytes, as ``cap_process`` counts it."""
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmData:"))


def cap_device(share: float, device: torch.device) -> None:
    """Leaves PyTorch at most ``share`` (0 to 1) of the GPU's memory; does nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)
