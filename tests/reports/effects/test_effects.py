"""Effects, corrections and matching on data that were built with known answers."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats

from reports.effects.effects import interactions, main_effects
from reports.effects.importance import importances
from reports.effects.matched_pairs import MatchedTrials
from reports.effects.p_values import MOST_FLIPPED, holm, sign_flip_p
from study.record.intervals import mean_interval
from study.record.trials import TrialTable, tabulate

NewStudy = Callable[..., Any]
FACTORS = [
    {"name": "num_views", "distribution": {"name": "CategoricalDistribution", "attributes": {"choices": [4, 8, 16]}}},
    {
        "name": "adversary",
        "distribution": {"name": "CategoricalDistribution", "attributes": {"choices": ["none", "free"]}},
    },
    {"name": "replays", "when": {"adversary": ["free"]}},
]


def grid(new_study: NewStudy, seeds: int = 3) -> TrialTable:
    """Views add 2 points of clean accuracy a doubling, free training takes 10 and, at 16 views, 5 more."""
    study = new_study(factors=FACTORS)
    for seed in range(seeds):
        for views in (4, 8, 16):
            clean = 70 + 2 * math.log2(views / 4) + 0.25 * seed
            study.complete(clean, 20.0, float(views), {"num_views": views, "adversary": "none"}, seed=seed)
            for replays in (3, 5):
                params = {"num_views": views, "adversary": "free", "replays": replays}
                study.complete(clean - 10 - 5 * (views == 16), 40.0, 1.0 * views * replays, params, seed=seed)
    return tabulate(study.read())


def on_clean(table: TrialTable) -> MatchedTrials:
    return MatchedTrials(table, [table.metric("val_clean")])


def effects_of(table: TrialTable, measure: str) -> dict[str, Any]:
    return {effect.contrast: effect for effect in main_effects(MatchedTrials(table, [table.metric(measure)]))}


def test_main_effects_are_mean_differences_of_matched_pairs(new_study: NewStudy) -> None:
    found = effects_of(grid(new_study), "val_clean")
    assert list(found) == [
        "4 → 8", "8 → 16", "4 → 16", "none → free (replays 3)", "none → free (replays 5)", "3 → 5",
    ]  # fmt: skip
    # 8 to 16: +2 for 'none', -3 for both kinds of free training, three seeds each.
    assert (found["4 → 8"].mean, found["4 → 8"].pairs) == (pytest.approx(2), 9)
    assert (found["8 → 16"].mean, found["8 → 16"].pairs) == (pytest.approx((2 - 3 - 3) / 3), 9)
    assert found["none → free (replays 3)"].mean == pytest.approx(-35 / 3)
    assert (found["3 → 5"].mean, found["3 → 5"].pairs) == (pytest.approx(0), 9)


def test_costs_are_compared_by_their_ratio_and_not_tested(new_study: NewStudy) -> None:
    found = effects_of(grid(new_study), "train_pflop")
    assert math.exp(found["4 → 8"].mean) == pytest.approx(2)
    assert math.exp(found["none → free (replays 5)"].mean) == pytest.approx(5)
    assert math.isnan(found["4 → 8"].p_value) and math.isnan(found["4 → 8"].p_holm)


def test_an_interaction_is_a_difference_of_differences(new_study: NewStudy) -> None:
    found = {effect.contrast: effect for effect in interactions(on_clean(grid(new_study)))}
    assert list(found) == [
        "4 → 16 × none → free (replays 3)", "4 → 16 × none → free (replays 5)", "4 → 16 × 3 → 5",
    ]  # fmt: skip
    assert (found["4 → 16 × none → free (replays 3)"].mean, found["4 → 16 × none → free (replays 3)"].pairs) == (-5, 3)
    assert found["4 → 16 × 3 → 5"].mean == 0


def test_pairs_have_equal_seeds_and_only_trusted_complete_trials(new_study: NewStudy) -> None:
    study = new_study(factors=FACTORS)
    study.complete(70.0, 20.0, 1.0, {"num_views": 4, "adversary": "none"}, seed=0)
    study.complete(80.0, 20.0, 1.0, {"num_views": 8, "adversary": "none"}, seed=1)
    assert main_effects(on_clean(tabulate(study.read()))) == []
    study.complete(80.0, 20.0, 1.0, {"num_views": 16, "adversary": "none"}, seed=0, validity=["masked"])
    study.finish(study.start(num_views=8, adversary="none"), "stopped", {"val_clean": 99.0})
    assert main_effects(on_clean(tabulate(study.read()))) == []
    study.complete(73.0, 20.0, 1.0, {"num_views": 8, "adversary": "none"}, seed=0)
    (effect,) = main_effects(on_clean(tabulate(study.read())))
    assert (effect.contrast, effect.mean, effect.pairs) == ("4 → 8", 3, 1) and math.isnan(effect.low)


def test_other_factors_must_be_equal(new_study: NewStudy) -> None:
    study = new_study(factors=FACTORS)
    study.complete(70.0, 20.0, 1.0, {"num_views": 4, "adversary": "none"})
    study.complete(80.0, 20.0, 1.0, {"num_views": 8, "adversary": "free", "replays": 3})
    assert main_effects(on_clean(tabulate(study.read()))) == []
    trials = on_clean(tabulate(study.read()))
    assert trials.dependents("adversary") == ("replays",) and trials.levels("adversary") == [
        ("none", None),
        ("free", 3),
    ]


def test_pairs_of_the_same_two_encoders_are_one_observation(new_study: NewStudy) -> None:
    study, luck = new_study(factors=[{"name": name} for name in ("adversary", "probe", "probe_layer")]), {}
    for seed, adversary in itertools.product(range(6), ("none", "free")):
        luck[adversary, seed] = float(np.random.default_rng(len(luck)).normal())
        for probe, layer in itertools.product(("central", "robust_central"), ("hidden", "backbone")):
            clean = 70 + luck[adversary, seed] + 2 * (probe == "central") + (layer == "hidden")
            params = {"adversary": adversary, "probe": probe, "probe_layer": layer}
            study.complete(clean, 20.0, 1.0, params, seed=seed)
    table = tabulate(study.read())
    adversary, probe, layer = main_effects(on_clean(table))
    sign = 1 if adversary.contrast == "none → free" else -1
    differences = sign * np.array([luck["free", seed] - luck["none", seed] for seed in range(6)])
    assert (adversary.pairs, adversary.mean) == (6, pytest.approx(differences.mean()))
    assert adversary.p_value == sign_flip_p(differences) > 0.05
    # Of the probe's factors, both sides share an encoder: there are twelve.
    assert (probe.pairs, abs(probe.mean), layer.pairs) == (12, pytest.approx(2), 12)
    assert [effect.pairs for effect in interactions(on_clean(table))] == [6, 6, 12]


def test_trials_of_another_version_share_encoders_too(new_study: NewStudy) -> None:
    study = new_study(factors=[{"name": "num_views"}, {"name": "probe"}])
    for views, probe in itertools.product((4, 8), ("central", "robust_central")):
        study.complete(70.0 + views, 20.0, 1.0, {"num_views": views, "probe": probe})
    record = study.read()
    for trial in record.trials.values():
        trial.config["a_field_of_old"] = 1
    assert [effect.pairs for effect in main_effects(on_clean(tabulate(record)))] == [1, 2]


def test_sign_flips_by_hand() -> None:
    assert sign_flip_p(np.array([1.0, 1.0, 1.0])) == 2 / 8
    assert sign_flip_p(np.array([-1.0, 2.0, 4.0])) == 4 / 8  # of the sums 7, 5, 3, 1 and their opposites
    assert sign_flip_p(np.zeros(4)) == 1


def test_random_sign_flips_agree_with_the_normal_approximation() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1.0, size=40)
    z = abs(differences.sum()) / math.sqrt((differences**2).sum())
    assert sign_flip_p(differences) == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.01)


def test_of_very_many_pairs_the_normal_distribution_agrees_with_random_flips() -> None:
    generator = np.random.default_rng(0)
    differences = generator.exponential(size=MOST_FLIPPED + 1) * generator.choice([-1, 1], size=MOST_FLIPPED + 1) + 0.1
    flips = generator.choice([-1.0, 1.0], size=(20_000, len(differences))) @ differences
    expected = (np.abs(flips) >= abs(differences.sum())).mean()
    assert 0.02 < expected < 0.98 and sign_flip_p(differences) == pytest.approx(expected, abs=0.01)
    assert sign_flip_p(np.zeros(MOST_FLIPPED + 1)) == 1


def test_sign_flips_of_no_effect_are_rarely_significant() -> None:
    generator = np.random.default_rng(1)
    p_values = [sign_flip_p(generator.normal(size=8)) for _ in range(300)]
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.08


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    corrected = holm([math.nan, 0.5, 0.9])
    assert math.isnan(corrected[0]) and corrected[1:] == [1.0, 1.0]
    assert holm([]) == []


def test_the_interval_of_few_differences_is_that_of_the_t_test() -> None:
    differences = np.random.default_rng(0).normal(3.0, 2.0, size=7)
    reference = scipy.stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert mean_interval(differences) == pytest.approx((reference.low, reference.high))
    assert mean_interval(np.full(5, 2.0)) == (2.0, 2.0)
    low, high = mean_interval(np.array([1.0, 3.0]))
    reach = 12.706205  # t(0.975, 1), times a standard error of 1
    assert (low, high) == pytest.approx((2 - reach, 2 + reach), abs=1e-5)
    assert all(math.isnan(value) for value in mean_interval(np.array([1.0])))


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_effects_have_an_interval_and_a_test_from_three_pairs_on(new_study: NewStudy, seeds: int) -> None:
    study = new_study(factors=FACTORS[:1])
    for seed in range(seeds):
        study.complete(70.0 + seed, 20.0, 1.0, {"num_views": 4}, seed=seed)
        study.complete(72.0 + 2 * seed, 20.0, 1.0, {"num_views": 8}, seed=seed)
    (effect,) = main_effects(on_clean(tabulate(study.read())))
    expected = scipy.stats.ttest_1samp([2.0 + seed for seed in range(seeds)], 0.0).confidence_interval(0.95)
    low, high = (math.nan, math.nan) if seeds < 3 else (expected.low, expected.high)
    assert effect.pairs == seeds and (effect.low, effect.high) == pytest.approx((low, high), nan_ok=True)
    assert effect.p_value == pytest.approx(math.nan if seeds < 3 else 2 / 2**seeds, nan_ok=True)


@pytest.mark.parametrize("pairs", [3, 5, 6, 8, 12, 24, 50])
def test_intervals_of_normal_differences_hold_their_mean_in_95_of_100(pairs: int) -> None:
    drawn = np.random.default_rng(pairs).normal(1.0, 2.0, size=(1000, pairs))
    intervals = np.array([mean_interval(differences) for differences in drawn])
    covered = np.mean((intervals[:, 0] <= 1.0) & (intervals[:, 1] >= 1.0))
    assert covered == pytest.approx(0.95, abs=0.02)  # three standard errors of 1,000 draws


def test_importance_is_that_of_the_factor_that_matters(new_study: NewStudy) -> None:
    study = new_study(factors=[{"name": "num_views"}, {"name": "adversary"}, {"name": "epochs"}, FACTORS[2]])
    for index in range(36):
        params = {"num_views": (4, 8, 16)[index % 3], "adversary": ("none", "pgd")[index % 2], "epochs": 1 + index // 6}
        clean = 50.0 + 10 * (index % 3) + 0.1 * index / 36
        study.complete(clean, 10.0 + 30 * (index % 2), 1.0 + index // 6, params | ({"replays": 3} if index else {}))
    found = {importance.objective.name: importance for importance in importances(tabulate(study.read()))}
    tops = {name: one.factors[["fANOVA", "PED-ANOVA"]].idxmax().to_dict() for name, one in found.items()}
    assert tops["val_clean"] == {"fANOVA": "num_views", "PED-ANOVA": "num_views"}
    assert tops["val_pgd_8"] == {"fANOVA": "adversary", "PED-ANOVA": "adversary"}
    assert "train_pflop" not in found  # a cost follows from the factors
    assert found["val_clean"].num_trials == 36 and set(found["val_clean"].factors.index) == {
        "num_views",
        "adversary",
        "epochs",
    }
    assert all(importance.tells_apart for importance in found.values())


def noise(new_study: NewStudy, trials: int, seed: int) -> TrialTable:
    """Accuracies that no factor has any influence on."""
    study, luck = new_study(factors=[{"name": "num_views"}, {"name": "epochs"}]), np.random.default_rng(seed)
    for index in range(trials):
        params = {"num_views": int(luck.choice([4, 8, 16])), "epochs": int(luck.integers(1, 4))}
        study.complete(float(luck.normal(60, 5)), float(luck.normal(30, 5)), 1.0, params, seed=index)
    return tabulate(study.read())


def test_of_mere_noise_no_factor_is_told_from_another(new_study: NewStudy) -> None:
    for importance in importances(noise(new_study, 40, seed=0)):
        assert not importance.tells_apart
        assert (importance.factors["fANOVA low"] <= importance.factors["fANOVA"]).all()
        assert (importance.factors["fANOVA high"] - importance.factors["fANOVA low"] > 0.1).all()


def test_ped_anova_looks_at_the_best_of_a_maximised_objective(new_study: NewStudy) -> None:
    # Among the worst, epochs alone decides; among the best, views alone.
    study = new_study(factors=[{"name": "num_views"}, {"name": "epochs"}])
    for index in range(100):
        views, epochs = (4, 8, 16, 32, 64)[index % 5], 1 + (index // 5) % 4
        best = 90.0 + index / 1000 if views == 64 else 50.0 + index / 1000 if epochs > 1 else 10.0
        study.complete(best, 30.0, 1.0, {"num_views": views, "epochs": epochs}, seed=index)
    found = importances(tabulate(study.read()))[0]
    assert found.objective.name == "val_clean" and found.factors["PED-ANOVA"].idxmax() == "num_views"


def test_too_few_trials_have_no_importance(new_study: NewStudy) -> None:
    study = new_study(factors=[{"name": "num_views"}, {"name": "epochs"}])
    for index in range(29):
        study.complete(50.0 + index, 30.0, 1.0, {"num_views": 4 + index % 3, "epochs": 1 + index})
    assert importances(tabulate(study.read())) == []
