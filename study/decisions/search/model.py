"""What is expected of each metric that is not known before training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from study.decisions.search.results import Row, bounded
from study.decisions.search.scores import Kind, Scores
from study.decisions.search.space import Point
from study.decisions.search.surrogate import Surrogate
from study.trainable import Metric

Floats = npt.NDArray[np.float64]
SHORTEST_SHARE = 1 / 16  # of a training, one unit from its end for the model


@dataclass(frozen=True)
class Prediction:
    """Mean and standard deviation of the score of each of some points; smaller scores are better."""

    mean: Floats
    deviation: Floats

    def first(self, count: int) -> "Prediction":
        """Of the first ``count`` points."""
        return Prediction(self.mean[:count], self.deviation[:count])


NOTHING = Prediction(np.zeros(0), np.zeros(0))


class Inputs:
    """Configurations as columns of a model, at the end of their training or at a rung.

    Args:
        has_rungs: whether the model learns from interim reports; else there are no columns for them.
    """

    def __init__(self, has_rungs: bool) -> None:
        self._has_rungs = has_rungs

    def at_end(self, many: Sequence[Point]) -> Floats:
        """Configurations that are trained to their ends."""
        return self._with_shares(_columns(many), np.ones(len(many)), np.zeros(len(many)))

    def of_rows(self, rows: Sequence[Row]) -> Floats:
        """Observations, as they were made."""
        shares, interim = [row.share for row in rows], [float(row.is_interim) for row in rows]
        return self._with_shares(_columns([row.point for row in rows]), np.array(shares), np.array(interim))

    def _with_shares(self, columns: Floats, shares: Floats, interim: Floats) -> Floats:
        if not self._has_rungs or not len(columns):
            return columns
        return np.c_[columns, 1 - np.log(shares) / math.log(SHORTEST_SHARE), interim]


class Model:
    """A surrogate of one metric, on a scale on which smaller is better.

    Args:
        metric: which one; of costs, the logarithm is modelled.
        maximise: whether larger values are better.
        rows: the observations. A failure counts as the worst result, unless the metric is a cost.
        pending: configurations under way, which count as if they gave what is expected of them.
        kind: the scale for metrics that are no costs.
    """

    def __init__(
        self,
        metric: Metric,
        maximise: bool,
        rows: Sequence[Row],
        pending: Sequence[Point],
        kind: Kind = "normal scores",
    ) -> None:
        self.name, self.maximise, self._sign = metric.name, maximise, -1.0 if maximise else 1.0
        own = [row for row in rows if metric.name in row.values or (row.is_failure and not metric.is_cost)]
        self._rows = bounded(own)
        self.inputs = Inputs(any(row.is_interim for row in self._rows))
        known = [row.values[metric.name] for row in self._rows if metric.name in row.values]
        worst = min(known) if maximise else max(known)
        values = self._sign * np.array([row.values.get(metric.name, worst) for row in self._rows])
        is_positive = metric.is_cost and min(known) > 0
        self._scores = Scores(values, "logarithms" if is_positive else kind)
        self._surrogate = Surrogate(self.inputs.of_rows(self._rows), self._scores(values))
        if pending:
            columns = self.inputs.at_end(pending)
            self._surrogate.told(columns, self._surrogate.predict(columns)[0])

    def predict(self, many: Sequence[Point]) -> Prediction:
        """The scores of configurations at their ends."""
        return Prediction(*self._surrogate.predict(self.inputs.at_end(many))) if many else NOTHING

    def scores(self, values: Floats) -> Floats:
        """Measured values as scores, of which smaller ones are better."""
        return self._scores(self._sign * values)

    def size(self, scores: Floats) -> Floats:
        """The costs that have these scores."""
        return self._scores.size(scores)


def _columns(many: Sequence[Point]) -> Floats:
    return np.array([point.columns for point in many])
