"""One trial as a Ray Tune trainable: the only code of this project that runs in a Ray worker.

A step ends at each report, and every second in between with a sign of life. Results carry their content as JSON text
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

from study.memory_cap import allocated_bytes, cap_device, cap_process
from trainables.datasets import TrialData, available_here
from trainables.run_trial import save_result
from trainables.trial import FinalReport, InterimReport, Progress, run_trial
from trainables.trial_config import TrialConfig

HEARTBEAT_SECONDS = 1.0
CHECKPOINT_SECONDS = 10.0
CHECKPOINT_NAME = "checkpoint.pt"


class StudyTrial(tune.Trainable):
    """Runs the trial that ``config`` describes in plain data, from its own checkpoint where it has one.

    ``config`` holds ``uid``, ``trial`` (the fields of a TrialConfig), ``milestones``, ``folder`` (absolute, of this
    trial), ``encoder`` (where a finished encoder of this pretraining is, or will be), ``device``, ``num_threads``,
    ``memory`` (bytes that it may allocate, or None) and ``gpu_share`` (of a GPU's memory).
    ``data`` comes out of Ray's object store without a copy, or as the place of its files, which are made where this
    node does not have them.
    """

    def setup(self, config: dict[str, Any], data: TrialData) -> None:  # type: ignore[override]
        """Called by Ray once per actor."""
        self._data = data
        self._baseline = allocated_bytes() if config["memory"] is not None else 0
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Called by Ray where the actor goes on with another trial; nothing of the last one is kept."""
        del self._reports
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Works on until there is something to report; a trial that fails reports why and is done."""
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
        """Everything that may fail is done here and not in ``setup``, where Ray would lose the reason."""
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
                    # The checkpoint stays until the journal has the result: a kill now must not cost the training.
                    save_result(report, self._config, self._folder)
                    return {"kind": "final", "report": json.dumps(metrics), "done": True}
                case Progress(share_done=share) if monotonic() - started > HEARTBEAT_SECONDS:
                    return {"kind": "progress", "report": json.dumps({"share_done": share})}
        raise AssertionError("a trial ends with a final report")


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory, of the device or of the machine, did not suffice; PyTorch on a CPU says so in words alone."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    is_in_words = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or is_in_words
