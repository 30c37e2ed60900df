"""Proposals by expected hypervolume improvement per cost, as a pure function of the journal.

A cheap start (``start``); then models of what is not known before training (``model``), and the point whose result is
expected to add most to the hypervolume for its cost. Objectives are traded by the share of the space that is better
(``traded``).
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from study.decisions.optuna_search import Proposal
from study.decisions.search.beliefs import WORTH, Beliefs, Cost
from study.decisions.search.earlier import Earlier
from study.decisions.search.feasibility import is_feasible, probability_of_feasibility
from study.decisions.search.improvement import expected_improvement
from study.decisions.search.model import Model
from study.decisions.search.results import Row, rows_of
from study.decisions.search.space import Point, Space
from study.decisions.search.start import start
from study.decisions.search.traded import Traded
from study.record.configurations import Configuration, configurations
from study.record.front import nondominated
from study.record.journal import StudyRecord
from study.spec import PriorTrial, Search, StudySpec
from study.streams import stream_seed
from study.trainable import Metric, Trainable, trainable_of

Floats = npt.NDArray[np.float64]
POOL, MUTANTS = 1000, 300  # candidates: drawn from the space once, and changed from the best so far
COST_EXPONENT = 0.7  # of the cost by which an improvement is divided; with 1, the cheapest trials go on for too long
SHORTLIST = 50  # candidates of which it is asked what they could reuse
MOST_PENDING = 500  # that the model is told of, the newest; the time that it takes grows with their number cubed
LEAST_SPENT = 0.05  # of its cost by a trial that reuses most of another: evaluation costs, too
LEAST_GAIN = 1e-6  # of the hypervolume; where no more is expected anywhere, the smallest gains are no guide
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
        self._spec, self._seed, self._scale = spec, seed, scale
        self._space = Space(spec, seed + spec.seeds[0])
        self._trainable = trainable_of(spec.base)
        described = {metric.name: metric for metric in self._trainable.metrics(spec.base)}
        self._objectives = [objective.name for objective in spec.objectives]
        names = dict.fromkeys([*self._objectives, *(constraint.name for constraint in spec.constraints)])
        known = self._space.at([0.5] * len(self._space.names)).known
        self._beliefs = Beliefs(spec.design.believed, self._space)
        if self._beliefs and not known:  # what costs little has to be predicted
            names |= {m.name: None for m in described.values() if m.is_cost and not (m.is_clocked and spec.window)}
        self._metrics = [described.get(name, Metric(name, "minimize")) for name in names]
        self._unknown = [metric for metric in self._metrics if metric.name not in known]
        # What an improvement is divided by: a known cost, an objective if possible; else a cost that is an objective.
        self._known_cost = next((name for name in [*self._objectives, *known] if name in known), None)
        costs = [metric.name for metric in self._unknown if metric.is_cost and metric.name in self._objectives]
        self._modelled_cost = costs[0] if costs and self._known_cost is None else None
        self._earlier = Earlier([_as_row(prior, self._space, self._objectives) for prior in spec.warm_start])
        self._num_start, self._start = 0, list[Point]()
        self._pool: list[Point] = []
        self._final_rows: dict[str, list[Row]] = {}  # configuration name -> observations, if they will not change

    def propose(self, record: StudyRecord) -> Proposal | None:
        """The factor values of the next configuration, or None if the space seems exhausted.

        Neither what equals an earlier config (``Trainable.identity``) is proposed, nor what is excluded.
        """
        earlier = configurations(record, len(self._spec.seeds))
        arms = self._spec.compares.choices() if self._spec.compares else {}
        known = [self._point(one) for one in earlier] + [self._space.point(params) for params in arms.values()]
        taken = {point.identity for point in known}
        rng = np.random.default_rng(stream_seed(self._seed, "proposal", len(earlier)))
        with threadpool_limits(1):  # the last digits of a sum may depend on their number
            best_first = self._candidates(earlier, rng)
        for point in chain(best_first, self._space.drawn(MAX_DRAWS, rng)):
            if self._spec.is_excluded(point.params) is None and point.identity not in taken:
                return Proposal(point.params)
        return None

    def _candidates(self, earlier: Sequence[Configuration], rng: np.random.Generator) -> list[Point]:
        """Some points of the space, the best first."""
        if not self._pool:
            self._num_start, self._start = start(self._space, stream_seed(self._seed, "start"), self._known_cost)
            self._pool = list(self._space.drawn(POOL, np.random.default_rng(stream_seed(self._seed, "pool"))))
        rows = [row for one in earlier for row in self._rows(one)]
        done = [row for row in rows if not row.is_interim and not row.is_failure]
        number = len(earlier) - len(self._spec.references)
        if not self._earlier and (number < self._num_start or not done):
            return self._start[number:]
        # What a rung has ended counts as if it had come to what is expected of it, too: else the search would propose
        # its neighbours for ever, as none of them gets to a result.
        states = ("running", "stopped", "paused")
        pending = [self._point(one) for one in earlier if one.state in states and not one.completed]
        pending = pending[-MOST_PENDING:]
        directions = {objective.name: objective.maximise for objective in self._spec.objectives}
        models = {}
        for metric in self._unknown:
            maximise = directions.get(metric.name, False)
            told = self._earlier.rows_for(metric, maximise, done) + rows
            if any(metric.name in row.values for row in told):  # a constraint may be on what nothing has reported yet
                models[metric.name] = Model(metric, maximise, told, pending)
        return self._ordered(models, done, pending, [self._point(one) for one in earlier], rng)

    def _ordered(
        self,
        models: Mapping[str, Model],
        done: Sequence[Row],
        pending: Sequence[Point],
        begun: Sequence[Point],
        rng: np.random.Generator,
    ) -> list[Point]:
        """Candidates by the hypervolume that they are expected to add, for their cost, to what is there or expected."""
        constraints = self._spec.constraints
        traded = [Traded(one, models.get(one.name), done, pending) for one in self._spec.objectives]
        scores = np.column_stack([one.scores for one in traded])
        scores[[i for i, row in enumerate(done) if not is_feasible(row, constraints)]] = np.inf
        is_best = nondominated(scores, [False] * len(traded))
        parents = [point for point, best in zip([*(r.point for r in done), *pending], is_best, strict=True) if best]
        believed = self._beliefs.untried(begun, [*parents, *self._pool])
        candidates = self._pool + self._space.mutated(parents, MUTANTS, rng) + believed
        predicted = {name: model.predict(candidates) for name, model in models.items()}
        front, reference, marginals = [], [], []
        for one, column in zip(traded, scores[is_best].T, strict=True):
            its = predicted.get(one.name)
            ranks = one.ranks(self._pool, its and its.first(POOL))
            front.append(ranks(column))
            reference.append(one.reference(ranks))
            marginals.append(one.marginal(ranks, candidates, its))
        gain = expected_improvement(marginals, len(candidates), np.column_stack(front), np.array(reference))
        gain *= probability_of_feasibility(candidates, constraints, models, predicted, done)
        if gain.max() < LEAST_GAIN:  # as where a region of interest is out of reach: towards it, at any cost
            score = -np.sum(
                [np.maximum(0, one.expected() - end) for one, end in zip(marginals, reference, strict=True)], axis=0
            )
        elif self._modelled_cost is not None and models[self._modelled_cost].is_cost:
            score = per_cost(gain, models[self._modelled_cost].size(predicted[self._modelled_cost].mean))
        else:
            score = per_cost(gain, self._spent(candidates, gain, done))
        is_due = np.zeros(len(candidates), dtype=bool)
        if believed:
            at = slice(len(candidates) - len(believed), None)
            is_due[at] = self._beliefs.are_due(believed, begun, done, self._costs(models))
            is_due[at] &= WORTH * gain[at] >= gain.max()
        return [candidates[place] for place in np.lexsort((-score, ~is_due))]

    def _costs(self, models: Mapping[str, Model]) -> list[Cost]:
        """What configurations cost: the known cost, else all that are modelled."""
        name = self._known_cost
        if name is not None:
            return [lambda many: np.array([point.known[name] for point in many], dtype=float)]
        costs = [model for model in models.values() if model.is_cost]
        return [lambda many, model=model: model.size(model.predict(many).mean) for model in costs]  # type: ignore[misc]

    def _spent(self, candidates: Sequence[Point], gain: Floats, done: Sequence[Row]) -> Floats:
        """What each candidate would cost, less what others have left for it to reuse; 1 where costs are not known.

        What can be reused is asked for the most promising ones alone.
        """
        name = self._known_cost
        if name is None:
            return np.ones(len(candidates))
        cost = np.array([point.known[name] for point in candidates], dtype=float)
        if type(self._trainable).reusable is Trainable.reusable:
            return cost
        others = tuple(row.point.config for row in done)
        promising = {*np.argsort(-gain)[:SHORTLIST], *np.argsort(-per_cost(gain, cost))[:SHORTLIST]}
        for place in promising:
            saved = self._trainable.reusable(candidates[place].config, others).get(name, 0.0)
            cost[place] = max(cost[place] - saved, LEAST_SPENT * cost[place])
        return cost

    def _point(self, configuration: Configuration) -> Point:
        return self._space.point(configuration.params, configuration.name)

    def _rows(self, configuration: Configuration) -> list[Row]:
        if (found := self._final_rows.get(configuration.name)) is not None:
            return found
        rows = rows_of(configuration, self._point(configuration), self._metrics, self._objectives, self._share)
        if configuration.is_final:
            self._final_rows[configuration.name] = rows
        return rows

    def _share(self, point: Point, report: Mapping[str, Any]) -> float:
        """The share of its training after which a trial made a report, in (0, 1]."""
        total = self._trainable.total_progress(point.config, self._scale)
        done = report.get(self._trainable.progress, report["milestone"])
        return min(1.0, max(1e-3, done / total)) if total else 1.0


def _as_row(prior: PriorTrial, space: Space, objectives: Sequence[str]) -> Row:
    values = dict(zip(objectives, prior.values, strict=True))
    return Row(space.point(dict(prior.params)), values, is_prior=True)


def per_cost(gain: Floats, cost: Floats) -> Floats:
    """The logarithm of gain per cost, by which candidates are ordered."""
    return np.log(np.maximum(gain, 1e-300)) - COST_EXPONENT * np.log(np.maximum(cost, 1e-300))
