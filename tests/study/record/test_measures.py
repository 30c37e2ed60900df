"""Names, units and numbers as a reader sees them."""

import math

import pytest

from study.record.measures import (
    axis_scale,
    difference_text,
    examples_behind,
    examples_text,
    interval_of,
    log_ticks,
    on_its_split,
    on_split,
    points_label,
    short_label,
    value_text,
    with_unit,
)
from study.trainable import Metric
from trainables.presets import LAPTOP
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import TrialConfig

CONFIG = TrialConfig(**LAPTOP | {"eval_radii_255": (2.5, 8.0, 16.0), "eval_autoattack_samples": 50})
METRICS = {metric.name: metric for metric in ROBUST_SSL.metrics(CONFIG)}
LOSS = Metric("loss", "minimize", unit="nats")


@pytest.mark.parametrize(
    ("name", "values", "unit", "is_log"),
    [
        ("train_pflop", [0.002, 0.003, 0.004], "TFLOP", False),
        ("train_pflop", [2.0, 30.0, 40.0], "PFLOP", True),
        ("train_pflop", [1e-6, 2e-6], "GFLOP", False),
        ("train_seconds", [5.0, 20.0, 40.0], "s", False),
        ("train_seconds", [100.0, 3000.0, 3500.0], "min", True),
        ("train_seconds", [7200.0, math.nan], "h", False),
        ("view_passes", [1_500_000, 2_000_000], "million", False),
        ("view_passes", [], "", False),
    ],
)
def test_the_unit_suits_the_values(name: str, values: list[float], unit: str, is_log: bool) -> None:
    metric = METRICS[name]
    scale = axis_scale(metric, values)
    assert (scale.label, scale.is_log) == (f"{metric.label} ({unit})" if unit else metric.label, is_log)
    assert (scale.size, unit) in metric.units


def test_what_is_no_cost_keeps_its_unit_and_is_not_on_a_logarithmic_axis() -> None:
    scale = axis_scale(LOSS, [0.01, 100.0])
    assert (scale.size, scale.label, scale.is_log) == (1.0, "loss (nats)", False)


def test_a_cost_without_units_keeps_its_own() -> None:
    price = Metric("price", "minimize", unit="EUR", kind="cost")
    assert axis_scale(price, [1.0, 100.0]).label == "price (EUR)" and value_text(price, 1234.0) == "1,234 EUR"


def test_the_numbers_of_images_in_words() -> None:
    values = {"val_clean": 80.0, "test_pgd_8": 30.0, "test_aa_8": 20.0, "val_n": 144.0, "test_n": 1360.0}
    rows = [values | {"test_aa_n": 50.0}, values | {"test_aa_n": 100.0},
            {"val_clean": math.nan, "test_pgd_8": math.nan, "val_n": 7.0, "test_n": math.nan}]  # fmt: skip
    clean, pgd, autoattack, cost = (METRICS[n] for n in ("val_clean", "test_pgd_8", "test_aa_8", "train_pflop"))
    assert examples_text(rows, [clean], "images") == "Images: validation n = 144."
    found = examples_text(rows, [pgd, METRICS["test_clean"], autoattack, cost], "images")
    assert found == "Images: test n = 1,360, AutoAttack n = 50 to 100."
    assert examples_text(rows, [cost], "images") == examples_text([], [clean], "images") == ""


def test_one_value_in_its_own_unit() -> None:
    assert value_text(METRICS["train_pflop"], 0.0123) == "12.3 TFLOP"
    assert value_text(METRICS["train_seconds"], 5820.0) == "1.62 h"
    assert value_text(METRICS["view_passes"], 1_234_567.0) == "1,234,567"
    assert value_text(METRICS["test_clean"], 45.15) == "45.1" and value_text(LOSS, 0.123456) == "0.1235"
    assert value_text(METRICS["train_pflop"], math.nan) == value_text(LOSS, None) == "–"


def test_labels_carry_radius_steps_and_unit() -> None:
    assert with_unit(METRICS["val_clean"]) == "clean accuracy (%)"
    assert with_unit(METRICS["test_pgd_8"]) == "robust accuracy, PGD-20 (cross-entropy and margin) at 8/255 (%)"
    assert on_its_split(METRICS["test_aa_16"]) == "test robust accuracy, AutoAttack at 16/255 (%)"
    assert short_label(METRICS["val_pgd_2.5"]) == "val PGD-20 (cross-entropy and margin) at 2.5/255 (%)"
    assert points_label(METRICS["val_clean"]) == "val clean (points)" and points_label(LOSS) == "loss (nats)"


def test_differences_in_points_units_and_factors() -> None:
    clean, cost = METRICS["val_clean"], METRICS["train_pflop"]
    assert difference_text(clean, 3.14, 2.4, 3.8) == "+3.1 [+2.4, +3.8]"
    assert difference_text(clean, -0.01) == "+0.0" and difference_text(clean, math.nan) == "–"
    assert difference_text(cost, math.log(2), math.log(1.9), math.log(2.1)) == "× 2.00 [1.90, 2.10]"
    assert difference_text(cost, math.log(2), math.log(2), math.log(2)) == "× 2.00"
    assert difference_text(LOSS, -0.12345, -0.2, -0.01) == "-0.123 [-0.2, -0.01]"


def test_other_split_of_accuracies_alone() -> None:
    assert on_split(METRICS["val_pgd_8"], "test") == "test_pgd_8"
    assert on_split(METRICS["test_pgd_8"], "val") == "val_pgd_8"
    assert on_split(METRICS["test_aa_8"], "val") == "test_aa_8"  # it has no twin
    assert on_split(METRICS["train_pflop"], "test") == "train_pflop"


def test_each_accuracy_has_its_own_number_of_images() -> None:
    row = {"val_n": 144.0, "test_n": 360.0, "test_aa_n": 50.0, "val_clean": 50.0, "test_aa_8": math.nan}
    found = [examples_behind(row, METRICS[name]) for name in ("val_clean", "test_pgd_8", "test_aa_8", "train_pflop")]
    assert found == [144, 360, 50, None]
    assert interval_of(row, METRICS["test_aa_8"]) is None
    assert interval_of({"val_clean": 50.0}, METRICS["val_clean"]) is None
    assert interval_of(row, METRICS["val_clean"]) == pytest.approx((41.9, 58.1), abs=0.1)


def test_log_ticks() -> None:
    assert log_ticks(3.0, 120.0) == pytest.approx([5, 10, 20, 50, 100])
    assert log_ticks(0.9, 2e5) == pytest.approx([1, 10, 100, 1e3, 1e4, 1e5])
