"""What runs say: efforts by hand, ratios of known size, regret, and the tables that show them."""

import math

import numpy as np
import pytest

from benchmarks.searches.measures import Effort, Judgement, against_best, by_search, effort, judge, ratio, regret
from benchmarks.searches.results import Run
from benchmarks.searches.show import best_peers, figure, searches_table, tables_table
from benchmarks.searches.simulation import Curve
from benchmarks.searches.tables import Dimension, SearchProblem
from benchmarks.searches.targets import Target

TARGET = Target(budget=100, hypervolume=0.5, trials=40, runs=1000)
CURVE = Curve([1, 4, 9], [0.2, 0.5, 0.6])


def judgement(search: str, table: str, seed: int, compute: float, trials: float = 1) -> Judgement:
    run = Run(search, table, seed, 9, "v", 1.0, (0, 1))
    return Judgement(run, CURVE, Effort(compute, trials, compute < 100), TARGET, whole=0.9)


def test_effort_is_counted_to_the_first_trial_at_the_target() -> None:
    assert effort(CURVE, TARGET) == Effort(4, 2, True)


def test_a_run_that_fails_cheaply_is_counted_as_random_search_from_there() -> None:
    assert effort(Curve([1, 4], [0.2, 0.3]), TARGET) == Effort(104, 42, False)


def test_ratios_of_known_size_and_their_intervals() -> None:
    efforts = {
        "ours": {"a": {0: 1.0, 1: 2.0, 7: 5.0}, "b": {0: 4.0}, "only ours": {0: 1.0}},
        "other": {"a": {0: 4.0, 1: 32.0}, "b": {0: 2.0}},
    }
    found = ratio(efforts, "ours", "other", ["a", "b", "only ours"])
    assert found is not None and (found.tables, found.pairs) == (2, 3)
    assert found.mean == pytest.approx(math.sqrt(math.sqrt(1 / 4 * 2 / 32) * 2))  # seeds first, then tables
    assert math.isnan(found.low) and str(found).endswith("(2 seeds)")  # too few for an interval
    assert ratio(efforts, "ours", "nobody", ["a"]) is None


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for repeat in range(200):
        logs = rng.normal(size=(3, 30)) + rng.normal(size=30)  # seeds matter to all tables at once
        ours = {str(t): {s: float(np.exp(logs[t, s])) for s in range(30)} for t in range(3)}
        other = {str(t): dict.fromkeys(range(30), 1.0) for t in range(3)}
        found = ratio({"ours": ours, "other": other}, "ours", "other", ["0", "1", "2"], seed=repeat)
        assert found is not None
        covered += found.low <= 1 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_best_peer_is_the_one_against_which_ours_looks_worst() -> None:
    efforts = {"ours": {"a": {0: 4.0}}, "x": {"a": {0: 8.0}}, "y": {"a": {0: 2.0}}, "z": {"b": {0: 1.0}}}
    best = against_best(efforts, "ours", ["x", "y", "z"], "a")
    assert best is not None and (best[0], best[1].mean) == ("y", pytest.approx(2.0))
    assert against_best(efforts, "ours", ["z"], "a") is None


def test_one_seed_has_no_interval() -> None:
    found = ratio({"x": {"a": {0: 1.0}}, "y": {"a": {0: 2.0}}}, "x", "y", ["a"])
    assert found is not None and math.isnan(found.low) and "1 seed" in str(found)


def test_regret_is_what_is_missing_at_each_share_of_the_budget() -> None:
    one = judgement("s", "a", 0, 4)
    assert regret([one], [0.005, 0.01, 0.05, 1.0]) == pytest.approx([0.9, 0.7, 0.4, 0.3])


def test_a_run_is_judged_by_its_own_repetition() -> None:
    values = np.array([[[1, 1], [2, 2]], [[2, 2], [1, 1]]], dtype=float)
    problem = SearchProblem("p", [Dimension("x", 2, True)], ["minimize", "minimize"], values, np.ones((2, 2)))
    targets = [Target(10, 0.5, 4, 9), Target(20, 0.5, 4, 9)]
    first, second = (judge(Run("s", "p", seed, 9, "v", 0.0, (0,)), problem, targets) for seed in (2, 3))
    assert first.effort == Effort(1, 1, True) and second.effort == Effort(21, 5, False)


def test_the_tables_show_each_search_once() -> None:
    judged = [judgement("random", "a", s, 90 + s, 40) for s in range(5)]
    judged += [judgement("ours_tpe", "a", s, (90 + s) / 2, 10) for s in range(5)]
    judged += [judgement("slow", "a", 0, 180, 80)]
    assert by_search(judged, "trials")["ours_tpe"] == {"a": dict.fromkeys(range(5), 10)}
    lines = searches_table(judged, "ours_tpe").splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| ours_tpe", "| random", "| slow"]
    assert "0.50 [0.50, 0.50]" in lines[2] and "0.25 [0.25, 0.25]" in lines[2] and "2.00 (1 seed)" in lines[4]
    assert "46.0% (5)" in tables_table(judged)
    assert best_peers(judged, "ours_tpe").splitlines()[2:] == [
        "| a | slow | 0.25 (1 seed) | 1 |",
        "| geometric mean | | 0.25 | |",
    ]
    drawn = figure(judged)
    assert [line.name for line in drawn.data] == ["ours_tpe", "random", "slow"] and "1 runs" in drawn.layout.title.text
