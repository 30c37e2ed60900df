"""Whether the front of a search still moves: how much its hypervolume gained over the last complete configurations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from study.record.configurations import Configuration, configurations
from study.record.front import comparable_means, nondominated
from study.record.front_probability import as_drawn
from study.record.hypervolume import MARGIN, ReferenceBox
from study.record.journal import StudyRecord
from study.record.metrics import objectives_of
from study.record.region import region_in
from study.trainable import Metric

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FrontGain:
    """What the last complete configurations of a search added to its front.

    Args:
        share: of the present hypervolume, that they added, in [0, 1]; None while there is nothing to compare with.
        configurations: over how many it is taken.
        judged: how many of these there are so far.
        least: the gain below which the search ends, as a share.
    """

    share: float | None
    configurations: int
    judged: int
    least: float

    @property
    def is_plateau(self) -> bool:
        """Whether the front no longer moves."""
        return self.share is not None and self.share < self.least

    def __str__(self) -> str:
        ends = f"the search ends below {100 * self.least:.3g}%"
        if self.judged < self.configurations:
            return f"front: {self.judged} of {self.configurations} complete configurations to judge it by; {ends}"
        if self.share is None:
            return f"front: nothing on it before the last {self.configurations} complete configurations; {ends}"
        return (
            f"front: hypervolume +{100 * self.share:.2g}% over the last {self.configurations} complete configurations; "
            f"{f'it no longer moves, below {100 * self.least:.3g}%' if self.is_plateau else ends}"
        )


def front_gain(record: StudyRecord, design: Mapping[str, Any] | None = None) -> FrontGain | None:
    """The gain by which a search is judged; None if it has no such criterion.

    A function of the record alone: configurations count in the order in which their last jobs began, whichever ended
    first; unless trials are paused, that is the order in which they were proposed. Confirmations and arms of a
    comparison do not count. Where the number of trials was raised, only what was begun since then is judged, so that
    asking for more gives more.

    Args:
        record: the study.
        design: the plain design to judge it by; by default the recorded one.
    """
    design = record.spec.get("design", {}) if design is None else design
    rule = (design.get("budget") or {}).get("plateau")
    if not rule:
        return None
    is_raised = design.get("trials", 0) > record.spec.get("design", {}).get("trials", 0)
    since = record.num_jobs if is_raised else record.extended_at
    complete = [one for one in configurations(record, len(record.spec.get("seeds", [0]))) if one.state == "complete"]
    complete.sort(key=_last_job)
    judged = sum(_last_job(one) >= since for one in complete)
    count, least = rule["configurations"], rule["gain"]
    if judged < count or len(complete) == count:
        return FrontGain(None, count, min(judged, count), least)
    objectives = objectives_of(record)
    points = comparable_means(complete, objectives, record)
    return FrontGain(_gain(points, count, objectives, record), count, count, least)


def _last_job(one: Configuration) -> int:
    return max(trial.jobs[-1] if trial.jobs else trial.number for trial in one.trials)


def _gain(points: Floats, last: int, objectives: Sequence[Metric], record: StudyRecord) -> float | None:
    """The share of the hypervolume of ``points`` that the ``last`` of them added; None if there was none before."""
    is_known = np.asarray(np.isfinite(points).all(axis=1))
    if not is_known.any():
        return None
    region = {bound.name: bound.value for bound in region_in(record.spec.get("objectives", [])).bounds}
    bounds = np.array([region.get(objective.name, np.nan) for objective in objectives])
    known = as_drawn(points[is_known], objectives)
    is_log = np.asarray(np.any(known != points[is_known], axis=0))
    bounds[is_log] = np.log(bounds[is_log])
    box = _box(known, bounds, [objective.maximise for objective in objectives])
    before = box.share(known[: int(is_known[:-last].sum())])
    now = box.share(known)
    return (now - before) / now if before > 0 else None


def _box(points: Floats, bounds: Floats, maximise: Sequence[bool]) -> ReferenceBox:
    """A box that depends on no unit: from a tenth of the front's range beyond its worst values to its best values.

    Ranges of the front, not of all configurations: one that diverged must not make all gains look small. Costs come as
    logarithms. Where the region of interest has a bound, the box ends there; where the front has no range, the range of
    all configurations counts.
    """
    front = points[nondominated(points, maximise)]
    best = np.where(maximise, front.max(axis=0), front.min(axis=0))
    worst = np.where(maximise, front.min(axis=0), front.max(axis=0))
    spans, widest = np.ptp(front, axis=0), np.ptp(points, axis=0)
    margins = np.where(spans > 0, MARGIN * spans, np.where(widest > 0, widest, 1.0))
    reference = np.where(np.isfinite(bounds), bounds, worst + margins * np.where(maximise, -1, 1))
    ideal = np.where(best == reference, reference + np.where(maximise, 1.0, -1.0), best)
    return ReferenceBox(tuple(reference.tolist()), tuple(ideal.tolist()), tuple(maximise))
