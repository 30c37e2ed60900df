"""Optuna's samplers with their own defaults: ``tpe``, ``gp`` and ``nsga2``.

An ordered factor is ``suggest_int`` over its places, any other ``suggest_categorical``.
"""

import optuna
from json_lines import Place, Task, serve

SAMPLERS = {
    "tpe": optuna.samplers.TPESampler,
    "gp": optuna.samplers.GPSampler,
    "nsga2": optuna.samplers.NSGAIISampler,
}


class OptunaSearch:
    """An Optuna study in memory, asked and told."""

    version = f"optuna {optuna.__version__}"

    def __init__(self, task: Task) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(directions=task.directions, sampler=SAMPLERS[task.search](seed=task.seed))
        self._dimensions = task.dimensions
        self._trials: dict[int, optuna.Trial] = {}

    def ask(self, number: int) -> Place:
        """A trial of the study."""
        trial = self._trials[number] = self._study.ask()
        return {
            d.name: trial.suggest_int(d.name, 0, d.size - 1)
            if d.is_ordered
            else trial.suggest_categorical(d.name, list(range(d.size)))
            for d in self._dimensions
        }

    def tell(self, number: int, values: list[float]) -> None:
        """The result of that trial."""
        self._study.tell(self._trials.pop(number), values)


if __name__ == "__main__":
    serve(OptunaSearch)
