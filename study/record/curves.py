"""The curve of a trial, ``curve.csv`` in its folder: what was measured while it trained, for people and figures.

No decision is based on it, and it is in no journal. The first column is the trainable's progress, then comes one for
each measure; empty where that was not measured.
"""

import csv
import io
import math
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.files import replacing

if TYPE_CHECKING:
    import pandas as pd

CURVE_NAME = "curve.csv"


class CurveFile:
    """Writes the curve of one attempt at a trial.

    An attempt that resumes repeats some of what an earlier one has measured: its first row takes the place of all
    earlier ones that are not before it.

    Args:
        folder: of the trial; it exists.
        progress: the name of the metric in which progress is counted.
    """

    def __init__(self, folder: Path, progress: str) -> None:
        self._path, self._progress = folder / CURVE_NAME, progress
        self._columns: list[str] = []  # of the file, once this attempt has written to it

    def add(self, measures: Mapping[str, Any]) -> None:
        """Adds the numbers among ``measures`` as a row.

        Raises:
            ValueError: if they do not say the progress.
        """
        row = _measured(measures)
        if not math.isfinite(row.get(self._progress, math.nan)):
            raise ValueError(f"what is measured must have a number under {self._progress!r}: {dict(measures)!r}")
        if self._columns and row.keys() <= set(self._columns):
            with self._path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._columns).writerow(row)  # what is missing is empty
            return
        earlier = _rows(self._path)
        if not self._columns:
            earlier = [old for old in earlier if old.get(self._progress, math.inf) < row[self._progress]]
        self._columns = list(dict.fromkeys([self._progress, *(earlier[0] if earlier else ()), *row]))
        self._write([*earlier, row])

    def _write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        with replacing(self._path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(_measured(row) for row in rows)


def read_curve(trial_folder: Path) -> "pd.DataFrame | None":
    """The curve of a trial, at any moment while it trains or later; None if it has none or it cannot be read.

    Returns:
        One row for each time something was measured, in that order; the first column is the progress, and each further
        one a measure, NaN where it was not measured.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     curve = CurveFile(Path(folder), "epochs")
        ...     curve.add({"epochs": 1, "train_loss": 0.5})
        ...     curve.add({"epochs": 2, "train_loss": 0.25, "val_accuracy": 90.0})
        ...     read_curve(Path(folder))
           epochs  train_loss  val_accuracy
        0       1        0.50           NaN
        1       2        0.25          90.0
    """
    import pandas as pd  # not needed where trials run

    rows = _rows(trial_folder / CURVE_NAME)
    return pd.DataFrame(rows) if rows else None


def _rows(path: Path) -> list[dict[str, float]]:
    """The rows of a curve, each with all its columns; a last line that a kill has cut is left out.

    Of a file that is damaged, such as by an editor, there are none.
    """
    try:
        text = path.read_bytes().decode()
        whole = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""), strict=True)
        return [{name: _number(value) for name, value in row.items()} for row in whole]
    except FileNotFoundError:
        return []
    except (ValueError, AttributeError, csv.Error) as error:
        warnings.warn(f"{path} cannot be read: {error}", stacklevel=2)
        return []


def _number(text: str) -> float:
    """An integer stays one, as passes and epochs are."""
    if not text:
        return math.nan
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _measured(measures: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among ``measures``, but for NaN."""
    numbers = {str(n): v for n, v in measures.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {name: value for name, value in numbers.items() if value == value}
