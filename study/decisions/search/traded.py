"""The objectives on the scale on which they are traded: the share of the space that is better."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from study.decisions.search.improvement import Gaussian, Marginal, Nodes
from study.decisions.search.model import Model, Prediction
from study.decisions.search.results import Row, unit_of
from study.decisions.search.scores import NODE_WEIGHTS, NODES, Ranks
from study.decisions.search.space import Point
from study.spec import Objective

Floats = npt.NDArray[np.float64]


class Traded:
    """An objective: known before training, or predicted by a model. Smaller scores are better.

    Args:
        objective: which one.
        model: that predicts it; None if it is known.
        done: results.
        pending: what is under way.
    """

    def __init__(
        self, objective: Objective, model: Model | None, done: Sequence[Row], pending: Sequence[Point]
    ) -> None:
        self.name, self._objective, self._model, self._done = objective.name, objective, model, done
        self._sign = -1.0 if objective.maximise else 1.0
        if model is None:
            self.scores = self._known([*(row.point for row in done), *pending])
        else:
            measured = np.array([row.values[objective.name] for row in done])
            self.scores = np.r_[model.scores(measured), model.predict(pending).mean]

    def ranks(self, pool: Sequence[Point], predicted: Prediction | None) -> Ranks:
        """Scores as shares of the space, of which ``pool`` was drawn evenly and ``predicted`` by the model."""
        if predicted is None:
            return Ranks(self._known(pool), np.zeros(len(pool)), self.scores)
        return Ranks(predicted.mean, predicted.deviation, self.scores)

    def reference(self, ranks: Ranks) -> float:
        """The worst share that counts: where the region of interest ends, else the whole space."""
        bound = self._objective.bound
        if bound is None:
            return 1.0
        if self._model is not None:
            return float(ranks(self._model.scores(np.array([bound])))[0])
        unit = unit_of(self._objective.name, self._done)
        return 1.0 if unit is None else float(ranks(np.array([self._sign * bound / unit]))[0])

    def marginal(self, ranks: Ranks, candidates: Sequence[Point], predicted: Prediction | None) -> Marginal:
        """What is believed of the shares of candidates, of which the model has ``predicted`` the scores."""
        if predicted is None:
            return Gaussian(ranks(self._known(candidates)), np.zeros(len(candidates)))
        scores = predicted.mean[:, None] + predicted.deviation[:, None] * NODES
        return Nodes(ranks(scores), NODE_WEIGHTS / NODE_WEIGHTS.sum())

    def _known(self, many: Sequence[Point]) -> Floats:
        return self._sign * np.array([point.known[self._objective.name] for point in many], dtype=float)
