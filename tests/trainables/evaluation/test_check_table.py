"""The table of checks: limits against scipy's quantiles, and what passes."""

import math

import pytest
from scipy.stats import binom

from trainables.evaluation.check_table import BY_NAME, CHECKS, LIMITS, check_metrics, failed_checks

COUNTED = [check for check in CHECKS if check.rule == "counted"]


@pytest.mark.parametrize("num_images", [1, 10, 60, 100, 1000])
@pytest.mark.parametrize("check", COUNTED, ids=lambda check: check.name)
def test_a_counted_limit_is_a_quantile(check, num_images: int) -> None:  # type: ignore[no-untyped-def]
    wanted = 100 * binom.ppf(0.999, num_images, check.limit / 100) / num_images
    assert check.limit_for(num_images) == pytest.approx(wanted)


def test_every_check_says_why() -> None:
    assert len(BY_NAME) == len(CHECKS) >= 15
    for check in CHECKS:
        assert len(check.reason) > 30 and check.what and not check.failure.format(value=3.0).endswith(".")
        assert "{value" in check.failure


SOUND = {
    name: (10.0 if check.rule == "above" else 0.0, 100) for name, check in BY_NAME.items()
}  # values that pass, over 100 images


def test_sound_values_pass() -> None:
    metrics = check_metrics(SOUND)
    assert metrics["validity"] == [] and failed_checks(metrics) == []
    assert {name for name in metrics if name.startswith("check_")} == {f"check_{name}" for name in BY_NAME} | {LIMITS}


@pytest.mark.parametrize("name", BY_NAME)
def test_the_limit_itself_passes_and_a_value_beyond_it_fails(name: str) -> None:
    check = BY_NAME[name]
    limit = check.limit_for(100)
    beyond = math.nextafter(limit, math.inf)
    at_limit, off = (beyond, limit) if check.rule == "above" else (limit, beyond)
    assert failed_checks(check_metrics(SOUND | {name: (at_limit, 100)})) == []
    metrics = check_metrics(SOUND | {name: (off, 100)})
    assert failed_checks(metrics) == [name]
    (words,) = metrics["validity"]  # type: ignore[misc]
    assert words == check.failure.format(value=off)


def test_a_lost_value_fails_and_a_trial_without_checks_does_not() -> None:
    assert failed_checks({"check_unbounded": None, LIMITS: {"unbounded": 5.0}}) == ["unbounded"]
    assert failed_checks({"val_clean": 90.0}) == []


def test_notes_follow_the_failures() -> None:
    found = check_metrics(SOUND | {"autoattack_warnings": (1.0, 20)}, ["AutoAttack: it is random"])
    assert found["validity"] == ["AutoAttack warned 1 times", "AutoAttack: it is random"]
