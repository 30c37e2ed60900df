"""One trial as a Ray Tune trainable, the entry point of this project in a Ray worker.

A step ends at each report, and in between every second with a heartbeat. Results carry their content as JSON text
under ``report``, so that Ray neither flattens nor interprets it.
"""

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from ray import tune

from study.workers.memory_cap import allocated_bytes, cap_device, cap_process
from trainables.datasets import TrialData, available_here
from trainables.run_trial import save_result
from trainables.trial import FinalReport, InterimReport, Progress, run_trial
from trainables.trial_config import TrialConfig

HEARTBEAT_SECONDS = 1.0
CHECKPOINT_SECONDS = 10.0
CHECKPOINT_NAME = "checkpoint.pt"


class StudyTrial(tune.Trainable):
    """Runs the trial that ``config`` describes in plain data, resuming from the trial's checkpoint if there is one.

    ``config`` holds ``uid``, ``trial`` (the fields of a TrialConfig), ``milestones``, ``folder`` (of this trial,
    absolute), ``encoder`` (path of the finished encoder of this pretraining, which may not exist yet), ``device``,
    ``num_threads``, ``memory`` (bytes that the trial may allocate, or None) and ``gpu_share`` (of a GPU's memory).
    ``data`` comes from Ray's object store without copying, or as the location of its files, which are created if this
    node does not have them.
    """

    def setup(self, config: dict[str, Any], data: TrialData) -> None:  # type: ignore[override]
        """Called by Ray once per actor."""
        self._data = data
        self._baseline = allocated_bytes() if config["memory"] is not None else 0
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Called by Ray to reuse the actor for another trial; nothing of the previous trial is kept."""
        del self._reports
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Runs until there is something to report; a trial that fails reports why and is done."""
        try:
            return self._advance()
        except Exception as error:
            report = {"reason": f"{type(error).__name__}: {error}".strip(), "out_of_memory": is_out_of_memory(error)}
            return {"kind": "failed", "report": json.dumps(report), "done": True}

    def _begin(self, config: dict[str, Any]) -> None:
        self._config = TrialConfig(**config["trial"])
        self._seconds = 0.0  # of this attempt, in pretraining, probes and attacks
        self._folder = Path(config["folder"])
        self._reports = self._run(config)

    def _run(self, config: dict[str, Any]) -> Iterator[Progress | InterimReport | FinalReport]:
        """Runs the trial. Whatever may fail happens here rather than in ``setup``, where Ray would lose the reason."""
        torch.set_num_threads(config["num_threads"])
        device = torch.device(config["device"])
        cap_process(config["memory"], self._baseline)
        cap_device(config["gpu_share"], device)
        self._data = available_here(self._data, self._config)
        yield from run_trial(
            self._config,
            self._data,
            device,
            milestones=config["milestones"],
            checkpoint_path=self._folder / CHECKPOINT_NAME,
            checkpoint_seconds=CHECKPOINT_SECONDS,
            encoder_path=Path(config["encoder"]),
        )

    def _advance(self) -> dict[str, Any]:
        started = monotonic()
        before = self._seconds
        for report in self._reports:
            self._seconds = before + monotonic() - started
            match report:
                case InterimReport(metrics=metrics):
                    return {"kind": "interim", "report": json.dumps(metrics | {"worker_seconds": self._seconds})}
                case FinalReport(metrics=metrics):
                    metrics["worker_seconds"] = self._seconds
                    # The checkpoint is kept until the journal has the result: a kill now must not lose the training.
                    save_result(report, self._config, self._folder)
                    return {"kind": "final", "report": json.dumps(metrics), "done": True}
                case Progress(share_done=share) if monotonic() - started > HEARTBEAT_SECONDS:
                    return {"kind": "progress", "report": json.dumps({"share_done": share})}
        raise AssertionError("a trial ends with a final report")


def is_out_of_memory(error: Exception) -> bool:
    """Whether ``error`` means out of memory, on device or host; on a CPU, PyTorch's message is the only sign."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    is_in_words = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or is_in_words
