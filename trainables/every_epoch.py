"""Trials of robust SSL that are measured after every epoch, to be kept as a table of learning curves.

``EVERY_EPOCH`` trains and evaluates as ``ROBUST_SSL`` does, with three differences. The short probe of rungs looks at
the encoder after every epoch, although no rung decides anything there; what it finds is a row of the trial's curve.
Nothing is taken over from other trials or from an attempt that was interrupted, so that each trial's cost is its own.
And seconds of the processor are reported beside those of the clock, as these say little on cores that are shared.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from study.trainable import Context, Final, Interim, Measured, Progress, Report
from trainables.robust_ssl import RobustSSL
from trainables.trial_config import TrialConfig

if TYPE_CHECKING:
    from trainables.data.datasets import TrialData


class EveryEpochConfig(TrialConfig):
    """The config of such a trial; its fields are those of ``TrialConfig``."""

    trainable: ClassVar[str] = "trainables.every_epoch:EVERY_EPOCH"


class EveryEpoch(RobustSSL):
    """Each row of the curve that has ``epochs_done`` holds an interim evaluation, as rungs make it.

    Such a row, and the result, have ``train_cpu_seconds``: of the training so far and its set-up; and
    ``evaluation_cpu_seconds``: of the probe and all attacks of this one evaluation.
    """

    path = EveryEpochConfig.trainable
    config = EveryEpochConfig

    def run(self, config: TrialConfig, data: "TrialData", context: Context) -> Iterator[Report]:
        """The trial from its start, in one thread if the processor's seconds are to be those of one core."""
        context.checkpoint_path.unlink(missing_ok=True)
        per_epoch = (len(data.pretraining.labels) // config.batch_size) * config.batch_size
        per_epoch *= config.view_passes_per_image()
        milestones = [epoch * per_epoch for epoch in range(1, config.epochs)]
        train_seconds, asked = 0.0, time.process_time()
        for report in super().run(config, data, replace(context, shared_folder=None, milestones=milestones)):
            seconds = time.process_time() - asked
            spent = {"train_cpu_seconds": train_seconds, "evaluation_cpu_seconds": seconds}
            match report:
                case Interim(metrics=metrics):
                    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
                    yield Measured(numbers | spent | {"epochs_done": metrics["milestone"] // per_epoch})
                case Final(metrics=metrics):
                    yield replace(report, metrics=metrics | spent)
                case Progress():
                    train_seconds += seconds
                    yield report
                case _:
                    yield report
                    continue  # a row of the curve comes between a step and its report
            asked = time.process_time()


EVERY_EPOCH = EveryEpoch()
