"""Load and memory of the driver's machine, under the names that MLflow shows as system metrics."""

import time
from typing import Any

from study.tracking.trial_runs import Point

SECONDS = 10.0  # between samples


class Machine:
    """Samples processor, memory and, where nvidia-ml-py is installed, GPUs; nothing at all without psutil."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._monitors: list[Any] = []
        try:
            from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
            from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

            self._monitors.append(CPUMonitor())
            self._monitors.append(GPUMonitor())
        except (ImportError, RuntimeError):  # RuntimeError: no GPU
            pass

    def sample(self, began: float) -> list[Point]:
        """What is measured now, at step = seconds since ``began``; empty if the last sample is not long ago."""
        if not self._monitors or time.monotonic() < self._next_at:
            return []
        self._next_at = time.monotonic() + SECONDS
        now, points = time.time(), []
        for monitor in self._monitors:
            monitor.collect_metrics()
            values = monitor.aggregate_metrics().items()
            points += [
                Point(f"system/{name}", float(value), int(now * 1000), int(now - began)) for name, value in values
            ]
            monitor.clear_metrics()
        return points
