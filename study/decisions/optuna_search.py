"""Optuna's proposals as a pure function of the journal.

Each proposal builds an in-memory Optuna study from the whole journal and asks a sampler that is seeded for this one
proposal. There is no search state that a crash could lose: after a restart the same history gives the same proposal.
"""

import copy
import json
import warnings
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.record.configurations import Configuration, configurations
from study.record.journal import StudyRecord
from study.spec import Params, PriorTrial, Search, StudySpec
from study.spec.choices import draw
from trainables.cost import PassCost, count_pass_cost, train_pflop_per_batch
from trainables.encoders import build_encoder
from trainables.streams import stream_seed
from trainables.trial_config import TrialConfig

GUIDED_REDRAWS, MAX_REDRAWS = 10, 500
NUM_STARTUP_TRIALS = 8
COSTS = ("train_pflop", "view_passes", "train_seconds")
EVEN = ("random", "qmc")  # samplers that must not be biased towards cheap configs
# The fields that determine the cost of a view pass, together with each config's counts of views and passes.
NETWORK_FIELDS = ("method", "encoder", "stem", "image_size", "projector_hidden_dim", "projector_dim", "adversary")
TRIALS_PER_GENERATION = (8, 50)  # minimum and maximum, for the genetic samplers


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
        self._hashes: dict[str, str] = {}  # configuration name -> content hash
        self._ended: dict[str, FrozenTrial] = {}  # configuration name -> Optuna trial, if it will not change
        self._pass_costs: dict[str, PassCost] = {}  # by network
        knows_cost = any(objective.name in COSTS for objective in spec.objectives)
        self._num_candidates = self._design.cheapest_of if knows_cost and self._design.sampler not in EVEN else 1

    def propose(self, record: StudyRecord) -> Proposal | None:
        """The factor values of the next configuration, or None if the space seems exhausted.

        A config that equals an earlier one (same content hash) is not proposed again: its result would be the same.
        If the sampler keeps proposing known configs, further draws are uniform; after 500 draws in all, the space
        counts as exhausted. Running trials are reported to the sampler as running. See ``Search.cheapest_of`` for the
        choice among several proposals.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        earlier = configurations(record, len(self._spec.seeds))
        known = {self._known_hash(configuration) for configuration in earlier}
        study = self._study(record, len(earlier))
        found: list[Proposal] = []
        for redraw in range(MAX_REDRAWS):
            draw_seed = stream_seed(self._seed, "proposal", len(earlier), redraw) % 2**32
            if redraw >= GUIDED_REDRAWS:
                study.sampler = RandomSampler(seed=draw_seed)
            elif self._design.sampler != "qmc":
                study.sampler = _sampler(self._design, draw_seed)
            trial = study.ask()
            params = draw(trial, self._spec)
            if _config_hash(params, self._spec) not in known:
                notes = study.get_trials(deepcopy=False)[trial.number].system_attrs
                generation = {key: value for key, value in notes.items() if key.endswith(":generation")}
                found.append(Proposal(params, generation))
            study.tell(trial, state=TrialState.FAIL)
            if len(found) == self._num_candidates or (found and redraw >= GUIDED_REDRAWS):
                break
        return min(found, key=self._cost, default=None)

    def _cost(self, proposal: Proposal) -> float:
        """The pretraining cost of a proposal, up to a factor common to all proposals of a study."""
        if self._num_candidates == 1:
            return 0.0
        config = self._spec.config(proposal.params, seed=0)
        return config.epochs * train_pflop_per_batch(config, self._pass_cost(config), 1)

    def _pass_cost(self, config: TrialConfig) -> PassCost:
        network = json.dumps({name: getattr(config, name) for name in NETWORK_FIELDS})
        if network not in self._pass_costs:
            num_classes = 10 if config.method == "supervised" else None  # the cost hardly depends on the number
            self._pass_costs[network] = count_pass_cost(build_encoder(config, 0, num_classes), config)
        return self._pass_costs[network]

    def _study(self, record: StudyRecord, length: int) -> optuna.Study:
        """The Optuna study shown to the sampler: the full history, except for samplers that do not use it."""
        match self._design.sampler:
            case "random":
                return optuna.create_study(directions=[objective.direction for objective in self._spec.objectives])
            case "qmc":
                return _start_sequence(self._spec, self._seed, length)
        return as_optuna_study(record, self._spec, self._ended)

    def _known_hash(self, configuration: Configuration) -> str:
        if configuration.name not in self._hashes:
            self._hashes[configuration.name] = _config_hash(configuration.params, self._spec)
        return self._hashes[configuration.name]


def as_optuna_study(record: StudyRecord, spec: StudySpec, ended: dict[str, FrozenTrial] | None = None) -> optuna.Study:
    """The configurations as an in-memory Optuna study: complete with mean values, stopped as PRUNED, failed as FAIL.

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
            constraints = configuration.violates(spec)
        case "stopped":
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


def _from_prior(prior: PriorTrial, spec: StudySpec) -> FrozenTrial:
    params = dict(prior.params)
    distributions = _distributions(params, spec)
    return create_trial(state=TrialState.COMPLETE, values=prior.values, params=params, distributions=distributions)


def _distributions(params: Params, spec: StudySpec) -> dict[str, optuna.distributions.BaseDistribution]:
    return {factor.name: factor.domain() for factor in spec.factors if factor.name in params}


def _sampler(design: Search, seed: int) -> BaseSampler:
    least, most = TRIALS_PER_GENERATION
    population = max(least, min(most, design.trials // 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match design.sampler:
            case "tpe":
                # group: models conditional factors where they are active; constant_liar: accounts for running trials.
                return TPESampler(
                    seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=NUM_STARTUP_TRIALS
                )
            case "gp":
                return GPSampler(seed=seed, n_startup_trials=NUM_STARTUP_TRIALS, warn_independent_sampling=False)
            case "nsga2":
                return NSGAIISampler(seed=seed, population_size=population)
            case "nsga3":
                return NSGAIIISampler(seed=seed, population_size=population)
            case "random":
                return RandomSampler(seed=seed)
    raise AssertionError(design.sampler)


def _start_sequence(spec: StudySpec, seed: int, length: int) -> optuna.Study:
    """A study with ``length`` points of the quasi-random sequence already drawn: the sampler counts in the study."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = QMCSampler(
            seed=seed, scramble=True, warn_independent_sampling=False, warn_asynchronous_seeding=False,
            independent_sampler=RandomSampler(seed=stream_seed(seed, "conditional", length) % 2**32),
        )  # fmt: skip
    study = optuna.create_study(directions=[objective.direction for objective in spec.objectives], sampler=sampler)
    for _ in range(length):
        trial = study.ask()
        draw(trial, spec)
        study.tell(trial, [0.0] * len(spec.objectives))
    return study


def _config_hash(params: Params, spec: StudySpec) -> str:
    return spec.config(params, seed=0).content_hash()
