"""Searches on tables: clock and ranks against hand-computed ones, the protocol with a real process, resuming."""

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.searches.own_search import OwnSearch
from benchmarks.searches.peer_process import PeerError, PeerProcess
from benchmarks.searches.results import Run, add_runs, read_runs
from benchmarks.searches.run import PEERS, Peers, opened, run
from benchmarks.searches.simulation import Judged, RecordedSearch, curve_of, simulate
from benchmarks.searches.tables import Dimension, SearchProblem, dominated, placed_table, search_problem
from benchmarks.searches.targets import random_target

DIMENSIONS = [Dimension("width", 3, True), Dimension("kind", 2, False)]


def problem(seconds: Sequence[float], values: Sequence[tuple[float, float]]) -> SearchProblem:
    return SearchProblem("tiny", DIMENSIONS, ["maximize", "minimize"], np.array([values]), np.array([seconds]))


TINY = problem([1, 2, 3, 4, 5, 6], [(10, 1), (20, 2), (20, 3), (40, 4), (5, 5), (60, 6)])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Wide is good and slow; the second kind is better; two repetitions differ."""
    trials = [
        {
            "params": {"width": width, "kind": kind},
            "seed": seed,
            "metrics": {"accuracy": width + 2 * (kind == "b") + seed / 8, "train_seconds": float(width + seed)},
        }
        for width, kind, seed in itertools.product((1, 2, 4, 8), "ab", (0, 1))
    ]
    head = {"metrics": {"accuracy": {}, "train_seconds": {"direction": "minimize", "kind": "cost"}}, "trials": trials}
    path = tmp_path_factory.mktemp("table") / "table.json"
    path.write_text(json.dumps(head))
    return str(path)


def test_two_workers_on_the_clock() -> None:
    # Worker 1: row 0 from 0 to 1, row 4 from 1 to 6. Worker 2: row 3 from 0 to 4, row 1 from 4 to 6.
    ended = [*simulate(RecordedSearch(TINY, [0, 3, 4, 1]), TINY, 0, trials=9, workers=2)]
    assert [(c.number, c.row, c.compute) for c in ended] == [(0, 0, 2), (1, 3, 8), (2, 4, 12), (3, 1, 12)]
    one = [*simulate(RecordedSearch(TINY, [0, 3, 4, 1]), TINY, 0, trials=3, workers=1)]
    assert [(c.row, c.compute) for c in one] == [(0, 1), (3, 5), (4, 10)]


def test_what_is_told_is_what_was_recorded_and_only_after_the_end() -> None:
    class Noting(RecordedSearch):
        def __init__(self) -> None:
            super().__init__(TINY, [5, 0, 0])
            self.seen: list[str] = []

        def ask(self, number: int) -> dict[str, int] | None:
            self.seen.append(f"ask {number}")
            return super().ask(number)

        def tell(self, number: int, values: Sequence[float]) -> None:
            self.seen.append(f"tell {number} {values}")

    noting = Noting()
    assert len([*simulate(noting, TINY, 0, trials=3, workers=2)]) == 3
    assert noting.seen == ["ask 0", "ask 1", "tell 1 [10, 1]", "ask 2", "tell 2 [10, 1]", "tell 0 [60, 6]"]


def test_ranks_and_hypervolume_by_hand() -> None:
    # How many of the five others are better than each; a tie counts for neither.
    expected = [[4, 0], [2, 1], [2, 2], [1, 3], [5, 4], [0, 5]]
    assert TINY.ranks[0] == pytest.approx(np.array(expected) / 5)
    # Rows 0 and 3: 1/5 wide and 5/5 high, and from 1/5 to 4/5 of the width 2/5 high.
    assert TINY.hypervolume(0, [0, 3]) == pytest.approx(1 / 5 * 1 + 3 / 5 * 2 / 5)
    assert TINY.hypervolume(0, []) == 0
    assert TINY.whole[0] == pytest.approx(TINY.hypervolume(0, range(6)))
    assert [TINY.row(TINY.place(row)) for row in range(6)] == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="kind must be an integer from 0 to 1: 2"):
        TINY.row({"width": 0, "kind": 2})


def test_monotone_changes_of_the_objectives_change_no_hypervolume() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(1, 30, size=(6, 2)).astype(float)
    changed = np.stack([np.exp(values[:, 0] / 10), values[:, 1] ** 3 - 7], axis=1)
    first, second = (problem([1] * 6, [(a, b) for a, b in of]) for of in (values, changed))
    for rows in itertools.combinations(range(6), 3):
        assert first.hypervolume(0, rows) == second.hypervolume(0, rows)
    reversed_order = problem([1] * 6, [(-a, b) for a, b in values])
    assert any(first.hypervolume(0, [r]) != reversed_order.hypervolume(0, [r]) for r in range(6))


def test_the_growing_hypervolume_is_that_of_all_rows_so_far() -> None:
    rng = np.random.default_rng(1)
    many = SearchProblem("many", [Dimension("x", 60, True)], ["minimize"] * 2, rng.random((1, 60, 2)), np.ones((1, 60)))
    judged = Judged(many, 0)
    rows = [int(row) for row in rng.integers(60, size=40)]
    for count in range(1, 41):
        assert judged.add(rows[count - 1]) == pytest.approx(dominated(many.ranks[0][rows[:count]]))


def test_the_target_is_what_random_search_has_on_average_when_the_budget_is_spent() -> None:
    # All rows take a second: 40 mean trials are 40 trials. One row of 20 is best in both: P(found) = 1 - 0.95^40.
    values = [(1.0, 0.0)] + [(0.0, 1.0)] * 19
    equal = SearchProblem(
        "e", [Dimension("x", 20, True)], ["maximize", "minimize"], np.array([values]), np.ones((1, 20))
    )
    target = random_target(equal, 0, runs=2000)
    other = equal.hypervolume(0, [1])
    assert target.budget == 40 and target.trials == 40
    found = (target.hypervolume - other) / (equal.hypervolume(0, [0]) - other)
    assert found == pytest.approx(1 - 0.95**40, abs=0.02)


def test_our_engine_searches_a_table_and_tries_nothing_twice(table: str) -> None:
    problem = search_problem(table)
    assert [d.is_ordered for d in problem.dimensions] == [True, False]
    with OwnSearch(table, placed_table(table).spec("tpe", 50), seed=3) as search:
        rows = [completion.row for completion in simulate(search, problem, 1, trials=50)]
    assert sorted(rows) == list(range(8))
    assert curve_of(problem, 1, rows).hypervolume[-1] == pytest.approx(problem.whole[1])


def test_the_table_of_places_is_the_recorded_one(table: str) -> None:
    problem = search_problem(table)
    row = problem.row({"width": 2, "kind": 1})
    assert problem.values[1, row] == pytest.approx([4 + 2 + 1 / 8, np.log10(5)])
    assert problem.seconds[1, row] == 5
    spec = placed_table(table).spec("random", 5)
    assert [objective.name for objective in spec.objectives] == ["accuracy", "train_seconds"]


def begun(search: PeerProcess, seed: int = 0) -> PeerProcess:
    search.begin("random", TINY, seed=seed, trials=9, workers=2)
    return search


def test_a_peer_answers_from_a_process_of_its_own() -> None:
    def rows(search: PeerProcess, seed: int) -> list[int]:
        return [c.row for c in simulate(begun(search, seed), TINY, 0, trials=9, workers=2)]

    with PeerProcess(sys.executable, "random_search") as search:
        first, second, again = rows(search, 0), rows(search, 1), rows(search, 0)
        assert search.version.startswith("python 3")
    assert len(first) == 9 and first == again != second
    with PeerProcess(sys.executable, "random_search") as search:
        assert rows(search, 0) == first  # what a process has searched before changes nothing


def test_a_peer_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(PeerError, match="''"), PeerProcess(sys.executable, "no_such_script") as search:
        begun(search)
    with PeerProcess(sys.executable, "random_search") as search:
        search._process.kill()
        search._process.wait()
        with pytest.raises(PeerError):
            begun(search)


def test_optuna_as_a_peer_needs_nothing_of_this_project(table: str) -> None:
    problem = search_problem(table)
    found = []
    with Peers({"optuna": sys.executable}) as peers:
        for seed in (0, 1, 0):
            with opened("optuna_tpe", table, seed, 20, peers) as search:
                found.append([completion.row for completion in simulate(search, problem, 0, trials=20)])
    assert search.version.startswith("optuna ") and len(found[0]) == 20
    assert found[0] == found[2] != found[1]
    assert all(which for which, _, _ in PEERS.values())


def test_a_cut_series_of_runs_continues_to_the_same_file(table: str, tmp_path: Path) -> None:
    keys = [(name, table, seed) for seed in range(3) for name in ("random", "ours_tpe")]

    def add(path: Path, most: int) -> None:
        known = {found.key for found in read_runs(path)}
        for key in [key for key in keys if key not in known][:most]:
            with Peers({}) as peers:
                add_runs(path, [run(*key, peers, trials=7, target=2.0)])

    def without_time(path: Path) -> list[Run]:
        return [Run(**{**vars(found), "proposing_seconds": 0.0}) for found in read_runs(path)]

    whole, cut = tmp_path / "whole.csv", tmp_path / "cut.csv.gz"
    add(whole, 6)
    add(cut, 2)
    (tmp_path / ".cut.csv.gz.part").write_bytes(b"a kill left this")
    add(cut, 1)
    add(cut, 6)
    assert without_time(whole) == without_time(cut) and len(read_runs(cut)) == 6
    before = cut.read_bytes()
    add_runs(cut, read_runs(whole))
    assert cut.read_bytes() == before  # what is there stays as it is
    add_runs(cut, [], without=["random"])
    assert {found.search for found in read_runs(cut)} == {"ours_tpe"}


def test_a_run_ends_at_its_target_but_not_before_forty_trials(table: str) -> None:
    with Peers({}) as peers:
        assert len(run("random", table, 0, peers, trials=60, target=0.0).rows) in range(40, 44)
        assert len(run("random", table, 0, peers, trials=60, target=2.0).rows) == 60
