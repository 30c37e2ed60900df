"""One trial as a Ray Tune trainable, the entry point of this project in a Ray worker.

A step ends at each report, and in between every second with a heartbeat. Results carry their content as JSON text
under ``report``, so that Ray neither flattens nor interprets it.
"""

import faulthandler
import gc
import importlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, TextIO

from ray import tune

from study.record.curves import CurveFile
from study.record.trial_folder import CRASH_NAME, save_result
from study.trainable import Context, Final, Interim, Measured, Progress, Report, load_trainable
from study.workers.memory_cap import allocated_bytes, cap_process
from study.workers.worker_errors import WorkerUnusable, tells_of_memory

HEARTBEAT_SECONDS = 1.0


class StudyTrial(tune.Trainable):
    """Runs the trial that ``config`` describes in plain data, resuming from the trial's checkpoint if there is one.

    ``config`` holds ``uid``, ``trainable`` (its import path), ``trial`` (the fields of its config), ``milestones``,
    ``folder`` (of this trial, absolute), ``shared_folder`` (of all trials), ``device``, ``num_threads``, ``memory``
    (bytes that the trial may allocate, or None) and ``gpu_share`` (of a GPU's memory). ``data`` comes from Ray's object
    store without copying, or as the location of its files, which are created if this node does not have them.
    """

    def setup(self, config: dict[str, Any], data: Any) -> None:  # type: ignore[override]
        """Called by Ray once per actor."""
        self._data = data
        self._baseline: int | None = None  # memory that is no trial's, in bytes
        self._crash_file: TextIO | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Called by Ray to reuse the actor for another trial; nothing of the previous trial is kept.

        Raises:
            WorkerUnusable: if the device is of no use any more; Ray then replaces the worker.
        """
        del self._reports
        gc.collect()
        torch = sys.modules.get("torch")
        try:
            if torch is not None and torch.cuda.is_available():
                torch.cuda.empty_cache()
        except RuntimeError as error:
            raise WorkerUnusable(str(error)) from None
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Runs until there is something to report; a trial that fails reports why and is done.

        Raises:
            RuntimeError: after which the process is of no use to a later trial: Ray replaces a worker that raises, and
                the driver reads the reason from what it raised.
        """
        try:
            return self._advance()
        except Exception as error:
            if breaks_the_process(error):
                raise
            report = {"reason": f"{type(error).__name__}: {error}".strip(), "out_of_memory": is_out_of_memory(error)}
            return {"kind": "failed", "report": json.dumps(report), "done": True}

    def _begin(self, config: dict[str, Any]) -> None:
        self._seconds = 0.0  # of this attempt, in training and evaluation
        self._config, self._folder = config, Path(config["folder"])
        self._reports = self._run(config)

    def _run(self, config: dict[str, Any]) -> Iterator[Report]:
        """Runs the trial. Whatever may fail happens here rather than in ``setup``, where Ray would lose the reason."""
        trainable = load_trainable(config["trainable"])
        if self._baseline is None and config["memory"] is not None:
            for name in trainable.modules:
                importlib.import_module(name)
            self._baseline = allocated_bytes()
        cap_process(config["memory"], self._baseline or 0)
        trial_config = trainable.config(**config["trial"])
        self._data = trainable.data_here(self._data, trial_config)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._note_crashes()
        self._curve = CurveFile(self._folder, trainable.progress)
        context = Context(
            folder=self._folder,
            shared_folder=Path(config["shared_folder"]),
            milestones=config["milestones"],
            device=config["device"],
            num_threads=config["num_threads"],
            gpu_share=config["gpu_share"],
        )
        yield from trainable.run(trial_config, self._data, context)

    def _note_crashes(self) -> None:
        """Has Python write where it was into the trial's folder, if a signal such as SIGSEGV ends this process."""
        before, self._crash_file = self._crash_file, (self._folder / CRASH_NAME).open("w")
        faulthandler.enable(self._crash_file)
        if before is not None:
            before.close()

    def _advance(self) -> dict[str, Any]:
        started = monotonic()
        before = self._seconds
        for report in self._reports:
            self._seconds = before + monotonic() - started
            match report:
                case Measured(measures=measures):
                    self._curve.add(measures)
                case Interim(metrics=metrics):
                    self._require(metrics, "milestone")
                    return {"kind": "interim", "report": json.dumps(metrics | {"worker_seconds": self._seconds})}
                case Final(metrics=metrics, outcomes=outcomes, save=save):
                    self._require(metrics)
                    metrics = metrics | {"worker_seconds": self._seconds}
                    # The checkpoint is kept until the journal has the result: a kill now must not lose the training.
                    if save is not None:
                        save(self._folder)
                    save_result(self._folder, self._config["trainable"], self._config["trial"], metrics, outcomes)
                    return {"kind": "final", "report": json.dumps(metrics), "done": True}
                case Progress(share_done=share) if monotonic() - started > HEARTBEAT_SECONDS:
                    return {"kind": "progress", "report": json.dumps({"share_done": share})}
        raise AssertionError("a trial ends with a final report")

    def _require(self, metrics: Mapping[str, Any], *names: str) -> None:
        """Raises ``ValueError`` unless a report has finite numbers under ``names`` and says its progress."""
        for name in (*names, load_trainable(self._config["trainable"]).progress):
            value = metrics.get(name)
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"a report must have a number under {name!r}: {value!r}")


def is_out_of_memory(error: Exception) -> bool:
    """Whether ``error`` means out of memory, on device or host; on a CPU, PyTorch's message is the only sign."""
    is_in_words = isinstance(error, RuntimeError) and tells_of_memory(str(error))
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or is_in_words


def breaks_the_process(error: Exception) -> bool:
    """Whether ``error`` is one of CUDA's, most of which every later call in the process raises again."""
    words = ("cuda error", "cudnn error", "cublas error", "cufft error", "cusolver error")
    is_in_words = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    return type(error).__name__ == "AcceleratorError" or is_in_words
