"""Matching against a slow search through all pairs, and how long it takes where no two trials match."""

import itertools
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reports.effects.effects import interactions, main_effects
from reports.effects.matched_pairs import MAX_ADJACENT_LEVELS, Contrast, MatchedTrials
from study.record.journal import replay
from study.record.trials import TrialTable, tabulate
from study.trainable import Metric

NewStudy = Callable[..., Any]
Params = dict[str, Any]
CLEAN = Metric("val_clean")
FACTORS = [
    {"name": "num_views"},
    {"name": "adversary"},
    {"name": "attack_step_255", "when": {"adversary": ["free", "pgd"]}},
]


def table_of_search(rows: list[tuple[Params, int, float]], factors: list[Params] = FACTORS) -> TrialTable:
    """Complete trials with these factor values, seeds and accuracies."""
    spec = {"objectives": [{"name": "val_clean", "direction": "maximize"}], "factors": factors}
    events: list[Params] = [{"event": "created", "study": "constructed", "spec": spec, "environment": {}}]
    for number, (params, seed, clean) in enumerate(rows):
        uid, config = f"t{number:04d}", params | {"seed": seed}
        events.append({"event": "proposed", "uid": uid, "number": number, "params": params, "config": config})
        events.append({"event": "finished", "uid": uid, "state": "complete", "metrics": {"val_clean": clean}})
    return tabulate(replay({"time": 0} | event for event in events))


def drawn(luck: random.Random, steps: list[float]) -> Params:
    params: Params = {"num_views": luck.choice([2, 4, 8]), "adversary": luck.choice(["none", "free", "pgd"])}
    return params | ({"attack_step_255": luck.choice(steps)} if params["adversary"] != "none" else {})


def found_slowly(rows: list[tuple[Params, int, float]], contrasts: list[Contrast]) -> list[float]:
    """The differences (of differences) by looking at every two (four) trials."""
    names = {name for contrast in contrasts for name in (contrast.factor, *contrast.dependents)}
    found = []
    corners = list(itertools.product(*((contrast.low, contrast.high) for contrast in contrasts)))
    for trials in itertools.product(rows, repeat=len(corners)):
        rest = [({k: v for k, v in params.items() if k not in names}, seed) for params, seed, _ in trials]
        levels = [
            tuple(tuple(params.get(name) for name in (c.factor, *c.dependents)) for c in contrasts)
            for params, _, _ in trials
        ]
        if levels == corners and all(one == rest[0] for one in rest):
            signs = [
                (-1) ** sum(level != c.high for level, c in zip(corner, contrasts, strict=True)) for corner in corners
            ]
            found.append(sum(sign * clean for sign, (_, _, clean) in zip(signs, trials, strict=True)))
    return sorted(found)


def test_all_pairs_are_found_and_no_others() -> None:
    luck = random.Random(0)
    unique = {(str(params), seed): (params, seed) for params, seed in
              ((drawn(luck, [1.0, 2.0]), luck.choice([0, 1])) for _ in range(60))}  # fmt: skip
    rows = [(params, seed, luck.gauss(70, 1)) for params, seed in unique.values()]
    trials, num_found = MatchedTrials(table_of_search(rows), [CLEAN]), 0
    for factor in ("num_views", "adversary", "attack_step_255"):
        levels = itertools.combinations(trials.levels(factor), 2)
        possible = [Contrast(factor, low, high, trials.dependents(factor)) for low, high in levels if low[0] != high[0]]
        by_hand = {contrast: found_slowly(rows, [contrast]) for contrast in possible}
        assert set(trials.contrasts(factor)) == {contrast for contrast, found in by_hand.items() if found}
        for contrast, found in by_hand.items():
            assert sorted(trials.differences(CLEAN, contrast)) == pytest.approx(found)
            num_found += len(found)
    assert num_found > 20


def test_all_fours_are_found_and_no_others() -> None:
    luck = random.Random(1)
    cells = list(itertools.product([2, 4], [("none", None), ("free", 1.0), ("free", 2.0)], [0, 1]))
    rows: list[tuple[Params, int, float]] = []
    for views, (adversary, step), seed in luck.sample(cells, 11):
        params = {"num_views": views, "adversary": adversary} | ({} if step is None else {"attack_step_255": step})
        rows.append((params, seed, luck.gauss(70, 1)))
    trials, num_found = MatchedTrials(table_of_search(rows), [CLEAN]), 0
    for one, other in itertools.product(trials.contrasts("num_views"), trials.contrasts("adversary")):
        found = found_slowly(rows, [one, other])
        assert sorted(trials.differences(CLEAN, one, other)) == pytest.approx(found)
        num_found += len(found)
    assert num_found >= 2


def test_of_many_dependent_numbers_with_partners_the_ends_are_compared() -> None:
    def contrasts_of(steps: list[float]) -> list[str]:
        rows: list[tuple[Params, int, float]] = [({"num_views": 2, "adversary": "none"}, 0, 70.0)]
        rows += [({"num_views": 2, "adversary": "free", "attack_step_255": step}, 0, 70.0) for step in steps]
        rows += [({"num_views": 4, "adversary": "free", "attack_step_255": 50.0}, 0, 70.0)]  # without a partner
        return [contrast.text for contrast in MatchedTrials(table_of_search(rows), [CLEAN]).contrasts("adversary")]

    steps = [float(step) for step in range(3, 3 + MAX_ADJACENT_LEVELS)]
    assert len(contrasts_of(steps)) == MAX_ADJACENT_LEVELS
    assert sorted(contrasts_of([*steps, 11.0])) == [
        "free (attack_step_255 11.0) → none",
        "free (attack_step_255 3.0) → none",
    ]


@pytest.mark.parametrize("factors", [FACTORS, [*FACTORS, {"name": "view_scale_min"}]])
def test_a_thousand_trials_over_continuous_factors_take_no_time(factors: list[Params]) -> None:
    luck = random.Random(0)
    rows = []
    for _ in range(333):
        params = drawn(luck, [luck.uniform(1, 4)]) | {factor["name"]: luck.random() for factor in factors[3:]}
        rows += [(params, seed, luck.gauss(70, 1)) for seed in range(3)]
    table = table_of_search(rows, factors)
    started = time.process_time()
    trials = MatchedTrials(table, [CLEAN])
    found = [*main_effects(trials), *interactions(trials)]
    assert time.process_time() - started < 2
    assert all(np.isfinite(effect.mean) for effect in found) and len(found) < 100
