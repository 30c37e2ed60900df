"""How much of the variation of an objective each factor accounts for, by Optuna's evaluators."""

import json
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, json_to_distribution
from optuna.trial import create_trial

from study.record.intervals import Z_95
from study.record.trials import FACTOR_PREFIX, TrialTable
from study.trainable import Metric

MIN_TRIALS = 30  # of a dozen trials, the most important factor is often another one after one trial more
SHALLOW = {"n_trees": 32, "max_depth": 8}  # deeper trees take minutes for a thousand trials
FEW_TREES = SHALLOW | {"n_trees": 4}
MOST_FITTED = 1000  # trials; the time to fit grows with their number, and what is found hardly changes
NUM_RESAMPLES, MOST_RESAMPLED = 20, 100


@dataclass(frozen=True)
class Importance:
    """The importance of each factor for one objective; the importances of one evaluator sum to 1.

    ``factors`` has the columns 'fANOVA' (variance over the whole space) and 'PED-ANOVA' (what distinguishes the best
    tenth from the rest), and of each the ends of its 95% interval ('fANOVA low', 'fANOVA high'), one row per factor,
    the most important first.
    """

    objective: Metric
    num_trials: int
    factors: pd.DataFrame

    @property
    def tells_apart(self) -> bool:
        """Whether fANOVA's intervals of at least two factors do not overlap."""
        return bool(self.factors["fANOVA low"].max() > self.factors["fANOVA high"].min())


def importances(table: TrialTable) -> list[Importance]:
    """The importances for every objective of the study that is no cost, from its complete trials.

    Of more than 1,000 trials, so many are drawn at random. Factors that are not active in every trial, or that never
    varied, are left out: the evaluators need a value of every factor for every trial. fANOVA: Hutter et al. (2014);
    PED-ANOVA: Watanabe et al. (2023), arXiv:2304.10255.

    Returns:
        Nothing if there are fewer than 30 trials with finite objectives, or fewer than two factors are left.
    """
    trials = table.trusted.dropna(subset=[objective.name for objective in table.objectives])
    trials = trials if len(trials) <= MOST_FITTED else trials.sample(MOST_FITTED, random_state=0)
    factors = _common_factors(table, trials)
    trials = trials.assign(**{FACTOR_PREFIX + name: trials[FACTOR_PREFIX + name].map(_scalar) for name in factors})
    if len(trials) < MIN_TRIALS or len(factors) < 2:
        return []
    distributions = {name: _distribution(table, name, trials[FACTOR_PREFIX + name]) for name in factors}
    return [
        Importance(objective, len(trials), _for_objective(trials, distributions, objective))
        for objective in table.objectives
        if not objective.is_cost and trials[objective.name].nunique() > 1
    ]


def _common_factors(table: TrialTable, trials: pd.DataFrame) -> list[str]:
    columns = {name: trials[FACTOR_PREFIX + name] for name in table.factors}
    return [name for name, values in columns.items() if values.notna().all() and values.map(str).nunique() > 1]


def _scalar(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


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


def _for_objective(trials: pd.DataFrame, distributions: dict[str, BaseDistribution], objective: Metric) -> pd.DataFrame:
    """The importances of both evaluators with their intervals."""
    found = _evaluated(trials, distributions, objective, SHALLOW)
    spread = _bootstrapped(trials, distributions, objective)
    for name in list(found):
        reach = Z_95 * spread[name]
        found[f"{name} low"], found[f"{name} high"] = (found[name] - reach).clip(0), (found[name] + reach).clip(upper=1)
    return found.sort_values("fANOVA", ascending=False, kind="stable")


def _bootstrapped(trials: pd.DataFrame, distributions: dict[str, BaseDistribution], objective: Metric) -> pd.DataFrame:
    """The standard error of each importance, over trials drawn with replacement.

    Of many trials, m = 100 are drawn and the spread is scaled by sqrt(m / n) (Bickel, Gotze and van Zwet, 1997). Small
    forests save time and make intervals somewhat too wide.
    """
    generator = np.random.default_rng(0)
    size = min(len(trials), MOST_RESAMPLED)
    drawn: list[pd.DataFrame] = []
    while len(drawn) < NUM_RESAMPLES:
        sample = trials.iloc[generator.integers(len(trials), size=size)]
        if sample[objective.name].nunique() > 1:
            drawn.append(_evaluated(sample, distributions, objective, FEW_TREES))
    spread = np.std(np.array([one.to_numpy(float) for one in drawn]), axis=0, ddof=1) * math.sqrt(size / len(trials))
    return pd.DataFrame(spread, index=drawn[0].index, columns=drawn[0].columns)


def _evaluated(
    trials: pd.DataFrame, distributions: dict[str, BaseDistribution], objective: Metric, forest: dict[str, int]
) -> pd.DataFrame:
    """The importances of both evaluators, from the trials as an in-memory Optuna study, which minimises."""
    # Brings scikit-learn: half a second of four for the report of a small study.
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study, sign = optuna.create_study(), -1 if objective.maximise else 1
    study.add_trials([
        create_trial(
            value=sign * row[objective.name],
            params={name: row[FACTOR_PREFIX + name] for name in distributions},
            distributions=distributions,
        )
        for row in trials.to_dict("records")
    ])  # fmt: skip
    evaluators = {"fANOVA": FanovaImportanceEvaluator(seed=0, **forest), "PED-ANOVA": PedAnovaImportanceEvaluator()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = {name: get_param_importances(study, evaluator=one) for name, one in evaluators.items()}
    return pd.DataFrame(columns).reindex(list(distributions))
