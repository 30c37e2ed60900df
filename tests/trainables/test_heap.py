"""What glibc does with the memory of large tensors: kept while the context is open, handed back behind it."""

import platform
import resource

import pytest
import torch

from trainables.heap import freed_memory_kept

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told")

NUM_BYTES = 64 * 2**20
NUM_PAGES = NUM_BYTES // resource.getpagesize()
CPU = torch.device("cpu")


def pages_filled() -> int:
    """Pages that the kernel provides for a tensor that is made, filled and dropped; the least of five times."""
    rounds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(NUM_BYTES // 4)
        rounds.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return min(rounds)


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_pages_are_provided_once_while_memory_is_kept() -> None:
    assert pages_filled() > 0.9 * NUM_PAGES
    with freed_memory_kept(CPU):
        assert pages_filled() < 0.1 * NUM_PAGES
    assert pages_filled() > 0.9 * NUM_PAGES


def test_kept_memory_goes_back_behind_it() -> None:
    before = resident_bytes()
    with freed_memory_kept(CPU):
        del [torch.ones(NUM_BYTES // 4) for _ in range(4)][:]
        assert resident_bytes() - before > 3 * NUM_BYTES
    assert resident_bytes() - before < NUM_BYTES


def test_an_error_ends_it_as_well() -> None:
    with pytest.raises(ValueError, match="inside"), freed_memory_kept(CPU):
        raise ValueError("inside")
    assert pages_filled() > 0.9 * NUM_PAGES


def test_other_devices_leave_the_heap_alone() -> None:
    with freed_memory_kept(torch.device("meta")):
        assert pages_filled() > 0.9 * NUM_PAGES
