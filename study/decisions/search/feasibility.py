"""How likely a configuration satisfies the constraints of a study."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from study.decisions.search.model import Model, Prediction
from study.decisions.search.results import Row, unit_of
from study.decisions.search.space import Point
from study.spec import Constraint

Floats = npt.NDArray[np.float64]


def is_feasible(row: Row, constraints: Sequence[Constraint]) -> bool:
    """Whether a result satisfies all constraints; those that it does not say count as satisfied."""
    return all(row.values.get(constraint.name, -np.inf) <= constraint.at_most for constraint in constraints)


def probability_of_feasibility(
    candidates: Sequence[Point],
    constraints: Sequence[Constraint],
    models: Mapping[str, Model],
    predicted: Mapping[str, Prediction],
    done: Sequence[Row],
) -> Floats:
    """The probability that each candidate satisfies all constraints, which are taken to be independent.

    Args:
        candidates: configurations.
        constraints: of the study.
        models: of the metrics that are not known before training.
        predicted: what they say of the candidates.
        done: results, by which the unit of the others is known.
    """
    likely = np.ones(len(candidates))
    for constraint in constraints:
        if constraint.name in models:
            model = models[constraint.name]
            mean, deviation = predicted[constraint.name].mean, predicted[constraint.name].deviation
            bound = model.scores(np.array([constraint.at_most]))
            # The scores of a metric that is maximised fall with its values.
            likely *= ndtr((bound - mean) / deviation) if not model.maximise else ndtr((mean - bound) / deviation)
        elif (unit := unit_of(constraint.name, done)) is not None:
            known = np.array([point.known[constraint.name] for point in candidates])
            likely *= known * unit <= constraint.at_most
    return likely
