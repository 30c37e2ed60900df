"""A study as an object, for Python and notebooks: its trials as data frames, its figures as Plotly figures."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from reports.page.sections import sections_of
from study.record.journal import read_study
from study.record.trials import FACTOR_PREFIX, TrialTable, tabulate
from study.spec import StudySpec


@dataclass(frozen=True)
class StudyResult:
    """What a study has found so far; a snapshot of its journal.

    Args:
        study_dir: the study's folder.
        table: everything that reports are made from.
    """

    study_dir: Path
    table: TrialTable

    @property
    def spec(self) -> StudySpec:
        """The study as it was defined."""
        return StudySpec.recorded(self.table.study.spec)

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial: uid, state, seed, factors and metrics; metrics only of complete trials."""
        frame = self.table.frame.drop(columns="configuration")
        return frame.rename(columns=lambda name: name.removeprefix(FACTOR_PREFIX))

    @property
    def configurations(self) -> pd.DataFrame:
        """One row per configuration with results: factors, means over seeds, their spread, membership of the front."""
        frame = self.table.certainty[0].drop(columns="configuration")
        return frame.rename(columns=lambda name: name.removeprefix(FACTOR_PREFIX))

    @property
    def front(self) -> pd.DataFrame:
        """The configurations on the Pareto front, with one objective the best: what a reader asks of them first.

        Columns: ``uid``, the factors, the means of the objectives and of their twins on the other split, ``num_seeds``,
        ``front_probability`` and, if the study has a region of interest, ``is_inside``; ``configurations`` has all.
        """
        measured = [name for one in self.table.objectives for name in (one.name, one.twin)]
        names = ["uid", *self.table.factors, *measured, "num_seeds", "front_probability"]
        names += ["is_inside"] if self.table.region else []
        frame = self.configurations
        return frame.loc[frame["on_front"], [name for name in names if name in frame]].reset_index(drop=True)

    @cached_property
    def figures(self) -> dict[str, go.Figure]:
        """The figures of the report by name; each shows in a notebook."""
        return {
            name: figure
            for section in sections_of(self.table, self.study_dir)
            for name, figure in section.figures.items()
        }


def open_study(study_dir: str | Path) -> StudyResult:
    """Opens a study on disk, finished or running, without changing it.

    Raises:
        ValueError: if there is no study in ``study_dir``, or its journal is damaged.

    Example:
        >>> open_study("runs/none")
        Traceback (most recent call last):
        ValueError: no study in runs/none: it has no journal.jsonl
    """
    path = Path(study_dir)
    return StudyResult(path, tabulate(read_study(path)))
