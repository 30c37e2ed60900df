"""Ax with its default generation strategy, which for several objectives is Sobol' and then qLogNEHVI.

An ordered factor is an integer range, any other a choice that is not ordered.
"""

import importlib.metadata
import logging

from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
from json_lines import Place, Task, serve


class AxSearch:
    """An Ax client, asked and told."""

    version = f"ax-platform {importlib.metadata.version('ax-platform')}"

    def __init__(self, task: Task) -> None:
        logging.disable(logging.WARNING)  # a line for each trial
        self._client = Client(random_seed=task.seed)
        self._client.configure_experiment(
            parameters=[
                RangeParameterConfig(name=d.name, bounds=(0, d.size - 1), parameter_type="int")
                if d.is_ordered
                else ChoiceParameterConfig(
                    name=d.name, values=list(range(d.size)), parameter_type="int", is_ordered=False
                )
                for d in task.dimensions
            ]
        )
        self._names = [f"objective_{number}" for number in range(len(task.directions))]
        signs = ["-" if direction == "minimize" else "" for direction in task.directions]
        objective = ", ".join(f"{sign}{name}" for sign, name in zip(signs, self._names, strict=True))
        self._client.configure_optimization(objective=objective)
        self._indices: dict[int, int] = {}  # number of the trial -> Ax's

    def ask(self, number: int) -> Place | None:
        """Ax's next trial; None while it wants a result first."""
        trials = self._client.get_next_trials(max_trials=1)
        for index, parameters in trials.items():
            self._indices[number] = index
            return {name: int(value) for name, value in parameters.items()}
        return None

    def tell(self, number: int, values: list[float]) -> None:
        """The result of that trial."""
        self._client.complete_trial(self._indices.pop(number), dict(zip(self._names, values, strict=True)))


if __name__ == "__main__":
    serve(AxSearch)
