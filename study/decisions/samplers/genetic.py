"""Genetic algorithms: NSGA-II and NSGA-III."""

from optuna.samplers import BaseSampler, NSGAIIISampler, NSGAIISampler

from study.spec import Search, StudySpec

TRIALS_PER_GENERATION = (8, 50)  # minimum and maximum


def nsga2(design: Search, seed: int, spec: StudySpec, num_drawn: int) -> BaseSampler:
    """Five generations, as far as their size allows."""
    return NSGAIISampler(seed=seed, population_size=_population(design))


def nsga3(design: Search, seed: int, spec: StudySpec, num_drawn: int) -> BaseSampler:
    """Five generations, as far as their size allows."""
    return NSGAIIISampler(seed=seed, population_size=_population(design))


def _population(design: Search) -> int:
    least, most = TRIALS_PER_GENERATION
    return max(least, min(most, design.trials // 5))
