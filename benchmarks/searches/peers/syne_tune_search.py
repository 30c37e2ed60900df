"""Syne Tune's searches for several objectives that need no learning curves: ``ehvi`` and ``moasha``.

An ordered factor is ``randint`` over its places, any other ``choice``. Without learning curves there is nothing that
MOASHA could stop, and it draws configurations at random.
"""

import datetime
import importlib.metadata
import random

import numpy as np
import torch
from json_lines import Place, Task, serve
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, randint
from syne_tune.optimizer.baselines import EHVI
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

RESOURCE = "training_iteration"


class SyneTuneSearch:
    """A scheduler of Syne Tune, asked and told as its tuner does."""

    version = f"syne-tune {importlib.metadata.version('syne-tune')}"

    def __init__(self, task: Task) -> None:
        random.seed(task.seed)
        np.random.seed(task.seed)  # domains are sampled from the global generator
        torch.manual_seed(task.seed)
        space = {
            d.name: randint(0, d.size - 1) if d.is_ordered else choice(list(range(d.size))) for d in task.dimensions
        }
        self._names = [f"objective_{number}" for number in range(len(task.directions))]
        if task.search == "ehvi":
            self._scheduler = EHVI(space, metrics=self._names, do_minimize=True, random_seed=task.seed)
        else:
            self._scheduler = MOASHA(space, metrics=self._names, max_t=1, random_seed=task.seed)
        self._task = task
        self._trials: dict[int, Trial] = {}

    def ask(self, number: int) -> Place | None:
        """The scheduler's suggestion."""
        suggestion = self._scheduler.suggest()
        if suggestion is None:
            return None
        trial = Trial(number, suggestion.config, datetime.datetime(2000, 1, 1))
        self._trials[number] = trial
        self._scheduler.on_trial_add(trial)
        return {dimension.name: int(trial.config[dimension.name]) for dimension in self._task.dimensions}

    def tell(self, number: int, values: list[float]) -> None:
        """The only result of that trial."""
        result = dict(zip(self._names, self._task.losses(values), strict=True)) | {RESOURCE: 1}
        trial = self._trials.pop(number)
        self._scheduler.on_trial_result(trial, result)
        self._scheduler.on_trial_complete(trial, result)


if __name__ == "__main__":
    serve(SyneTuneSearch)
