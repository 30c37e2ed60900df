"""Runs searches on tables made by others and adds them to a file; what is there already is not run again.

    python -m benchmarks.searches.run --searches random ours_tpe optuna_tpe --tables hpobench/car --seeds 3
    python -m benchmarks.searches.run --python botorch=/envs/botorch/bin/python --searches botorch_qlognehvi

The tables need ``pip install 'robust-ssl-studies[tables]'``; ``docs/results/search_efficiency.md`` says how to make the
environments of the peers. Ours are ``ours_`` and the name of a sampler; ``foreknowledge`` has those that begin with a
belief or an earlier study. Runs go round: all searches and tables with the
first seed, then with the next. The same command continues where it was cut; a run that was cut is begun anew.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.searches.foreknowledge import FOREKNOWN, with_foreknowledge
from benchmarks.searches.own_search import OwnSearch
from benchmarks.searches.peer_process import PeerProcess
from benchmarks.searches.results import RESULTS, Run, add_runs, read_runs
from benchmarks.searches.simulation import WORKERS, AskedSearch, Judged, simulate
from benchmarks.searches.tables import Place, placed_table, search_problem
from benchmarks.searches.targets import targets
from study.spec import SAMPLERS
from trainables.table_files import TABLES

LEAST, MOST = 40, 200  # trials of a run
PEERS = {  # name -> which Python, its script, which of its searches
    "random": ("random", "random_search", "random"),
    "optuna_tpe": ("optuna", "optuna_search", "tpe"),
    "optuna_gp": ("optuna", "optuna_search", "gp"),
    "optuna_nsga2": ("optuna", "optuna_search", "nsga2"),
    "ax": ("ax", "ax_search", "default"),
    "botorch_qlognehvi": ("botorch", "botorch_search", "qlognehvi"),
    "syne_tune_ehvi": ("syne_tune", "syne_tune_search", "ehvi"),
    "syne_tune_moasha": ("syne_tune", "syne_tune_search", "moasha"),
    "neps_primo": ("neps", "neps_search", "primo"),
}
OWN = {f"ours_{sampler}": (sampler, "") for sampler in SAMPLERS} | {f"ours_ehvi_{o}": ("ehvi", o) for o in FOREKNOWN}


class Peers(AbstractContextManager["Peers"]):
    """The processes of peers, started when first needed.

    Args:
        pythons: which -> interpreter; this one for those that are not there.
    """

    def __init__(self, pythons: Mapping[str, str]) -> None:
        self._pythons, self._started = pythons, dict[str, PeerProcess]()

    def __exit__(self, *error: object) -> None:
        while self._started:
            self._started.popitem()[1].close()

    def process(self, which: str, script: str) -> PeerProcess:
        """That of a script."""
        if script not in self._started:
            self._started[script] = PeerProcess(self._pythons.get(which, sys.executable), script)
        return self._started[script]


@contextmanager
def opened(name: str, table: str, seed: int, trials: int, peers: Peers) -> Iterator[OwnSearch | PeerProcess]:
    """A search of ``table`` by its name."""
    if name in OWN:
        sampler, foreknown = OWN[name]
        spec = with_foreknowledge(placed_table(table).spec(sampler, trials), foreknown, table, seed)
        with OwnSearch(table, spec, seed) as own:
            yield own
    else:
        which, script, search = PEERS[name]
        process = peers.process(which, script)
        process.begin(search, search_problem(table), seed, trials, WORKERS)
        yield process


@dataclass
class Timed:
    """Keeps what a search proposes, and how long it takes for that."""

    search: AskedSearch
    row: Any
    rows: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def ask(self, number: int) -> Place | None:
        """As the search does."""
        begun = time.perf_counter()
        place = self.search.ask(number)
        self.seconds += time.perf_counter() - begun
        if place is not None:
            self.rows.append(self.row(place))
        return place

    def tell(self, number: int, values: Sequence[float]) -> None:
        """As the search does."""
        begun = time.perf_counter()
        self.search.tell(number, values)
        self.seconds += time.perf_counter() - begun


def run(
    name: str,
    table: str,
    seed: int,
    peers: Peers,
    least: int = LEAST,
    trials: int = MOST,
    target: float | None = None,
) -> Run:
    """One run; it ends once it has reached ``target`` and ``least`` trials have ended, or after ``trials``."""
    problem = search_problem(table)
    repetition = seed % problem.num_repetitions
    if target is None:
        target = targets()[table][repetition].hypervolume
    judged = Judged(problem, repetition)
    with opened(name, table, seed, trials, peers) as search:
        timed = Timed(search, problem.row)
        for number, completion in enumerate(simulate(timed, problem, repetition, trials), start=1):
            if judged.add(completion.row) >= target and number >= least:
                break
        return Run(name, table, seed, trials, search.version, timed.seconds, tuple(timed.rows))


def main() -> None:
    """Runs what is missing."""
    names = [*PEERS, *OWN]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.searches.run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--searches", nargs="+", choices=names, default=[*PEERS, "ours_tpe"], metavar="SEARCH")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, metavar="TABLE")
    parser.add_argument("--seeds", type=int, default=30, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--least", type=int, default=LEAST, help="trials of a run that has reached its target")
    parser.add_argument("--trials", type=int, default=MOST, help="trials of a run that has not")
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH", help="where a peer is installed")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing new after this time")
    parser.add_argument("--forget", action="store_true", help="first remove what the file has of these searches")
    options = parser.parse_args()
    pythons = dict(given.split("=", 1) for given in options.python)
    until = time.monotonic() + 60 * options.minutes
    if options.forget:
        add_runs(options.results, [], without=options.searches)
    known = {run.key for run in read_runs(options.results)}
    with Peers(pythons) as peers:
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        for key in [(s, t, seed) for seed in seeds for t in options.tables for s in options.searches]:
            if key in known or time.monotonic() > until:
                continue
            if key not in {done.key for done in read_runs(options.results)}:  # another process may have added it
                done = run(*key, peers, options.least, options.trials)
                add_runs(options.results, [done])
                print(*key, len(done.rows), f"trials, {done.proposing_seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
