"""Knees, budgets and attainment surfaces on constructed fronts."""

import numpy as np
import pandas as pd
import pytest

from reports.front.attainment import attainment_of
from reports.front.front_marks import best_within_budgets, knee_of
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import TrialConfig

METRICS = {metric.name: metric for metric in ROBUST_SSL.metrics(TrialConfig())}
CLEAN, ROBUST, COST = METRICS["val_clean"], METRICS["val_pgd_8"], METRICS["train_pflop"]


def points(*rows: tuple[float, float, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["val_clean", "val_pgd_8", "train_pflop"], dtype=float)
    return frame.assign(is_lost=False, validity=[[]] * len(frame), on_front=True)


def test_the_knee_is_farthest_from_the_line_through_the_ends() -> None:
    # From (60, 50) to (90, 20); sums beyond the line by 4.5, 12 and 9; the last is behind the front.
    frame = points((60, 50, 1), (65, 50 - 0.5, 1), (74, 48, 1), (85, 34, 1), (90, 20, 1), (50, 10, 1))
    assert knee_of(frame, [CLEAN, ROBUST]) == 2
    start, end = np.array([60, 50]), np.array([90, 20])
    values = frame[["val_clean", "val_pgd_8"]].to_numpy()[:5]
    normal = np.array([1, 1]) / np.sqrt(2)  # both objectives span 30 over the front
    assert int(np.argmax((values - start) @ normal)) == 2 and (end - start) @ normal == pytest.approx(0)


@pytest.mark.parametrize(
    "frame",
    [
        points((60, 50, 1), (90, 20, 1)),
        points((60, 50, 1), (75, 35, 1), (90, 20, 1)),  # on the line
        points((60, 50, 1), (65, 30, 1), (90, 20, 1)),  # behind it
        points(),
    ],
)
def test_a_front_without_a_bulge_has_no_knee(frame: pd.DataFrame) -> None:
    assert knee_of(frame, [CLEAN, ROBUST]) is None


def test_costs_over_a_factor_of_ten_count_as_logarithms() -> None:
    # On the plain scale the second lies at the corner; in decades the third is the better bargain.
    frame = points((20, 0, 0.001), (50, 0, 0.03), (85, 0, 0.1), (90, 0, 1.0))
    assert knee_of(frame, [COST, CLEAN]) == 2
    narrow = points((20, 0, 1.0), (50, 0, 1.2), (85, 0, 4.0), (90, 0, 5.0))
    assert knee_of(narrow, [COST, CLEAN]) == 1


def test_best_within_budgets_of_round_numbers() -> None:
    frame = points((0, 20, 0.8), (0, 30, 1.5), (0, 25, 1.8), (0, 50, 4.5), (0, 40, 30.0))
    best = best_within_budgets(frame, ROBUST, COST)
    assert best["budget"].tolist() == pytest.approx([1, 2, 5]) and best["row"].tolist() == [0, 1, 3]


def test_a_budget_counts_what_costs_exactly_that_much() -> None:
    best = best_within_budgets(points((0, 20, 1.0), (0, 30, 2.0)), ROBUST, COST)
    assert best["budget"].tolist() == pytest.approx([1, 2]) and best["row"].tolist() == [0, 1]


def test_of_equal_configurations_one_on_the_whole_front_is_the_best_within_a_budget_and_the_knee() -> None:
    frame = points((80, 20, 1.0), (85, 20, 1.0), (60, 50, 8.0)).assign(on_front=[False, True, True])
    assert best_within_budgets(frame, ROBUST, COST)["row"].tolist() == [1, 2]
    bulge = points((60, 50, 2), (80, 45, 2), (80, 45, 1), (90, 20, 1)).assign(on_front=[True, False, True, True])
    assert knee_of(bulge, [CLEAN, ROBUST]) == 2


def test_nothing_is_had_for_free_or_from_doubtful_configurations() -> None:
    frame = points((0, 20, 1.0), (0, 99, 1.0))
    frame["validity"] = [[], ["masked"]]
    assert best_within_budgets(frame, ROBUST, COST)["row"].tolist() == [0]
    assert best_within_budgets(points(), ROBUST, COST).empty


def seeds(*rows: tuple[str, int, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["configuration", "seed", "val_clean", "train_pflop"])


def test_surfaces_of_a_configuration_that_dominates_are_its_ordered_seeds() -> None:
    worse = [("b", seed, 10.0, 2.0) for seed in range(5)]
    ordered = [("a", seed, clean, 1.0) for seed, clean in ((2, 70), (0, 50), (1, 60), (4, 80), (3, 40))]
    found = attainment_of(seeds(*ordered, *worse), (COST, CLEAN))
    assert found is not None and (found.seeds, found.num_configurations) == ([0, 1, 2, 3, 4], 2)
    surfaces = {level: corners.tolist() for level, corners in found.surfaces.items()}
    assert surfaces == {20: [[1, 80]], 50: [[1, 60]], 80: [[1, 50]]}


def test_a_surface_is_what_that_share_of_the_seeds_attains() -> None:
    rows = [(c, s, clean + 2 * s, cost) for s in range(5) for c, clean, cost in (("a", 50, 1.0), ("b", 70, 2.0))]
    found = attainment_of(seeds(*rows), (COST, CLEAN))
    assert found is not None
    # Of five seeds 20 % are one (the best, 58 and 78), 50 % are three, 80 % are four.
    assert found.surfaces[20].tolist() == [[1, 58], [2, 78]]
    assert found.surfaces[50].tolist() == [[1, 54], [2, 74]]
    assert found.surfaces[80].tolist() == [[1, 52], [2, 72]]


def test_seeds_are_compared_on_common_configurations() -> None:
    rows = [(c, s, clean + s, 1.0) for s in range(5) for c, clean in (("a", 50.0), ("d", 40.0))]
    found = attainment_of(seeds(*rows, ("b", 0, 99.0, 1.0), ("c", 5, 99.0, 1.0)), (COST, CLEAN))
    assert found is not None and found.seeds == [0, 1, 2, 3, 4] and found.num_configurations == 2
    assert found.surfaces[20].tolist() == [[1, 54]]


def test_seeds_of_a_confirmation_do_not_shrink_the_surface() -> None:
    rows = [(c, s, 50.0 + s, 1.0) for s in range(5) for c in "abcd"]
    confirmed = [(c, s, 50.0 + s, 1.0) for s in (5, 6) for c in "ab"]
    found = attainment_of(seeds(*rows, *confirmed), (COST, CLEAN))
    assert found is not None and found.seeds == [0, 1, 2, 3, 4] and found.num_configurations == 4
    confirmed = [(c, s, 50.0 + s, 1.0) for s in (5, 6) for c in "abc"]  # 7 seeds of 3 are more trials than 5 of 4
    found = attainment_of(seeds(*rows, *confirmed), (COST, CLEAN))
    assert found is not None and found.seeds == [0, 1, 2, 3, 4, 5, 6] and found.num_configurations == 3


def test_fewer_than_five_common_seeds_or_two_common_configurations_have_no_surface() -> None:
    assert attainment_of(seeds(*[("a", s, 50, 1) for s in range(6)]), (COST, CLEAN)) is None
    assert attainment_of(seeds(*[(c, s, 50, 1) for s in range(4) for c in "ab"]), (COST, CLEAN)) is None
    assert attainment_of(seeds(*[("a" if s < 3 else "b", s, 50, 1) for s in range(6)]), (COST, CLEAN)) is None
    assert attainment_of(seeds(), (COST, CLEAN)) is None
