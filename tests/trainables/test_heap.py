"""What glibc does with the memory of large tensors: kept while the context is open, handed back behind it."""

import contextlib
import platform
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import pytest
import torch

from trainables.heap import freed_memory_kept

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told")

NUM_BYTES = 64 * 2**20
NUM_PAGES = NUM_BYTES // resource.getpagesize()
CPU = torch.device("cpu")
T = TypeVar("T")


def pages_filled(num_bytes: int = NUM_BYTES) -> int:
    """Pages that the kernel provides for a tensor that is made, filled and dropped; the least of 30 times.

    The first times a small allocation may take the place that glibc wants beside the tensor to align it.
    """
    rounds = []
    for _ in range(30):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(num_bytes // 4)
        rounds.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return min(rounds)


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def in_a_new_process(function: Callable[[], T]) -> T:
    """Its result. In this process an allocation may have failed before, behind which glibc no longer uses one heap."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function).result()


def pages_before_inside_and_behind() -> tuple[int, int, int]:
    """Behind it, for a tensor that fits into no gap that those inside have left in the heap: gaps are still used."""
    before = pages_filled()
    with freed_memory_kept(CPU):
        inside = pages_filled()
    return before, inside, pages_filled(8 * NUM_BYTES)


def growth_inside_and_behind() -> tuple[int, int]:
    before = resident_bytes()
    with freed_memory_kept(CPU):
        del [torch.ones(NUM_BYTES // 4) for _ in range(4)][:]
        inside = resident_bytes()
    return inside - before, resident_bytes() - before


def pages_behind_an_error() -> int:
    with contextlib.suppress(ValueError), freed_memory_kept(CPU):
        raise ValueError("inside")
    return pages_filled()


def pages_for_another_device() -> int:
    with freed_memory_kept(torch.device("meta")):
        return pages_filled()


@pytest.mark.slow
def test_pages_are_provided_once_while_memory_is_kept() -> None:
    before, inside, behind = in_a_new_process(pages_before_inside_and_behind)
    assert before > 0.9 * NUM_PAGES and inside < 0.1 * NUM_PAGES and behind > 0.9 * 8 * NUM_PAGES


def test_kept_memory_goes_back_behind_it() -> None:
    inside, behind = in_a_new_process(growth_inside_and_behind)
    assert inside > 3 * NUM_BYTES and behind < NUM_BYTES


def test_an_error_ends_it_as_well() -> None:
    assert in_a_new_process(pages_behind_an_error) > 0.9 * NUM_PAGES


def test_other_devices_leave_the_heap_alone() -> None:
    assert in_a_new_process(pages_for_another_device) > 0.9 * NUM_PAGES
