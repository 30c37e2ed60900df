"""How likely a configuration satisfies the constraints of a study."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from study.decisions.search.model import Model
from study.decisions.search.results import Row
from study.decisions.search.space import Space
from study.spec import Constraint, Params

Floats = npt.NDArray[np.float64]


def is_feasible(row: Row, constraints: Sequence[Constraint]) -> bool:
    """Whether a result satisfies all constraints; those that it does not say count as satisfied."""
    return all(row.values.get(constraint.name, -np.inf) <= constraint.at_most for constraint in constraints)


def probability_of_feasibility(
    candidates: Sequence[Params],
    constraints: Sequence[Constraint],
    models: Mapping[str, Model],
    space: Space,
    done: Sequence[Row],
) -> Floats:
    """The probability that each candidate satisfies all constraints, which are taken to be independent.

    Args:
        candidates: configurations.
        constraints: of the study.
        models: of the metrics that are not known before training.
        space: knows the others, up to a factor.
        done: results, by which that factor is known.
    """
    likely = np.ones(len(candidates))
    for constraint in constraints:
        if constraint.name in models:
            model = models[constraint.name]
            mean, deviation = model.predict(candidates)
            bound = model.scores(np.array([constraint.at_most]))
            # The scores of a metric that is maximised fall with its values.
            likely *= ndtr((bound - mean) / deviation) if not model.maximise else ndtr((mean - bound) / deviation)
        elif (unit := space.unit(constraint.name, done)) is not None:
            known = np.array([space.known(params)[constraint.name] for params in candidates])
            likely *= known * unit <= constraint.at_most
    return likely
