"""The objectives on the scale on which they are traded: the share of the space that is better."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from study.decisions.search.improvement import Gaussian, Marginal, Nodes
from study.decisions.search.model import Model
from study.decisions.search.results import Row
from study.decisions.search.scores import NODE_WEIGHTS, NODES, Ranks
from study.decisions.search.space import Space
from study.spec import Objective, Params

Floats = npt.NDArray[np.float64]


class KnownObjective:
    """An objective that is known before training.

    Args:
        objective: which one.
        space: which knows it, up to a factor.
        pool: points drawn evenly from the space.
        done: results, by which the factor is known.
    """

    def __init__(self, objective: Objective, space: Space, pool: Sequence[Params], done: Sequence[Row]) -> None:
        self._name, self._sign, self._space = objective.name, -1.0 if objective.maximise else 1.0, space
        self._ranks = Ranks(self._values(pool), np.zeros(len(pool)), np.zeros(0))
        self.reference = 1.0
        unit = space.unit(objective.name, done)
        if objective.bound is not None and unit is not None:
            self.reference = float(self._ranks(np.array([self._sign * objective.bound / unit]))[0])

    def points(self, done: Sequence[Row], pending: Sequence[Params]) -> Floats:
        """The shares of results and of what is under way."""
        return self._ranks(self._values([*(row.params for row in done), *pending]))

    def marginal(self, candidates: Sequence[Params]) -> Marginal:
        """The shares of candidates."""
        return Gaussian(self._ranks(self._values(candidates)), np.zeros(len(candidates)))

    def _values(self, many: Sequence[Params]) -> Floats:
        return self._sign * np.array([self._space.known(params)[self._name] for params in many], dtype=float)


class ModelledObjective:
    """An objective that a model predicts; ``pool`` as above."""

    def __init__(self, objective: Objective, model: Model, pool: Sequence[Params], done: Sequence[Row]) -> None:
        self._model = model
        self._done = model.scores(np.array([row.values[objective.name] for row in done]))
        self._ranks = Ranks(*model.predict(pool), self._done)
        self.reference = 1.0
        if objective.bound is not None:
            self.reference = float(self._ranks(model.scores(np.array([objective.bound])))[0])

    def points(self, done: Sequence[Row], pending: Sequence[Params]) -> Floats:
        """The shares of results, as they were measured, and those that are expected of what is under way."""
        return self._ranks(np.r_[self._done, self._model.predict(pending)[0]])

    def marginal(self, candidates: Sequence[Params]) -> Marginal:
        """What is believed of the shares of candidates."""
        mean, deviation = self._model.predict(candidates)
        return Nodes(self._ranks(mean[:, None] + deviation[:, None] * NODES), NODE_WEIGHTS / NODE_WEIGHTS.sum())
