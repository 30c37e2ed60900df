"""The configuration of a trial in words."""

from reports.page.figure_style import factor_text
from study.record.recipe import recipe_words
from study.record.trials import TrialTable


def recipe_text(table: TrialTable, uid: str) -> str:
    """The active factors that vary in the study with their values in the trial ``uid``; '–' if it has none."""
    words = table.trainable.words if table.trainable else {}
    return recipe_words(table.study.trials[uid].params, table.varying, words) or factor_text(None)
