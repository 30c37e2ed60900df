"""NePS's PriMO, without priors and without learning curves.

An ordered factor is an ``HPOInteger``, any other an ``HPOCategorical``. PriMO insists on a fidelity; here it has one
rung alone, the full training, so that its first part (MO-ASHA) draws as many configurations as there are factors at
random, and its second part is Bayesian optimisation of one random weighting of the objectives. That part numbers its
proposals by completed trials, so trials that run at the same time are renumbered here.
"""

import importlib.metadata
import random

import neps
import numpy as np
import torch
from json_lines import Place, Task, serve
from neps.optimizers.algorithms import primo
from neps.state import Trial

FIDELITY = neps.HPOInteger(lower=2, upper=3, is_fidelity=True)  # less than a factor eta=3 apart: a single rung


class NepsSearch:
    """PriMO, asked and told."""

    version = f"neural-pipeline-search {importlib.metadata.version('neural-pipeline-search')}"

    def __init__(self, task: Task) -> None:
        random.seed(task.seed)
        np.random.seed(task.seed)
        torch.manual_seed(task.seed)
        factors = {
            d.name: neps.HPOInteger(0, d.size - 1) if d.is_ordered else neps.HPOCategorical(list(range(d.size)))
            for d in task.dimensions
        }
        space = neps.SearchSpace({**factors, "fidelity": FIDELITY})
        self._search = neps.AskAndTell(primo(space, prior_centers={}))
        self._task = task
        self._running: dict[int, Trial] = {}

    def ask(self, number: int) -> Place:
        """PriMO's next configuration."""
        before = dict(self._search.trials)
        trial = self._search.ask()
        if trial.metadata.id in before:
            self._search.trials.update(before)
            trial.metadata.id = str(1 + max(int(name.partition("_")[0]) for name in before))
            self._search.trials[trial.metadata.id] = trial
        self._running[number] = trial
        return {dimension.name: int(trial.config[dimension.name]) for dimension in self._task.dimensions}

    def tell(self, number: int, values: list[float]) -> None:
        """The result of that configuration."""
        self._search.tell(self._running.pop(number), {"objective_to_minimize": self._task.losses(values)})


if __name__ == "__main__":
    serve(NepsSearch)
