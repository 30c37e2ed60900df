"""What random search reaches: the hypervolume that searches of a table are timed to.

    python -m benchmarks.searches.targets --runs 1000

The target of a table and repetition is the mean, over ``--runs`` random searches by four workers, of the hypervolume
over ranks at the moment when a search has spent 40 times the mean training time of the table's rows.
"""

import argparse
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.searches.simulation import WORKERS, simulate
from benchmarks.searches.tables import Place, SearchProblem, dominated, search_problem
from trainables.table_files import TABLES

PATH = Path(__file__).resolve().parents[1] / "data" / "search_targets.json"
MEAN_TRIALS = 40
MANY = 100_000  # more trials than any random search within the budget needs


@dataclass(frozen=True)
class Target:
    """What random search reaches in one table and repetition.

    Args:
        budget: its compute in s: ``MEAN_TRIALS`` mean trials.
        hypervolume: the mean that it has found by then.
        trials: the mean number of trials that have ended by then.
        runs: how many random searches that is the mean of.
    """

    budget: float
    hypervolume: float
    trials: float
    runs: int


def random_target(problem: SearchProblem, repetition: int, runs: int, seed: int = 0) -> Target:
    """The target by ``runs`` random searches."""
    budget = MEAN_TRIALS * float(problem.seconds[repetition].mean())
    rng = np.random.default_rng([seed, zlib.crc32(problem.name.encode()), repetition])
    found = [[*_rows_within(problem, repetition, budget, rng)] for _ in range(runs)]
    volumes = [dominated(problem.ranks[repetition][rows]) for rows in found]
    return Target(budget, float(np.mean(volumes)), float(np.mean([len(rows) for rows in found])), runs)


def _rows_within(problem: SearchProblem, repetition: int, budget: float, rng: np.random.Generator) -> Iterator[int]:
    """The rows that a random search has completed within ``budget``."""
    for completion in simulate(_Uniform(problem, rng), problem, repetition, MANY, WORKERS):
        if completion.compute > budget:
            return
        yield completion.row


class _Uniform:
    """Random search without a process of its own."""

    def __init__(self, problem: SearchProblem, rng: np.random.Generator) -> None:
        self._problem, self._rng = problem, rng

    def ask(self, number: int) -> Place:
        return self._problem.place(int(self._rng.integers(self._problem.seconds.shape[1])))

    def tell(self, number: int, values: Sequence[float]) -> None:
        pass


@cache
def targets(path: Path = PATH) -> dict[str, list[Target]]:
    """The recorded targets: table -> one for each repetition."""
    return {name: [Target(**plain) for plain in of] for name, of in json.loads(path.read_text())["targets"].items()}


def main() -> None:
    """Writes the targets of all tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searches.targets", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    options = parser.parse_args()
    found = {}
    for name in TABLES:
        problem = search_problem(name)
        found[name] = [asdict(random_target(problem, r, options.runs)) for r in range(problem.num_repetitions)]
        print(name, *(f"{target['hypervolume']:.4f} ({target['trials']:.1f})" for target in found[name]), flush=True)
    PATH.write_text(json.dumps({"command": f"{parser.prog} --runs {options.runs}", "targets": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
