"""The samplers of a search, by the name that ``--sampler`` takes. A new one is a line here and the file it names."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SamplerEntry:
    """Where a sampler is made, and what it can do.

    Args:
        make: the function ``(design, seed, spec, num_drawn) -> optuna sampler``, as ``module:name``; empty for our own.
        history: what it is shown: all trials, none, or as many points of its sequence as were drawn already.
        learns_from_priors: whether a warm start helps; genetic samplers breed from their own generations alone.
        draws_evenly: whether choosing the cheapest of several proposals would spoil it.
    """

    make: str = ""
    history: Literal["all", "none", "sequence"] = "all"
    learns_from_priors: bool = False
    draws_evenly: bool = False

    @property
    def is_optuna(self) -> bool:
        """Whether it is one of Optuna's; else it is ``study.decisions.search``."""
        return bool(self.make)


SAMPLERS = {
    "tpe": SamplerEntry("study.decisions.samplers.tpe:sampler", learns_from_priors=True),
    "nsga2": SamplerEntry("study.decisions.samplers.genetic:nsga2"),
    "nsga3": SamplerEntry("study.decisions.samplers.genetic:nsga3"),
    "gp": SamplerEntry("study.decisions.samplers.gaussian_process:sampler", learns_from_priors=True),
    "ehvi": SamplerEntry(learns_from_priors=True),
    "qmc": SamplerEntry("study.decisions.samplers.quasi_random:sampler", history="sequence", draws_evenly=True),
    "random": SamplerEntry("study.decisions.samplers.uniform:sampler", history="none", draws_evenly=True),
}
