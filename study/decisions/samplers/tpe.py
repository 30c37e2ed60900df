"""Tree-structured Parzen estimator (Optuna's default)."""

from optuna.samplers import BaseSampler, TPESampler

from study.decisions.samplers.start import NUM_STARTUP_TRIALS
from study.spec import Search, StudySpec


def sampler(design: Search, seed: int, spec: StudySpec, num_drawn: int) -> BaseSampler:
    """Models conditional factors where they are active (group) and accounts for running trials (constant liar)."""
    return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=NUM_STARTUP_TRIALS)
