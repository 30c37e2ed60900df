"""Which configurations are on a Pareto front."""

from collections.abc import Sequence

import moocore
import numpy as np
import numpy.typing as npt

from study.record.configurations import Configuration, measured_configurations, rounded
from study.record.journal import StudyRecord
from study.record.metrics import objectives_of
from study.record.region import region_in
from study.trainable import Metric

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def nondominated(values: Floats, maximise: Sequence[bool]) -> Flags:
    """Marks the rows of ``values`` (n, objectives) that no other row dominates; equal rows are all kept.

    Rows with a value that is not finite take no part. With one objective, the best rows are marked.
    """
    takes_part = np.isfinite(values).all(axis=1)
    members = np.zeros(len(values), dtype=bool)
    if takes_part.any():
        if len(maximise) == 1:
            column = values[takes_part, 0] * (1 if maximise[0] else -1)
            members[takes_part] = column == column.max()
        else:
            members[takes_part] = moocore.is_nondominated(values[takes_part], maximise=list(maximise), keep_weakly=True)
    return members


def comparable_means(groups: Sequence[Configuration], objectives: Sequence[Metric], record: StudyRecord) -> Floats:
    """The means over seeds (configurations, objectives); NaN for configurations that no front may hold.

    Left out are those of which a trial failed or was stopped (a mean without it is optimistic, and being stopped is
    cheap), those that failed a validity check (a collapsed encoder, a broken attack) and those that break a constraint.
    """
    constraints = [(item["name"], item["at_most"]) for item in record.spec.get("constraints", [])]
    rows = []
    for one in groups:
        is_out = one.is_lost or one.validity or any(excess > 0 for excess in one.excess(constraints).values())
        means = [None if is_out else one.mean(objective.name) for objective in objectives]
        rows.append([np.nan if mean is None else rounded(mean) for mean in means])
    return np.array(rows, dtype=float).reshape(len(groups), len(objectives))


def front_of(record: StudyRecord) -> list[Configuration]:
    """The configurations on the front of all objectives of the study, oldest first."""
    groups, objectives = measured_configurations(record), objectives_of(record)
    if not objectives:
        return []
    means = comparable_means(groups, objectives, record)
    members = nondominated(means, [objective.maximise for objective in objectives])
    return [one for one, is_member in zip(groups, members, strict=True) if is_member]


def front_inside(record: StudyRecord, front: Sequence[Configuration]) -> list[Configuration]:
    """Those of the members of ``front`` that are in the study's region of interest: all of them if it has none."""
    distances = _distances(record, front)
    return [one for one, distance in zip(front, distances, strict=True) if distance == 0]


def nearest_to_region(record: StudyRecord, front: Sequence[Configuration]) -> Configuration | None:
    """The member of ``front`` that misses the study's region of interest by the least; None of an empty front."""
    distances = _distances(record, front)
    return front[int(np.argmin(distances))] if len(front) else None


def _distances(record: StudyRecord, front: Sequence[Configuration]) -> Floats:
    objectives = objectives_of(record)
    region = region_in(record.spec.get("objectives", []))
    return region.distances(comparable_means(front, objectives, record), [objective.name for objective in objectives])
