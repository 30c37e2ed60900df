"""Names, units and numbers as a reader sees them."""

import math

import pytest

from study.record.measures import (
    cost_scale,
    format_cost,
    images_behind,
    images_text,
    interval_of,
    label,
    log_ticks,
    on_split,
)


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
    scale = cost_scale(name, values)
    assert (scale.unit, scale.is_log) == (unit, is_log)


def test_the_numbers_of_images_in_words() -> None:
    rows = [
        {"val_clean": 80.0, "test_pgd_8": 30.0, "test_aa_8": 20.0, "val_n": 144.0, "test_n": 1360.0, "test_aa_n": 50.0},
        {
            "val_clean": 80.0,
            "test_pgd_8": 30.0,
            "test_aa_8": 20.0,
            "val_n": 144.0,
            "test_n": 1360.0,
            "test_aa_n": 100.0,
        },
        {"val_clean": math.nan, "test_pgd_8": math.nan, "val_n": 7.0, "test_n": math.nan},
    ]
    assert images_text(rows, ["val_clean"]) == "Images: validation n = 144."
    found = images_text(rows, ["test_pgd_8", "test_aa_8", "train_pflop"])
    assert found == "Images: test n = 1,360, AutoAttack n = 50 to 100."
    assert images_text(rows, ["train_pflop"]) == images_text([], ["val_clean"]) == ""


def test_one_cost_in_its_own_unit() -> None:
    assert format_cost("train_pflop", 0.0123) == "12.3 TFLOP"
    assert format_cost("train_seconds", 5820.0) == "1.62 h"
    assert format_cost("view_passes", 1_234_567.0) == "1,234,567"
    assert format_cost("train_pflop", math.nan) == "–"


def test_labels_carry_radius_steps_and_unit() -> None:
    assert label("val_clean", 20) == "clean accuracy (%)"
    assert label("test_pgd_8", 20) == "robust accuracy, PGD-20 at 8/255 (%)"
    assert label("val_pgd_2.5", None) == "robust accuracy, PGD at 2.5/255 (%)"
    assert label("test_aa_16", 20) == "robust accuracy, AutoAttack at 16/255 (%)"


def test_other_split_of_accuracies_alone() -> None:
    assert on_split("val_pgd_8", "test") == "test_pgd_8"
    assert on_split("train_pflop", "test") == "train_pflop"


def test_each_accuracy_has_its_own_number_of_images() -> None:
    row = {"val_n": 144.0, "test_n": 360.0, "test_aa_n": 50.0, "val_clean": 50.0, "test_aa_8": math.nan}
    assert [images_behind(row, name) for name in ("val_clean", "test_pgd_8", "test_aa_8")] == [144, 360, 50]
    assert interval_of(row, "test_aa_8") is None
    assert interval_of({"val_clean": 50.0}, "val_clean") is None


def test_log_ticks() -> None:
    assert log_ticks(3.0, 120.0) == pytest.approx([5, 10, 20, 50, 100])
    assert log_ticks(0.9, 2e5) == pytest.approx([1, 10, 100, 1e3, 1e4, 1e5])
