"""Optuna's proposals as a pure function of the journal.

Each proposal builds an in-memory Optuna study from the whole journal and asks a sampler that is seeded for this one
proposal. There is no search state that a crash could lose: after a restart the same history gives the same proposal.
"""

import copy
import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.record.configurations import Configuration, configurations
from study.record.journal import StudyRecord
from study.record.region import region_in
from study.spec import SAMPLERS, Params, PriorTrial, Search, StudySpec
from study.spec.choices import draw
from study.streams import stream_seed
from study.trainable import trainable_of

GUIDED_REDRAWS, MAX_REDRAWS = 10, 500
MAX_EXCLUDED = 5000  # draws of excluded combinations, which do not count as redraws


@dataclass(frozen=True)
class Proposal:
    """Factor values, and the attributes that the sampler stored with them for later proposals."""

    params: Params
    sampler_attrs: dict[str, Any] = field(default_factory=dict)


class OptunaSearch:
    """Proposes configurations; what it keeps between proposals is only a cache.

    Args:
        spec: a spec whose design is a ``Search``.
        seed: of the study.
    """

    def __init__(self, spec: StudySpec, seed: int) -> None:
        assert isinstance(spec.design, Search)
        self._spec, self._seed, self._design = spec, seed, spec.design
        self._entry = SAMPLERS[spec.design.sampler]
        self._trainable = trainable_of(spec.base)
        self._identities: dict[str, str] = {}  # configuration name -> identity of its config
        self._ended: dict[str, FrozenTrial] = {}  # configuration name -> Optuna trial, if it will not change
        costs = {metric.name for metric in self._trainable.metrics(spec.base) if metric.is_cost}
        self._knows_cost = any(objective.name in costs for objective in spec.objectives)

    def propose(self, record: StudyRecord) -> Proposal | None:
        """The factor values of the next configuration, or None if the space seems exhausted.

        A config that equals an earlier one (``Trainable.identity``) is not proposed again: its result would be the
        same. Nor is an excluded combination (``StudySpec.excluded``). If the sampler keeps proposing such, further
        draws are uniform; after 500 draws of known configs, or 5,000 of excluded ones, the space counts as exhausted.
        Points of a sequence are drawn for as long as that. Running trials are reported to the sampler as running. See
        ``Search.cheapest_of`` for the choice among several proposals.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        earlier = configurations(record, len(self._spec.seeds))
        known = {self._known_identity(configuration) for configuration in earlier}
        arms = self._spec.compares.choices() if self._spec.compares else {}
        known |= {self._identity(params) for params in arms.values()}
        study = self._study(record, len(earlier))
        several = self._knows_cost and not self._entry.draws_evenly
        num_candidates = self._design.cheapest_of if several else 1
        candidates: list[Proposal] = []
        num_guided = MAX_REDRAWS if self._spec.excluded and self._entry.history == "sequence" else GUIDED_REDRAWS
        num_excluded, redraw = 0, -1
        while redraw + 1 - num_excluded < MAX_REDRAWS and num_excluded < MAX_EXCLUDED:
            redraw += 1
            draw_seed = stream_seed(self._seed, "proposal", len(earlier), redraw) % 2**32
            if redraw >= num_guided:
                study.sampler = RandomSampler(seed=draw_seed)
            elif self._entry.history != "sequence":
                study.sampler = self._sampler(draw_seed, len(earlier))
            trial = study.ask()
            params = draw(trial, self._spec)
            if self._spec.is_excluded(params) is not None:
                num_excluded += 1
            elif self._identity(params) not in known:
                notes = study.get_trials(deepcopy=False)[trial.number].system_attrs
                generation = {key: value for key, value in notes.items() if key.endswith(":generation")}
                candidates.append(Proposal(params, generation))
            study.tell(trial, state=TrialState.FAIL)
            if len(candidates) == num_candidates or (candidates and redraw >= num_guided):
                break
        return min(candidates, key=self._cost, default=None) if several else next(iter(candidates), None)

    def _cost(self, proposal: Proposal) -> float:
        """The cost of a proposal: the first one that the trainable knows before training."""
        known = self._trainable.known_metrics(self._spec.config(proposal.params, seed=0))
        return next(iter(known.values()), 0.0)

    def _study(self, record: StudyRecord, num_drawn: int) -> optuna.Study:
        """The Optuna study shown to the sampler: the full history, except for samplers that do not use it."""
        if self._entry.history == "all":
            return as_optuna_study(record, self._spec, self._ended)
        study = optuna.create_study(directions=[objective.direction for objective in self._spec.objectives])
        if self._entry.history == "sequence":  # the sampler counts the study's trials
            study.sampler = self._sampler(self._seed, num_drawn)
            for _ in range(num_drawn):
                trial = study.ask()
                draw(trial, self._spec)
                study.tell(trial, [0.0] * len(self._spec.objectives))
        return study

    def _sampler(self, seed: int, num_drawn: int) -> BaseSampler:
        module, _, name = self._entry.make.partition(":")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            made: BaseSampler = getattr(importlib.import_module(module), name)(
                self._design, seed, self._spec, num_drawn
            )
        return made

    def _identity(self, params: Params) -> str:
        return self._trainable.identity(self._spec.config(params, seed=0))

    def _known_identity(self, configuration: Configuration) -> str:
        if configuration.name not in self._identities:
            self._identities[configuration.name] = self._identity(configuration.params)
        return self._identities[configuration.name]


def as_optuna_study(record: StudyRecord, spec: StudySpec, ended: dict[str, FrozenTrial] | None = None) -> optuna.Study:
    """The configurations as an in-memory Optuna study.

    Complete ones have mean values, stopped and paused ones are PRUNED, failed ones are FAIL.

    A complete configuration whose validity checks failed is also reported as FAIL: a broken attack must not attract the
    search. The trials of a warm start come first. ``ended`` caches trials that will not change between calls.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = InMemoryStorage()
    study = optuna.create_study(storage=storage, directions=[objective.direction for objective in spec.objectives])
    study_id = storage.get_study_id_from_name(study.study_name)
    study.add_trials([_from_prior(prior, spec) for prior in spec.warm_start])
    ended = {} if ended is None else ended
    for configuration in configurations(record, len(spec.seeds)):
        trial = ended.get(configuration.name) or _as_optuna_trial(configuration, spec)
        if configuration.is_final:
            ended[configuration.name] = trial
        # ``Study.add_trial`` validates and deep-copies, which dominates the time per proposal after hundreds of trials.
        storage.create_new_trial(study_id, template_trial=_Unchanging(trial))  # type: ignore[arg-type]
    return study


@dataclass(frozen=True)
class _Unchanging:
    """Wraps an ended trial so that a deep copy of it is shallow: nothing modifies a trial that has ended."""

    trial: FrozenTrial

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        return copy.copy(self.trial)


def _as_optuna_trial(configuration: Configuration, spec: StudySpec) -> FrozenTrial:
    state, values, constraints = TrialState.RUNNING, None, None
    user_attributes: dict[str, Any] = {"uid": configuration.uid}
    match configuration.state:
        case "complete":
            means = [configuration.mean(objective.name) for objective in spec.objectives]
            finite = [mean for mean in means if mean is not None]
            # A non-finite value would leave the Optuna trial running forever.
            is_usable = configuration.is_trustworthy and len(finite) == len(means)
            state, values = (TrialState.COMPLETE, finite) if is_usable else (TrialState.FAIL, None)
            constraints = configuration.excess([(c.name, c.at_most) for c in spec.constraints])
            constraints |= _misses({o.name: configuration.mean(o.name) for o in spec.objectives}, spec)
        case "stopped" | "paused":
            # No values: those of a truncated trial must not pass for a result. The last report is kept for the reader.
            state = TrialState.PRUNED
            user_attributes["last_report"] = configuration.last_report()
        case "failed":
            state = TrialState.FAIL
    return create_trial(
        state=state,
        values=values,
        params=configuration.params,
        distributions=_distributions(configuration.params, spec),
        user_attrs=user_attributes,
        system_attrs=configuration.trials[0].sampler_attrs,
        constraints=constraints,
    )


def _misses(means: Mapping[str, float | None], spec: StudySpec) -> dict[str, float]:
    """By what share of its bound each objective misses the region of interest, which samplers take as constraints."""
    region = region_in([objective.__dict__ for objective in spec.objectives])
    return {f"region {name}": miss for name, miss in region.misses(means).items()}


def _from_prior(prior: PriorTrial, spec: StudySpec) -> FrozenTrial:
    params = dict(prior.params)
    values = dict(zip((objective.name for objective in spec.objectives), prior.values, strict=True))
    return create_trial(
        state=TrialState.COMPLETE,
        values=prior.values,
        params=params,
        distributions=_distributions(params, spec),
        constraints=_misses(values, spec) or None,
    )


def _distributions(params: Params, spec: StudySpec) -> dict[str, optuna.distributions.BaseDistribution]:
    return {factor.name: factor.domain() for factor in spec.factors if factor.name in params}
