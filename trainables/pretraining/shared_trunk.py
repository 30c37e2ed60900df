"""Trainings at a constant rate, shared by trials of one recipe that differ in length or cooldown alone.

The training of such trials is a trunk, which all have in common, and a cooldown of each trial's own. A trial keeps the
state of the trunk where its cooldown begins, and where those of trials of 1, 2, 4, ... epochs begin that it passes; the
next trial goes on from the latest of these states that is not after the start of its own cooldown.
"""

from pathlib import Path
from typing import Any

import torch

from study.files import replacing
from trainables.pretraining.pretrain import Pretraining, cooldown_start
from trainables.pretraining.shared_encoder import circumstances_digest
from trainables.pretraining.stages import Stages
from trainables.trial_config import TrialConfig, kept_lengths
from trainables.whole_files import DamagedFile, load_state

FOLDER_NAME = "trunks"  # beside the shared encoders


def branch_points(config: TrialConfig, batches_per_epoch: int) -> list[int]:
    """After how many batches a trial keeps its state, increasing; the last one is the start of its own cooldown."""
    points = {cooldown_start(length * batches_per_epoch, config) for length in kept_lengths(config.epochs)}
    return sorted(points - {0})


def discard_trunk(config: TrialConfig, encoders: Path) -> None:
    """Removes all states of the trunk of ``config``, which a trial that begins later will train itself.

    Args:
        config: of a trial that has had the trunk.
        encoders: the folder of the shared encoders.
    """
    if (trunk := config.trunk_hash()) is not None:
        for path in (encoders / FOLDER_NAME).glob(f"{trunk}-*.pt"):
            path.unlink(missing_ok=True)


class SharedTrunk:
    """The states of the trunk of one trial: one file each, written once and atomically.

    Args:
        encoder_path: of the trial; the trunks of all recipes are in a folder beside it. None: nothing is shared.
        config: of the trial. Nothing is shared either if its ``trunk_hash`` is None.
        stages: of the trial.
        data_checksum: of the images of the pretraining.
    """

    def __init__(self, encoder_path: Path | None, config: TrialConfig, stages: Stages, data_checksum: str) -> None:
        trunk = config.trunk_hash()
        self._stages, self._stem, self._points = stages, "", list[int]()
        if encoder_path is not None and trunk is not None:
            self._folder = encoder_path.parent / FOLDER_NAME
            self._stem = f"{trunk}-{circumstances_digest(data_checksum, stages.current.device.type)}"
            self._points = branch_points(config, stages.current.batches_per_epoch)

    def go_on(self) -> None:
        """Loads the latest state into the trial, which has not begun; nothing happens if there is none."""
        for point in sorted(self._kept(), reverse=True):
            if point <= self._points[-1] and (state := self._load(point)) is not None:
                self._stages.reuse_trunk(state)
                return

    @property
    def is_due(self) -> bool:
        """Whether the trial is at a branch point of which no state is kept."""
        point = self._stages.current.batches_done
        return point in self._points and point not in self._kept()

    def keep(self) -> None:
        """Keeps the state of the trial.

        Raises:
            TrialDiverged: if the loss has stopped being finite.
        """
        pretraining = self._stages.current
        pretraining.check_finite()
        with replacing(self._path(pretraining.batches_done)) as unfinished:
            torch.save(_without_reports(pretraining), unfinished)

    def _kept(self) -> list[int]:
        if not self._points:
            return []
        return [int(path.stem.rpartition("-")[2]) for path in self._folder.glob(f"{self._stem}-*.pt")]

    def _path(self, point: int) -> Path:
        return self._folder / f"{self._stem}-{point}.pt"

    def _load(self, point: int) -> dict[str, Any] | None:
        """The state, or None if it is damaged, and then removed, or has just been removed by others."""
        try:
            state: dict[str, Any] = load_state(self._path(point))
        except FileNotFoundError:
            return None
        except DamagedFile:
            self._path(point).unlink(missing_ok=True)
            return None
        return state


def _without_reports(pretraining: Pretraining) -> dict[str, Any]:
    """The state as it would be if there had been no interim report, whose ``train_loss`` is the mean since the last."""
    state = pretraining.state_dict()
    return state | {"loss_sum": state["whole_sum"], "loss_count": state["whole_count"], "last_mean_loss": float("nan")}
