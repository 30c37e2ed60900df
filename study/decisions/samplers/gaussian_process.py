"""Gaussian process with expected (hypervolume) improvement."""

from optuna.samplers import BaseSampler, GPSampler

from study.decisions.samplers.start import NUM_STARTUP_TRIALS
from study.spec import Search, StudySpec


def sampler(design: Search, seed: int, spec: StudySpec, num_drawn: int) -> BaseSampler:
    """Conditional factors are drawn independently."""
    return GPSampler(seed=seed, n_startup_trials=NUM_STARTUP_TRIALS, warn_independent_sampling=False)
