"""The device of a trial: its name, its clock, and copies to it."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

CPU_INFO = Path("/proc/cpuinfo")  # Linux's; Python knows the processor's name only elsewhere


def hardware_name(device: torch.device, num_processes: int = 1) -> str:
    """The model of the GPU, or of the CPU with the number of threads that torch uses; ``4 x`` it for 4 processes."""
    several = f"{num_processes} x " if num_processes > 1 else ""
    if device.type == "cuda":
        return several + torch.cuda.get_device_name(device)
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = next(iter(models), "") or platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    return f"{several}{model}, {threads} thread{'s' if threads > 1 else ''}"


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copies ``values``, which may be on ``device`` already, without waiting for the device.

    On CUDA the copy is from pinned memory: one from other memory waits, whatever ``non_blocking`` says.
    """
    if device.type != "cuda" or values.device.type == "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


class DeviceClock:
    """Adds up how long pieces of work take, and waits for the device only when it is read."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._seconds = device, 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Clocks what is done in the context; on CUDA, what it gives the device to do."""
        if self._device.type != "cuda":
            started = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - started
            return
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        yield
        end.record()
        self._events.append((start, end))

    def take(self) -> float:
        """The seconds since it was last read, of work that is then done."""
        if self._events:
            torch.cuda.synchronize(self._device)
            self._seconds += sum(start.elapsed_time(end) for start, end in self._events) / 1000
            self._events.clear()
        taken, self._seconds = self._seconds, 0.0
        return taken


@contextmanager
def equal_shapes(device: torch.device) -> Iterator[None]:
    """For work whose shapes repeat: cuDNN times its algorithms once for each shape and takes the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
