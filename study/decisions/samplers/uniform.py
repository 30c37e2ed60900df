"""Random search."""

from optuna.samplers import BaseSampler, RandomSampler

from study.spec import Search, StudySpec


def sampler(design: Search, seed: int, spec: StudySpec, num_drawn: int) -> BaseSampler:
    """Uniform over the distributions, whatever the results."""
    return RandomSampler(seed=seed)
