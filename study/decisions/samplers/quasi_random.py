"""A scrambled Sobol' sequence, which covers the space more evenly than random search."""

from optuna.samplers import BaseSampler, QMCSampler, RandomSampler

from study.spec import Search, StudySpec
from study.streams import stream_seed


def sampler(design: Search, seed: int, spec: StudySpec, num_drawn: int) -> BaseSampler:
    """``seed`` is that of the study: all proposals are points of one sequence, of which ``num_drawn`` were drawn."""
    conditional = RandomSampler(seed=stream_seed(seed, "conditional", num_drawn) % 2**32)
    return QMCSampler(
        seed=seed,
        scramble=True,
        warn_independent_sampling=False,
        warn_asynchronous_seeding=False,
        independent_sampler=conditional,
    )
