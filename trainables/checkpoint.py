"""The state of an unfinished trial, in one file that is replaced atomically."""

from pathlib import Path
from typing import Any

import torch

from study.files import replacing
from study.trainable import DamagedCheckpoint
from trainables.pretraining.stages import Stages
from trainables.trial_config import TrialConfig
from trainables.whole_files import DamagedFile, load_state


class TrialCheckpoint:
    """A trial's stages, whether the current one's encoder is another's, and its probe once the training has begun.

    Args:
        path: the file; its folder is created if missing. None: nothing is kept.
        config: of the trial.
        data_checksum: of its images.
    """

    def __init__(self, path: Path | None, config: TrialConfig, data_checksum: str) -> None:
        self._path, self._config, self._data_checksum = path, config, data_checksum
        self.is_encoder_shared = False  # whether another trial trained that of the current stage
        self.reported: list[int] = []  # milestones whose reports have been taken
        self.evaluated: list[dict[str, float]] = []  # the accuracies at milestones, as rows of the curve
        self.probe: dict[str, Any] | None = None  # the state of its training for the final evaluation

    def save(self, stages: Stages) -> None:
        """Saves the current state."""
        if self._path is None:
            return
        saved = {
            "config": self._config.pretraining_hash(),
            "data": self._data_checksum,
            "is_encoder_shared": self.is_encoder_shared,
            "reported": self.reported,
            "evaluated": self.evaluated,
            "probe": None if self.probe is None else {"config": self._config.content_hash(), "state": self.probe},
            "state": stages.finished_state() if stages.is_finished else stages.state_dict(),
        }
        with replacing(self._path) as unfinished:
            torch.save(saved, unfinished)

    def load(self, stages: Stages) -> bool:
        """Restores the saved state; False if there is none. A probe is restored only for an equal config.

        Raises:
            DamagedCheckpoint: if the file is damaged.
            ValueError: if it belongs to another pretraining config or to other images.
        """
        if self._path is None or not self._path.exists():
            return False
        try:
            saved = load_state(self._path)
        except DamagedFile as error:
            raise DamagedCheckpoint(f"the checkpoint {error}; remove it to start the trial again") from None
        if saved["config"] != self._config.pretraining_hash():
            raise ValueError(f"the checkpoint {self._path} is of another pretraining config")
        if saved.get("data") != self._data_checksum:
            raise ValueError(
                f"the checkpoint {self._path} is of other images than those that are there now, or of an older "
                "version; remove it to train on these"
            )
        stages.load_state_dict(saved["state"])
        self.is_encoder_shared = saved["is_encoder_shared"]
        self.reported = saved.get("reported", [])  # earlier versions kept none
        self.evaluated = saved.get("evaluated", [])
        probe = saved.get("probe")  # an earlier version saved the head alone; the probe is then trained again
        self.probe = probe["state"] if probe is not None and probe["config"] == self._config.content_hash() else None
        return True
