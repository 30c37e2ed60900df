"""Proposals by expected hypervolume improvement per cost, as a pure function of the journal.

A cheap start (``start``); then models of what is not known before training (``model``), and the point whose result is
expected to add most to the hypervolume for its cost. Objectives are traded by the share of the space that is better
(``traded``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from study.decisions.optuna_search import Proposal
from study.decisions.search.feasibility import is_feasible, probability_of_feasibility
from study.decisions.search.improvement import expected_improvement
from study.decisions.search.model import Model
from study.decisions.search.results import Row, rows_of
from study.decisions.search.space import Space
from study.decisions.search.start import start
from study.decisions.search.traded import KnownObjective, ModelledObjective
from study.record.configurations import Configuration, configurations
from study.record.front import nondominated
from study.record.journal import StudyRecord
from study.spec import Params, Search, StudySpec
from study.streams import stream_seed
from study.trainable import Metric

Floats = npt.NDArray[np.float64]
POOL, MUTANTS = 1000, 300  # candidates: drawn from the space once, and changed from the best so far
COST_EXPONENT = 1.0  # of the cost by which an improvement is divided
FEWEST_RESULTS = 3  # for a model
MAX_DRAWS = 500  # without one that is new: then the space counts as exhausted


class SurrogateSearch:
    """Proposes configurations; what it keeps between proposals is only a cache.

    Args:
        spec: a spec whose design is a ``Search``.
        seed: of the study.
        scale: how much progress ``first_rung=1`` means (``Trainable.scale``).
    """

    def __init__(self, spec: StudySpec, seed: int, scale: int = 1) -> None:
        assert isinstance(spec.design, Search)
        self._spec, self._seed, self._scale, self._space = spec, seed, scale, Space(spec)
        described = {metric.name: metric for metric in self._space.trainable.metrics(spec.base)}
        self._objectives = [objective.name for objective in spec.objectives]
        names = dict.fromkeys([*self._objectives, *(constraint.name for constraint in spec.constraints)])
        self._metrics = [described.get(name, Metric(name, "minimize")) for name in names]
        known = self._space.known(self._space.at([0.5] * len(self._space.names)))
        self._unknown = [metric for metric in self._metrics if metric.name not in known]
        # What an improvement is divided by: a known cost, an objective if possible; else a cost that is an objective.
        self._known_cost = next((name for name in [*self._objectives, *known] if name in known), None)
        costs = [metric.name for metric in self._unknown if metric.is_cost and metric.name in self._objectives]
        self._modelled_cost = costs[0] if costs and self._known_cost is None else None
        self._begin: list[Params] | None = None
        self._pool: list[Params] = []

    def propose(self, record: StudyRecord) -> Proposal | None:
        """The factor values of the next configuration, or None if the space seems exhausted.

        Neither what equals an earlier config (``Trainable.identity``) is proposed, nor what is excluded.
        """
        earlier = configurations(record, len(self._spec.seeds))
        arms = self._spec.compares.choices() if self._spec.compares else {}
        taken = {self._space.identity(params) for params in [*(one.params for one in earlier), *arms.values()]}
        rng = np.random.default_rng(stream_seed(self._seed, "proposal", len(earlier)))
        with threadpool_limits(1):  # the last digits of a sum may depend on their number
            best_first = self._candidates(earlier, rng)
        for params in [*best_first, *self._space.drawn(MAX_DRAWS, rng)]:
            if self._spec.is_excluded(params) is None and self._space.identity(params) not in taken:
                return Proposal(params)
        return None

    def _candidates(self, earlier: Sequence[Configuration], rng: np.random.Generator) -> list[Params]:
        """Some points of the space, the best first."""
        if self._begin is None:
            self._begin = start(self._space, stream_seed(self._seed, "start"), self._known_cost)
            self._pool = self._space.drawn(POOL, np.random.default_rng(stream_seed(self._seed, "pool")))
        rows = [row for one in earlier for row in rows_of(one, self._metrics, self._objectives, self._share)]
        done = [row for row in rows if not row.is_interim and not row.is_failure]
        number = len(earlier) - len(self._spec.references)
        if number < len(self._begin) or len(done) < FEWEST_RESULTS:
            return self._begin[number:]
        pending = [one.params for one in earlier if one.state == "running" and not one.completed]
        directions = {objective.name: objective.maximise for objective in self._spec.objectives}
        models = {
            metric.name: Model(metric, directions.get(metric.name, False), rows, pending, self._space)
            for metric in self._unknown
        }
        return self._ordered(models, done, pending, rng)

    def _ordered(
        self, models: Mapping[str, Model], done: Sequence[Row], pending: Sequence[Params], rng: np.random.Generator
    ) -> list[Params]:
        """Candidates by the hypervolume that they are expected to add, for their cost."""
        traded = [
            ModelledObjective(objective, models[objective.name], self._pool, done)
            if objective.name in models
            else KnownObjective(objective, self._space, self._pool, done)
            for objective in self._spec.objectives
        ]
        points = np.column_stack([one.points(done, pending) for one in traded])
        counts = np.array([is_feasible(row, self._spec.constraints) for row in done] + [True] * len(pending))
        points[~counts] = np.inf
        is_best = nondominated(points, [False] * len(traded))
        parents = [params for params, best in zip([*(r.params for r in done), *pending], is_best, strict=True) if best]
        candidates = self._pool + self._space.mutated(parents, MUTANTS, rng)
        gain = expected_improvement(
            [one.marginal(candidates) for one in traded],
            len(candidates),
            points[is_best],
            np.array([one.reference for one in traded]),
        )
        gain *= probability_of_feasibility(candidates, self._spec.constraints, models, self._space, done)
        score = np.log(np.maximum(gain, 1e-300)) - COST_EXPONENT * np.log(self._costs(candidates, models))
        return [candidates[place] for place in np.argsort(-score, kind="stable")]

    def _costs(self, candidates: Sequence[Params], models: Mapping[str, Model]) -> Floats:
        """What each candidate costs, or is expected to; 1 where costs are no objective and are not known."""
        if self._modelled_cost is not None:
            model = models[self._modelled_cost]
            return model.size(model.predict(candidates)[0])
        if self._known_cost is None:
            return np.ones(len(candidates))
        return np.maximum(1e-300, [self._space.known(params)[self._known_cost] for params in candidates])

    def _share(self, params: Params, report: Mapping[str, Any]) -> float:
        """The share of its training after which a trial made a report, in (0, 1]."""
        total = self._space.trainable.total_progress(self._spec.config(params, seed=0), self._scale)
        done = report.get(self._space.trainable.progress, report["milestone"])
        return min(1.0, max(1e-3, done / total)) if total else 1.0
