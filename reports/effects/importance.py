"""How much of the variation of an objective each factor accounts for, by Optuna's evaluators."""

import json
import warnings
from dataclasses import dataclass
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, json_to_distribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from study.record.trials import FACTOR_PREFIX, TrialTable
from study.trainable import Metric

MIN_TRIALS = 10
SHALLOW = {"n_trees": 32, "max_depth": 8}  # deeper trees take minutes for a thousand trials


@dataclass(frozen=True)
class Importance:
    """The importance of each factor for one objective; the importances of one evaluator sum to 1.

    ``factors`` has the columns 'fANOVA' (variance over the whole space) and 'PED-ANOVA' (what distinguishes the best
    tenth from the rest), one row per factor, the most important first.
    """

    objective: Metric
    num_trials: int
    factors: pd.DataFrame


def importances(table: TrialTable) -> list[Importance]:
    """The importances for every objective of the study, from its complete trials.

    Factors that are not active in every trial, or that never varied, are left out: the evaluators need a value of every
    factor for every trial. fANOVA: Hutter et al. (2014); PED-ANOVA: Watanabe et al. (2023), arXiv:2304.10255.

    Returns:
        Nothing if there are fewer than ten trials with finite objectives, or fewer than two factors are left.
    """
    trials = table.trusted.dropna(subset=[objective.name for objective in table.objectives])
    factors = _common_factors(table, trials)
    if len(trials) < MIN_TRIALS or len(factors) < 2:
        return []
    study = _as_optuna_study(table, trials, factors)
    return [
        Importance(objective, len(trials), _for_objective(study, index, objective))
        for index, objective in enumerate(table.objectives)
        if trials[objective.name].nunique() > 1
    ]


def _common_factors(table: TrialTable, trials: pd.DataFrame) -> list[str]:
    columns = {name: trials[FACTOR_PREFIX + name] for name in table.factors}
    return [name for name, values in columns.items() if values.notna().all() and values.map(str).nunique() > 1]


def _as_optuna_study(table: TrialTable, trials: pd.DataFrame, factors: list[str]) -> optuna.Study:
    """The trials as an in-memory Optuna study, with the search space from the journal."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = [
        StudyDirection.MAXIMIZE if objective.maximise else StudyDirection.MINIMIZE for objective in table.objectives
    ]
    study = optuna.create_study(directions=directions)
    distributions = {name: _distribution(table, name, trials[FACTOR_PREFIX + name]) for name in factors}
    for row in trials.to_dict("records"):
        params = {name: row[FACTOR_PREFIX + name] for name in factors}
        values = [row[objective.name] for objective in table.objectives]
        study.add_trial(
            create_trial(state=TrialState.COMPLETE, values=values, params=params, distributions=distributions)
        )
    return study


def _distribution(table: TrialTable, factor: str, values: pd.Series) -> BaseDistribution:
    """The factor's distribution in the journal; if missing, or if values lie outside it, one over those that occur."""
    for spec in table.study.spec.get("factors", []):
        if spec["name"] == factor and spec.get("distribution"):
            distribution = json_to_distribution(json.dumps(spec["distribution"]))
            if all(_contains(distribution, value) for value in values.unique()):
                return distribution
    if values.map(lambda value: isinstance(value, int | float) and not isinstance(value, bool)).all():
        return FloatDistribution(float(values.min()), float(values.max()))
    return CategoricalDistribution(sorted(values.unique(), key=str))


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:
        return False


def _for_objective(study: optuna.Study, index: int, objective: Metric) -> pd.DataFrame:
    # PED-ANOVA regards lower targets as better.
    sign = -1 if objective.maximise else 1
    evaluators = {"fANOVA": FanovaImportanceEvaluator(seed=0, **SHALLOW), "PED-ANOVA": PedAnovaImportanceEvaluator()}
    columns = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, evaluator in evaluators.items():
            columns[name] = get_param_importances(
                study, evaluator=evaluator, target=lambda trial: sign * trial.values[index]
            )
    return pd.DataFrame(columns).sort_values("fANOVA", ascending=False, kind="stable")
