"""The file of a trial's curve: rows, columns, and what an attempt that resumes makes of an earlier one's."""

import math
from pathlib import Path

import pandas as pd
import pytest

from study.record.curves import CURVE_NAME, CurveFile, read_curve


def rows(folder: Path) -> list[dict[str, float]]:
    """Without what was not measured."""
    curve = read_curve(folder)
    assert curve is not None
    return [{n: v for n, v in row.items() if v == v} for row in curve.to_dict("records")]


def write(folder: Path, *measures: dict[str, object]) -> None:
    """In one attempt."""
    curve = CurveFile(folder, "passes")
    for row in measures:
        curve.add(row)


def test_numbers_come_back_exactly_and_progress_is_first(tmp_path: Path) -> None:
    written = [
        {"loss": 0.1 + 0.2, "passes": 10, "val, <b>\n\"accuracy\"": 1e-300},
        {"passes": 20, "loss": math.inf, "later": -3},
        {"passes": 30},
    ]  # fmt: skip
    write(tmp_path, *written)
    assert rows(tmp_path) == written
    curve = read_curve(tmp_path)
    assert curve is not None and next(iter(curve)) == "passes" and curve["passes"].dtype == "int64"
    assert list(curve)[1:] == ["loss", 'val, <b>\n"accuracy"', "later"]


def test_names_that_are_no_texts_are_taken_as_texts(tmp_path: Path) -> None:
    write(tmp_path, {"passes": 1, 5: 0.5}, {"passes": 2, 5: 0.25, "later": 1.0})  # type: ignore[dict-item]
    assert rows(tmp_path) == [{"passes": 1, "5": 0.5}, {"passes": 2, "5": 0.25, "later": 1.0}]


def test_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"passes": 1, "name": "x", "is_good": True, "list": [1], "loss": math.nan, "none": None, "a": 2.5})
    assert rows(tmp_path) == [{"passes": 1, "a": 2.5}]


@pytest.mark.parametrize("measures", [{"loss": 1.0}, {"passes": math.nan}, {"passes": "1"}, {"passes": math.inf}])
def test_progress_is_needed(tmp_path: Path, measures: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a number under 'passes'"):
        write(tmp_path, measures)
    assert read_curve(tmp_path) is None


@pytest.mark.parametrize(("goes_on_at", "columns"), [(1, 3), (2, 3), (3, 3), (4, 3)])
def test_an_attempt_takes_the_place_of_what_it_repeats(tmp_path: Path, goes_on_at: int, columns: int) -> None:
    whole = [{"passes": n, "loss": 1.0 / n} | ({"accuracy": 50.0 + n} if n == 2 else {}) for n in range(1, 5)]
    write(tmp_path, *({**row, "loss": -1.0} for row in whole[goes_on_at - 1 :]))
    (tmp_path / CURVE_NAME).unlink()
    write(tmp_path, *whole[: goes_on_at - 1], *({**row, "loss": -1.0} for row in whole[goes_on_at - 1 :]))
    write(tmp_path, *whole[goes_on_at - 1 :])
    assert rows(tmp_path) == whole
    curve = read_curve(tmp_path)
    assert curve is not None and curve.shape == (4, columns)


def test_within_an_attempt_progress_may_stand_still(tmp_path: Path) -> None:
    repeated: list[dict[str, object]] = [{"passes": 5, "finetuning": n} for n in range(3)]
    write(tmp_path, *repeated)
    write(tmp_path, *repeated)
    assert rows(tmp_path) == repeated


def test_a_line_that_a_kill_has_cut_is_not_read_nor_gone_on_with(tmp_path: Path) -> None:
    write(tmp_path, {"passes": 1, "loss": 0.5}, {"passes": 2, "loss": 0.25})
    path = tmp_path / CURVE_NAME
    path.write_bytes(path.read_bytes()[:-4])
    assert rows(tmp_path) == [{"passes": 1, "loss": 0.5}]
    write(tmp_path, {"passes": 3, "loss": 0.125})
    assert rows(tmp_path) == [{"passes": 1, "loss": 0.5}, {"passes": 3, "loss": 0.125}]


@pytest.mark.parametrize("text", ["passes,loss\n1,two\n", "passes\n1,2,3\n", '"passes\n', "\xff\n"])
def test_a_damaged_file_is_no_curve_and_does_not_fail_a_trial(tmp_path: Path, text: str) -> None:
    (tmp_path / CURVE_NAME).write_bytes(text.encode("latin-1"))
    with pytest.warns(UserWarning, match="cannot be read"):
        assert read_curve(tmp_path) is None
    with pytest.warns(UserWarning, match="cannot be read"):
        write(tmp_path, {"passes": 1})
    assert rows(tmp_path) == [{"passes": 1}]


def test_without_a_file_there_is_no_curve(tmp_path: Path) -> None:
    assert read_curve(tmp_path) is None and read_curve(tmp_path / "none") is None
    (tmp_path / CURVE_NAME).write_text("")
    assert read_curve(tmp_path) is None


def test_a_curve_is_as_long_as_what_was_measured(tmp_path: Path) -> None:
    write(tmp_path, *({"passes": n, "loss": 1.0 / n} for n in range(1, 1001)))
    curve = read_curve(tmp_path)
    pd.testing.assert_frame_equal(
        curve, pd.DataFrame({"passes": range(1, 1001), "loss": [1.0 / n for n in range(1, 1001)]})
    )
