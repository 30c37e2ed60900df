"""One trial as a Ray Tune trainable, the entry point of this project in a Ray worker.

A step ends at each report, and in between every second with a heartbeat. Results carry their content as JSON text
under ``report``, so that Ray neither flattens nor interprets it.
"""

import faulthandler
import gc
import importlib
import json
import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn, TextIO

from ray import tune

from study.files import is_storage_fault
from study.record.curves import CurveFile
from study.record.trial_folder import CRASH_NAME, discard_checkpoints, save_result
from study.trainable import (
    Context,
    DamagedCheckpoint,
    Final,
    Interim,
    Measured,
    ProcessLost,
    Progress,
    Report,
    load_trainable,
)
from study.workers.memory_cap import allocated_bytes, cap_process
from study.workers.worker_errors import EXIT_NOTE, WorkerUnusable, tells_of_memory

HEARTBEAT_SECONDS = 1.0
ONEDNN = "could not create a"  # primitive, memory object or descriptor, where it cannot allocate its scratch memory


class StudyTrial(tune.Trainable):
    """Runs the trial that ``config`` describes in plain data, resuming from the trial's checkpoint if there is one.

    ``config`` holds ``uid``, ``trainable`` (its import path), ``trial`` (the fields of its config), ``milestones``,
    ``folder`` (of this trial, absolute), ``shared_folder`` (of all trials), ``device``, ``num_threads``,
    ``num_processes``, ``memory`` (bytes that each process may allocate, or None), ``gpu_share`` (of a GPU's memory) and
    ``silence_limit`` (seconds without a report after which the process is ended; None or 0: never). ``data`` comes from
    Ray's object store without copying, or as the location of its files, which are created if this node lacks them.
    """

    _config: dict[str, Any]  # of the trial that it runs now
    _silence: float  # seconds, the longest so far
    _silence_limit: float | None

    def setup(self, config: dict[str, Any], data: Any) -> None:  # type: ignore[override]
        """Called by Ray once per actor."""
        # Blocked in Ray's processes (study.workers.launch), and else in every process that a trial starts.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGHUP))
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
            with self._watched():
                return self._advance()
        except DamagedCheckpoint as error:
            discard_checkpoints(self._folder)
            self._reports = self._run(self._config)
            reason = f"{error}".partition(";")[0]
            return {"kind": "afresh", "report": json.dumps({"reason": reason})}
        except ProcessLost as error:
            raise WorkerUnusable(str(error)) from error
        except Exception as error:
            if breaks_the_process(error):
                raise
            report = {"reason": f"{type(error).__name__}: {error}".strip(), "out_of_memory": False}
            report["out_of_memory"] = is_out_of_memory(error, is_capped=self._config["memory"] is not None)
            report["is_storage"] = is_storage_fault(error)
            return {"kind": "failed", "report": json.dumps(report), "done": True}

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """While open, the process is ended if the trial says nothing for too long, and notes if it ends itself."""
        leave = os._exit

        def noted_exit(code: int) -> NoReturn:
            if self._crash_file is not None:
                self._crash_file.write(f"{EXIT_NOTE}{code})\n")
                self._crash_file.flush()
            leave(code)

        self._heard_at = monotonic()
        self._watch()
        os._exit = noted_exit  # type: ignore[assignment]
        try:
            yield
        finally:
            os._exit = leave
            faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        """Has Python write where it is and end this process, unless this is called again in time."""
        self._watched_at = monotonic()
        if self._silence_limit and self._crash_file is not None:
            faulthandler.dump_traceback_later(self._silence_limit, exit=True, file=self._crash_file)

    def _hear(self) -> None:
        now = monotonic()
        self._silence, self._heard_at = max(self._silence, now - self._heard_at), now
        if now - self._watched_at > HEARTBEAT_SECONDS:  # it takes a new thread each time
            self._watch()

    def _begin(self, config: dict[str, Any]) -> None:
        self._seconds = 0.0  # of this attempt, in training and evaluation
        self._silence, self._silence_limit = 0.0, config.get("silence_limit")  # seconds
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
        self._watch()
        self._curve = CurveFile(self._folder, trainable.progress)
        context = Context(
            folder=self._folder,
            shared_folder=Path(config["shared_folder"]),
            milestones=config["milestones"],
            device=config["device"],
            num_threads=config["num_threads"],
            num_processes=config.get("num_processes", 1),
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
            self._hear()
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
                    return {"kind": "final", "report": json.dumps(metrics), "silence": self._silence, "done": True}
                case Progress(share_done=share) if monotonic() - started > HEARTBEAT_SECONDS:
                    return {"kind": "progress", "report": json.dumps({"share_done": share})}
        raise AssertionError("a trial ends with a final report")

    def _require(self, metrics: Mapping[str, Any], *names: str) -> None:
        """Raises ``ValueError`` unless a report has finite numbers under ``names`` and says its progress."""
        for name in (*names, load_trainable(self._config["trainable"]).progress):
            value = metrics.get(name)
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"a report must have a number under {name!r}: {value!r}")


def is_out_of_memory(error: Exception, *, is_capped: bool = False) -> bool:
    """Whether ``error`` means out of memory, on device or host; on a CPU, PyTorch's message is the only sign.

    ``is_capped``: allocations of this process fail at a limit; then oneDNN's message, which does not say why, counts.
    """
    words = str(error)
    is_in_words = isinstance(error, RuntimeError) and (tells_of_memory(words) or (is_capped and ONEDNN in words))
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or is_in_words


def breaks_the_process(error: Exception) -> bool:
    """Whether ``error`` is one of CUDA's, most of which every later call in the process raises again."""
    words = ("cuda error", "cudnn error", "cublas error", "cufft error", "cusolver error")
    is_in_words = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    return type(error).__name__ == "AcceleratorError" or is_in_words
