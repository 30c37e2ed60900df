"""The curve of a trial: what is measured while it trains, in rows by view passes."""

from collections.abc import Callable

from trainables.checkpoint import TrialCheckpoint
from trainables.evaluation.evaluate import Metrics
from trainables.evaluation.probe_training import ProbeTraining
from trainables.pretraining.stages import Stages

OnMeasured = Callable[[dict[str, float]], None]


class TrialCurve:
    """Tells each row of a trial's curve once; first those of an earlier attempt, or of another trial's encoder.

    Args:
        stages: of the trial.
        checkpoint: of the trial, which keeps the accuracies at milestones.
        on_measured: takes a row: ``view_passes``, and a number for each measure. A full fine-tuning comes after the
            last view pass.
    """

    def __init__(self, stages: Stages, checkpoint: TrialCheckpoint, on_measured: OnMeasured) -> None:
        self._stages, self._checkpoint, self._on_measured, self._num_told = stages, checkpoint, on_measured, 0

    def tell(self, probe: ProbeTraining | None = None) -> None:
        """Tells the rows that are new."""
        rows = [*self._stages.curve(), *self._checkpoint.evaluated]
        rows.sort(key=lambda row: row["view_passes"])
        passes = self._stages.view_passes
        for row in probe.measures.rows if probe else ():
            rows.append({"view_passes": passes} | {f"finetuning_{name}": value for name, value in row.items()})
        for row in rows[self._num_told :]:
            self._on_measured(row)
        self._num_told = len(rows)

    def tell_accuracies(self, metrics: Metrics) -> None:
        """Tells the accuracies of an evaluation at a milestone."""
        names = ("view_passes", *(name for name in metrics if name.startswith("val_") and name != "val_n"))
        self._checkpoint.evaluated.append({name: metrics[name] for name in names})
        self.tell()
