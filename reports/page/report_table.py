"""A table of the report in two forms: numbers for programs and text for readers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

Row = Mapping[Any, Any]


@dataclass(frozen=True)
class ReportTable:
    """One table.

    Args:
        name: stem of its files, e.g. ``main_effects``.
        title: what it shows, with what is needed to read it.
        data: plain values, one number per column; written as CSV.
        text: the same rows formatted for readers; used on the page, in Markdown and in LaTeX.
    """

    name: str
    title: str
    data: pd.DataFrame
    text: pd.DataFrame


def table_of(name: str, title: str, rows: Iterable[Row], columns: Mapping[str, Callable[[Row], Any]]) -> ReportTable:
    """A table whose data are ``rows`` and whose text is made from them by ``columns`` (heading -> text of a row)."""
    kept = list(rows)
    text = pd.DataFrame(
        [{head: str(cell(row)) for head, cell in columns.items()} for row in kept], columns=list(columns)
    )
    return ReportTable(name, title, pd.DataFrame(kept), text)
