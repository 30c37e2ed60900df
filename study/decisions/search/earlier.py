"""Results of an earlier study, which a model learns from as long as they are like those of this one."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import rankdata

from study.decisions.search.model import Model
from study.decisions.search.results import Row
from study.trainable import Metric

FEWEST = 4  # results of this study by which an earlier one is judged


class Earlier:
    """The results of an earlier study, judged anew for each metric after each result of this one.

    A model of the earlier results alone has to order the results of this study better than chance. The length scale of
    the column that tells the two studies apart (``Inputs``) weighs what passes; but no length scale says that the
    opposite is true, and until it is short, an opposite study steers every proposal.

    Args:
        rows: the results.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows, self._models = list(rows), dict[str, Model]()

    def __bool__(self) -> bool:
        return bool(self._rows)

    def rows_for(self, metric: Metric, maximise: bool, done: Sequence[Row]) -> list[Row]:
        """The earlier results, for the model of a metric; none if they order the results of ``done`` wrongly."""
        own = [row for row in done if metric.name in row.values]
        if len(own) < FEWEST or not any(metric.name in row.values for row in self._rows):
            return self._rows
        if metric.name not in self._models:
            self._models[metric.name] = Model(
                metric, maximise, [replace(row, is_prior=False) for row in self._rows], []
            )
        model = self._models[metric.name]
        expected = rankdata(model.predict([row.point for row in own]).mean)
        measured = rankdata(model.scores(np.array([row.values[metric.name] for row in own])))
        return self._rows if np.cov(expected, measured)[0, 1] > 0 else []
