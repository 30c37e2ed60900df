"""Optuna's proposals as a pure function of the journal.

Each proposal builds an in-memory Optuna study from all that the journal says and asks a sampler seeded for this one
proposal. There is no search state that a crash could lose: after a restart the same history gives the same proposal.
"""

import math
import warnings
from collections.abc import Iterable
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.journal import StudyRecord, TrialRecord
from study.proposals import draw
from study.spec import Params, Search, StudySpec
from trainables.streams import stream_seed

GUIDED_REDRAWS, MAX_REDRAWS = 10, 500
NUM_STARTUP_TRIALS = 8


def propose(record: StudyRecord, spec: StudySpec, seed: int) -> Params | None:
    """The factor values of the next trial, or None where the space seems exhausted.

    A config that equals an earlier one (same content hash) is not proposed again: the number would be the same. Where a
    sampler insists on what is known, further draws are uniform; after 500 of them the space counts as exhausted.

    Args:
        record: all earlier trials; running ones are told to the sampler as running.
        spec: with a design of kind ``Search``.
        seed: of the study.
    """
    known = {_config_hash(trial.params, spec) for trial in record.trials.values()}
    study = as_optuna_study(record.trials.values(), spec)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for redraw in range(MAX_REDRAWS):
        draw_seed = stream_seed(seed, "proposal", len(record.trials), redraw) % 2**32
        study.sampler = _sampler(spec, draw_seed) if redraw < GUIDED_REDRAWS else RandomSampler(seed=draw_seed)
        trial = study.ask()
        params = draw(trial, spec)
        if _config_hash(params, spec) not in known:
            return params
        study.tell(trial, state=TrialState.FAIL)
    return None


def as_optuna_study(trials: Iterable[TrialRecord], spec: StudySpec) -> optuna.Study:
    """The trials as an Optuna study in memory: complete with values, stopped as PRUNED, failed as FAIL.

    A complete trial whose validity checks failed is told as FAIL too: a broken attack must not attract the search.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=[objective.direction for objective in spec.objectives])
    study.add_trials([_as_optuna_trial(trial, spec) for trial in trials])
    return study


def _as_optuna_trial(trial: TrialRecord, spec: StudySpec) -> FrozenTrial:
    state, values = TrialState.RUNNING, None
    user_attributes: dict[str, Any] = {"uid": trial.uid}
    match trial.state:
        case "complete":
            reported = [trial.metrics.get(objective.name) for objective in spec.objectives]
            if trial.metrics.get("validity"):
                reported = [None] * len(reported)
            finite = [float(value) for value in reported if value is not None and math.isfinite(value)]
            # A value that is not finite would leave the Optuna trial running for ever.
            state, values = (TrialState.COMPLETE, finite) if len(finite) == len(reported) else (TrialState.FAIL, None)
        case "stopped":
            # No values: those of a truncated trial must not pass for a result. The last ones are kept for the reader.
            state = TrialState.PRUNED
            user_attributes["last_report"] = trial.reports[-1] if trial.reports else None
        case "failed":
            state = TrialState.FAIL
    distributions = {factor.name: factor.domain() for factor in spec.factors if factor.name in trial.params}
    params = {name: trial.params[name] for name in distributions}
    return create_trial(
        state=state, values=values, params=params, distributions=distributions, user_attrs=user_attributes
    )


def _sampler(spec: StudySpec, seed: int) -> BaseSampler:
    assert isinstance(spec.design, Search)
    match spec.design.sampler:
        case "tpe":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                # group: conditional factors are modelled where they are active; constant_liar: trials run in parallel.
                return TPESampler(
                    seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=NUM_STARTUP_TRIALS
                )
        case "random":
            return RandomSampler(seed=seed)


def _config_hash(params: Params, spec: StudySpec) -> str:
    return spec.config(params, seed=0).content_hash()
