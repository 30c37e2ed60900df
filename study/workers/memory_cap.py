"""A limit on the memory of one trial's process, on Linux."""

import resource
from pathlib import Path


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
