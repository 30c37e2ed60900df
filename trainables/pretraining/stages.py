"""The pretrainings of one trial, one after the other: its own alone, or a teacher's before its student's."""

from typing import Any

import torch
from torch import Tensor

from trainables.data.stored_images import Images
from trainables.pretraining.distillation import hand_over
from trainables.pretraining.encoders import Encoder
from trainables.pretraining.methods import METHODS
from trainables.pretraining.pretrain import Pretraining
from trainables.trial_config import TrialConfig


class Stages:
    """The state of a trial's pretrainings, of which one is under way: ``current``.

    Costs are those of all stages, whoever trained them.

    Args:
        config: of the trial; see ``TrialConfig.stages``.
        images: training images (N, 3, S, S), uint8, in CPU memory or in a file.
        labels: (N,) int64; used only by methods that need them.
        device: where to train.
        num_processes: that train together.

    Raises:
        ValueError: if there are fewer images than one batch, or the processes do not fit.
    """

    def __init__(
        self, config: TrialConfig, images: Images, labels: Tensor, device: torch.device, num_processes: int = 1
    ) -> None:
        self.stages = [
            Pretraining(stage, images, device, labels if METHODS[stage.method].needs_labels else None, num_processes)
            for stage in config.stages()
        ]
        self.shared: list[bool] = []  # of each stage that has ended: whether another trial had trained it
        self.trunk_costs: dict[str, float] = {}  # of the part of the only stage that another trial had trained

    @property
    def current(self) -> Pretraining:
        """The stage that is under way, or the last one."""
        return self.stages[len(self.shared)]

    @property
    def is_last(self) -> bool:
        """Whether no stage follows."""
        return self.current is self.stages[-1]

    @property
    def is_finished(self) -> bool:
        """Whether the last stage is complete."""
        return self.is_last and self.current.is_finished

    @property
    def encoder(self) -> Encoder:
        """What the trial has by now: in the first of two stages, the teacher."""
        return self.current.encoder

    @property
    def view_passes(self) -> int:
        """View passes so far."""
        return sum(stage.view_passes for stage in self.stages)

    @property
    def total_view_passes(self) -> int:
        """View passes of the whole trial."""
        return sum(stage.num_batches * stage.view_passes_per_batch for stage in self.stages)

    @property
    def total_pflop(self) -> float:
        """PFLOP (1e15 operations) of all stages from start to end."""
        return sum(stage.total_pflop for stage in self.stages)

    def hardware(self) -> list[str]:
        """What the seconds were clocked on, in order, each once."""
        return list(dict.fromkeys(name for stage in self.stages for name in stage.hardware))

    def costs(self) -> dict[str, float]:
        """What all stages have cost so far: ``view_passes``, ``train_pflop`` (1e15 operations), ``train_seconds``.

        The seconds cover training batches only. They exclude torch.compile, which the first trial of a process runs for
        all later trials of equal shapes.
        """
        return _costs(self.stages)

    def reused_costs(self, is_current_shared: bool = False) -> dict[str, float]:
        """The same of what another trial had trained, as ``reused_view_passes`` and so on.

        That is all of it where the current stage is shared, else those earlier stages that are, or the trunk.
        """
        shared = [is_current_shared or is_shared for is_shared in [*self.shared, False]]
        stages = [stage for stage, is_shared in zip(self.stages, shared, strict=False) if is_shared]
        reused = _costs(stages) if stages else self.trunk_costs
        return {f"reused_{name}": value for name, value in reused.items()}

    def curve(self) -> list[dict[str, float]]:
        """What was measured of each epoch so far, by ``view_passes`` of the whole trial; a teacher's by other names."""
        rows, before = [], 0
        for stage in self.stages:
            prefix = "" if stage is self.stages[-1] else "teacher_"
            for row in stage.measures.rows:
                passes = before + int(row["epoch"]) * stage.batches_per_epoch * stage.view_passes_per_batch
                rows.append({"view_passes": passes} | {prefix + name: value for name, value in row.items()})
            before += stage.num_batches * stage.view_passes_per_batch
        return rows

    def advance(self, is_shared: bool) -> None:
        """Goes on to the next stage, whose teacher is the encoder of the stage that has just ended."""
        teacher = self.current
        if self.is_last or not teacher.is_finished:
            raise ValueError("only a stage that is finished and not the last is followed by another")
        self.shared.append(is_shared)
        hand_over(teacher.encoder, self.current)

    def reuse_trunk(self, state: dict[str, Any]) -> None:
        """Goes on from the state of another trial's pretraining; what that has cost is reused."""
        self.current.load_state_dict(state)
        self.trunk_costs = _costs([self.current])

    def state_dict(self) -> dict[str, Any]:
        """The state of the current stage, and what is still needed of earlier ones: their seconds and measures."""
        return self.current.state_dict() | self._earlier()

    def finished_state(self) -> dict[str, Any]:
        """The same for the end of the current stage, without what only further updates would need."""
        return self.current.finished_state() | self._earlier()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a state that either of the above returned for an equal pretraining config."""
        earlier = state.get("earlier", [])  # earlier versions had one stage
        self.shared = [is_shared for is_shared, *_ in earlier]
        for stage, (_, seconds, hardware, *rows) in zip(self.stages, earlier, strict=False):
            stage.batches_done, stage.train_seconds, stage.hardware = stage.num_batches, seconds, hardware
            stage.measures.rows = [dict(row) for row in (rows[0] if rows else [])]  # earlier versions had none
        self.trunk_costs = state.get("trunk_costs", {})  # earlier versions had no trunks
        self.current.load_state_dict(state)

    def _earlier(self) -> dict[str, Any]:
        ended = self.stages[: len(self.shared)]
        pairs = zip(self.shared, ended, strict=True)
        earlier = [(is_shared, s.train_seconds, s.hardware, s.measures.rows) for is_shared, s in pairs]
        return {"earlier": earlier, "trunk_costs": self.trunk_costs}


def _costs(stages: list[Pretraining]) -> dict[str, float]:
    return {
        "view_passes": sum(stage.view_passes for stage in stages),
        "train_pflop": sum(stage.train_pflop for stage in stages),
        "train_seconds": sum(stage.train_seconds for stage in stages),
    }
