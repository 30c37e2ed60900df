"""Uniform random search over all combinations, with replacement; needs the standard library alone."""

import platform
import random

from json_lines import Place, Task, serve


class RandomSearch:
    """Learns nothing."""

    version = f"python {platform.python_version()}"

    def __init__(self, task: Task) -> None:
        self._dimensions, self._random = task.dimensions, random.Random(task.seed)

    def ask(self, number: int) -> Place:
        """A random row."""
        return {dimension.name: self._random.randrange(dimension.size) for dimension in self._dimensions}

    def tell(self, number: int, values: list[float]) -> None:
        """Nothing is learned."""


if __name__ == "__main__":
    serve(RandomSearch)
