"""Ray Tune's single-objective ASHA with the interface of ``MultiObjectiveAsha``; the journal holds its state."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ray.tune.schedulers import AsyncHyperBandScheduler

from study.spec import Rungs

UNREACHABLE = 2**62  # Ray requires one end for all trials, but theirs differ


def rule(stopping: Rungs, first_rung: int, maximise: Sequence[bool]) -> "SingleObjectiveAsha":
    """The rule of a study with ``RayAsha``."""
    return SingleObjectiveAsha(first_rung, stopping.eta, maximise[0])


@dataclass(frozen=True)
class _TrialId:
    """The only part of a trial that Ray's scheduler reads."""

    trial_id: str


class SingleObjectiveAsha:
    """Asks a fresh ``AsyncHyperBandScheduler`` that has been given every earlier report in order.

    Ray does not save its scheduler in a form that survives a restart, lets trials that report NaN continue, and may
    answer differently when asked again; here the first answer stands, and a non-finite value stops the trial.

    Args:
        first_rung: progress at the first rung.
        eta: reduction factor.
        maximise: whether larger values of the objective are better.
    """

    def __init__(self, first_rung: int, eta: int, maximise: bool) -> None:
        self._first_rung, self._eta, self._mode = first_rung, eta, "max" if maximise else "min"
        self._reports: list[tuple[str, int, float]] = []
        self._kept: dict[tuple[str, int], bool] = {}
        self._reasons: dict[tuple[str, int], str] = {}

    def decide(
        self, uid: str, milestone: int, values: Sequence[float | None], among: Collection[str] | None = None
    ) -> bool:
        """Records a trial's objective at a milestone, returns whether it may continue; see ``MultiObjectiveAsha``."""
        if (uid, milestone) in self._kept:
            return self._kept[uid, milestone]
        (value,) = values
        kept, reason = False, "not finite"
        if value is not None and math.isfinite(value):
            shown = [report for report in self._reports if among is None or report[0] in among]
            kept = self._ask([*shown, (uid, milestone, float(value))])
            reason = f"by Ray's ASHA, {sum(report[1] == milestone for report in shown) + 1} trials here"
        self._note(uid, milestone, value, kept)
        self._reasons[uid, milestone] = reason
        return kept

    def restore(self, uid: str, milestone: int, values: Sequence[float | None], kept: bool) -> None:
        """Restores a decision that was made before a restart."""
        self._note(uid, milestone, values[0], kept)

    def explain(self, uid: str, milestone: int) -> str:
        """The reason for the decision about a trial; only for decisions made by ``decide``, not restored ones."""
        return self._reasons[uid, milestone]

    def _note(self, uid: str, milestone: int, value: float | None, kept: bool) -> None:
        if value is not None and math.isfinite(value):
            self._reports.append((uid, milestone, float(value)))
        self._kept[uid, milestone] = kept

    def _ask(self, reports: list[tuple[str, int, float]]) -> bool:
        scheduler = AsyncHyperBandScheduler(
            time_attr="progress",
            metric="value",
            mode=self._mode,
            grace_period=self._first_rung,
            reduction_factor=self._eta,
            max_t=UNREACHABLE,
        )
        answer = scheduler.CONTINUE
        added = set()
        for uid, milestone, value in reports:
            trial = _TrialId(uid)
            if uid not in added:
                scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
                added.add(uid)
            answer = scheduler.on_trial_result(None, trial, {"progress": milestone, "value": value})  # type: ignore[arg-type]
        return answer == scheduler.CONTINUE
