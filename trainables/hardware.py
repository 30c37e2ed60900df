"""What a time was clocked on, in words."""

import platform
from pathlib import Path

import torch

CPU_INFO = Path("/proc/cpuinfo")  # Linux's; Python knows the processor's name only elsewhere


def hardware_name(device: torch.device) -> str:
    """The model of the GPU, or of the CPU with the number of threads that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = next(iter(models), "") or platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    return f"{model}, {threads} thread{'s' if threads > 1 else ''}"
