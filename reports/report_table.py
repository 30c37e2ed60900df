"""A table of the report, once as numbers for programs and once as text for readers."""

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
        data: plain values, one number a column; written as CSV.
        text: the same rows as a reader wants them; on the page, in Markdown and in LaTeX.
    """

    name: str
    title: str
    data: pd.DataFrame
    text: pd.DataFrame


def table_of(name: str, title: str, rows: Iterable[Row], columns: Mapping[str, Callable[[Row], Any]]) -> ReportTable:
    """A table whose text is made of ``rows`` by ``columns`` (head -> text of a row) and whose data are the rows."""
    kept = list(rows)
    text = pd.DataFrame(
        [{head: str(cell(row)) for head, cell in columns.items()} for row in kept], columns=list(columns)
    )
    return ReportTable(name, title, pd.DataFrame(kept), text)
