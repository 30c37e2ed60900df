"""A table of the report in two forms: numbers for programs and text for readers."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class ReportTable:
    """One table.

    Args:
        name: stem of its files, e.g. ``main_effects``.
        title: what it shows, with what is needed to read it.
        data: plain values, one number per column; written as CSV.
        text: the same rows formatted for readers; used on the page, in Markdown and in LaTeX.
        is_stacked: whether a phone shows each row as a card, its columns below each other; always if rows have uids.
        uids: of the configuration of each row, where rows are of configurations; None for a row of none.
    """

    name: str
    title: str
    data: pd.DataFrame
    text: pd.DataFrame
    is_stacked: bool = False
    uids: tuple[str | None, ...] = ()
