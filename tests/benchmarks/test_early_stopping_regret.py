"""What stopping loses and saves, on tables where that is known."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.early_stopping_regret import Rows, as_markdown, compute_to, lost, rows_of, rules
from benchmarks.replays import Ended, Replay, replay
from study.spec import MoAsha, NoStopping, PausingMoAsha
from study.spec.stopping import Stopping
from trainables.recorded_table import recorded_table

METRICS: dict[str, dict[str, Any]] = {
    "val_clean": {"unit": "%", "split": "val"},
    "val_pgd_8": {"unit": "%", "split": "val", "is_headline": True},
    "train_pflop": {"direction": "minimize", "kind": "cost", "is_known": True},
    "evaluation_pflop": {"direction": "minimize", "kind": "cost"},
}
NUM = 24


def rows(folder: Path, *, misleads: bool) -> Rows:
    """Trials of four epochs that cost 1 each; the accuracies at the end are ``quality``, and so are those of rungs.

    Where they mislead, they are the reverse. An evaluation costs a tenth of an epoch, the last one two tenths.
    """
    trials = []
    for quality in range(NUM):
        seen = float(NUM - quality if misleads else quality)
        reports: list[dict[str, Any]] = [
            {"val_clean": seen, "val_pgd_8": seen, "train_pflop": 1.0 * epoch, "epochs": epoch, "evaluation_pflop": 0.1}
            for epoch in (1, 2, 3)
        ]
        result = {"val_clean": quality, "val_pgd_8": quality, "train_pflop": 4.0, "epochs": 4, "evaluation_pflop": 0.2}
        trials.append({"params": {"quality": quality}, "reports": reports, "metrics": result})
    path = folder / "table.json"
    path.write_text(json.dumps({"metrics": METRICS, "progress": "epochs", "trials": trials}))
    return Rows(recorded_table(path), ("val_clean", "val_pgd_8"))


def replayed(table: Rows, stopping: Stopping, seed: int, workers: int) -> Replay:
    return replay(table.trainable, table.spec(stopping, seed), 0, workers)


@pytest.mark.parametrize("workers", [1, 4])
def test_without_stopping_nothing_is_lost_and_all_is_spent(tmp_path: Path, workers: int) -> None:
    table = rows(tmp_path, misleads=False)
    found = replayed(table, NoStopping(), 0, workers)
    assert sorted(rows_of(found)) == list(range(NUM))
    assert found.trained == pytest.approx(4 * NUM) and found.evaluated == pytest.approx(0.2 * NUM)
    assert lost(found, table.front) == 0 and table.hypervolume(rows_of(found)) == pytest.approx(1)
    assert rows_of(found) != rows_of(replayed(table, NoStopping(), 1, workers)), "another order"


@pytest.mark.parametrize("rule", [MoAsha(first_rung=1, eta=2), PausingMoAsha(first_rung=1, eta=2)])
@pytest.mark.parametrize(("misleads", "share"), [(False, 0), (True, 100)])
def test_rungs_lose_the_best_only_where_they_mislead(
    tmp_path: Path, rule: MoAsha | PausingMoAsha, misleads: bool, share: int
) -> None:
    table = rows(tmp_path, misleads=misleads)
    best = table.front
    assert best == [NUM - 1] and table.judged(1) == list(range(NUM)) and table.judged(4) == []
    # The first trial at a rung always goes on: an order in which that is not the best one.
    found = replayed(table, rule, 1, 4)
    assert lost(found, best) == share
    assert NUM < found.trained < 4 * NUM


def test_all_that_was_trained_and_evaluated_is_counted_once(tmp_path: Path) -> None:
    table = rows(tmp_path, misleads=False)
    for rule in (MoAsha(first_rung=1, eta=2), PausingMoAsha(first_rung=1, eta=2)):
        found = replayed(table, rule, 0, 1)
        # Rungs at 1 and 2. Let a trials end at the first one, b at the second, c at the end, all by these two sums.
        complete = len(found.complete)
        at_second = (found.trained - 4 * complete) - (NUM - complete)
        assert at_second == pytest.approx(round(at_second)) and 0 <= at_second <= NUM - complete
        assert found.evaluated == pytest.approx(0.1 * (NUM + at_second + complete) + 0.2 * complete)


def test_several_rungs_before_a_report_are_one_evaluation(tmp_path: Path) -> None:
    trials = [
        {"params": {"quality": quality},
         "reports": [{"val_clean": 1.0, "val_pgd_8": quality, "train_pflop": 8.0, "steps": 8, "evaluation_pflop": 1.0}],
         "metrics": {"val_clean": 1.0, "val_pgd_8": quality, "train_pflop": 9.0, "steps": 9, "evaluation_pflop": 0.5}}
        for quality in (1, 2)
    ]  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps({"metrics": METRICS, "progress": "steps", "trials": trials}))
    table = Rows(recorded_table(tmp_path / "t.json"), ("val_clean", "val_pgd_8"))
    found = replayed(table, MoAsha(first_rung=1, eta=2, audit=1.0), 0, 1)  # rungs at 1, 2, 4 and 8
    assert (found.trained, found.evaluated) == (18, 3)


def ended(row: int, trained: float, evaluated: float) -> Ended:
    return Ended({"row": str(row)}, {}, trained, evaluated)


def test_compute_to_a_share_is_that_of_the_first_trial_that_reaches_it(tmp_path: Path) -> None:
    table = rows(tmp_path, misleads=False)
    half = table.hypervolume([NUM // 2 - 1])
    assert half == pytest.approx(0.25), "two equal accuracies of the same rank, and a cost that all have"
    found = Replay([ended(0, 4, 1), ended(NUM // 2 - 1, 8, 2), ended(NUM - 1, 12, 3)])
    assert compute_to(found, table, half - 1e-9, with_evaluation=False) == 8
    assert compute_to(found, table, half + 1e-9, with_evaluation=True) == 15
    assert math.isinf(compute_to(Replay([ended(0, 4, 1)]), table, half, with_evaluation=False))


def test_a_line_for_each_rule_and_those_that_never_arrive_are_counted(tmp_path: Path) -> None:
    table = rows(tmp_path, misleads=True)
    assert list(rules(1, [2, 3], "val_pgd_8", ["pausing"]))[1:] == [f"MO-ASHA, pausing, eta {eta}" for eta in (2, 3)]
    found = rules(1, [2], "val_pgd_8")
    assert list(found) == [
        "none",
        "MO-ASHA, stopping, eta 2",
        "MO-ASHA, pausing, eta 2",
        "Ray's ASHA on val_pgd_8, eta 2",
    ]
    replays = {name: [replayed(table, rule, seed, 4) for seed in (0, 1)] for name, rule in found.items()}
    _, _, none, *others = as_markdown(table, replays, 1).splitlines()
    assert none == "| none | 0.0% | 0.0% | 100.0% | 0.0% | 0.0% | 1.00 | 1.00 |"
    assert len(others) == 3 and all("of 2 never" in line for line in others)
