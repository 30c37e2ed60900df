"""What is expected of each metric that is not known before training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from study.decisions.search.results import Row, as_results, bounded
from study.decisions.search.scores import Kind, Scores
from study.decisions.search.space import Point
from study.decisions.search.surrogate import Surrogate
from study.trainable import Metric

Floats = npt.NDArray[np.float64]
SHORTEST_SHARE = 1 / 16  # of a training, two steps from its result for the model
STEP = 0.25  # from a result to a report of the same training, or to an earlier study, in units of a column


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
    """Configurations as columns of a model: at the end of their training or at a rung, of this study or an earlier one.

    How alike the latter two are follows from the length scales of the columns that tell them apart.

    Args:
        rows: all observations; where they are alike in one of these respects, there is no column for it.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._has_rungs, self._has_priors = any(row.is_interim for row in rows), any(row.is_prior for row in rows)

    def at_end(self, many: Sequence[Point]) -> Floats:
        """Configurations that are trained to their ends."""
        return self.of_rows([Row(point, {}) for point in many])

    def of_rows(self, rows: Sequence[Row]) -> Floats:
        """Observations, as they were made."""
        columns = [np.array([row.point.columns for row in rows])]
        if self._has_rungs:
            far = [row.is_interim * (1 + math.log(row.share) / math.log(SHORTEST_SHARE)) for row in rows]
            columns.append(STEP * np.array(far)[:, None])
        if self._has_priors:
            columns.append(STEP * np.array([[float(row.is_prior)] for row in rows]))
        return np.hstack(columns)


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
        kind: Kind = "powers",
    ) -> None:
        self.name, self.maximise, self._sign = metric.name, maximise, -1.0 if maximise else 1.0
        own = [row for row in rows if metric.name in row.values or (row.is_failure and not metric.is_cost)]
        self._rows = bounded(own)
        self.inputs = Inputs(self._rows)
        known = [value for value in as_results(self._rows, metric) if value is not None]
        worst = min(known) if maximise else max(known)
        measured = [worst if value is None else value for value in as_results(self._rows, metric)]
        values = self._sign * np.array(measured)
        self.is_cost = metric.is_cost and min(known) > 0
        self._scores = Scores(values, "logarithms" if self.is_cost else kind)
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
