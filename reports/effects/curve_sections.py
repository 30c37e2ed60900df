"""The section of the report with the curves of trials."""

from pathlib import Path

from reports.effects.curve_figures import MANY, MOST_OF_FRONT, curves_figure, is_in_bands
from reports.effects.learning_curves import LEAST_TRIALS, curves_info, read_curves
from reports.page.page import Section
from reports.page.sampled import share_shown
from study.record.trials import TrialTable

TITLE = "Learning curves"
MISSING = (
    "no trial measured anything before its end: trials of this version write a curve while they train, and early "
    "stopping evaluates them at rungs."
)


def curve_sections(table: TrialTable, study_dir: Path | None) -> list[Section]:
    """What trials measured while they trained; nothing for a study without trials."""
    if table.frame.empty:
        return []
    found = curves_info(table, read_curves(table, study_dir))
    if not found:
        return [Section(TITLE, "", missing=MISSING)]
    has_bands = any(is_in_bands(table, measured) for measured in found)
    stopped, paused = len(table.study.with_state("stopped")), len(table.study.with_state("paused"))
    if has_bands:
        caption = f"Medians over complete trials with the middle 80%, and up to {MOST_OF_FRONT} trials on the front."
    elif len(table.frame) > MANY:
        others = f"{stopped} stopped" + (f" and {paused} paused" if paused else "")
        caption = f"A line for each complete trial; the {others} ones are left out where there are many."
    else:
        caption = f"A line for each trial that did not fail; {stopped} stopped ones are dashed and end in a cross"
        caption += f", {paused} paused ones end in a square." if paused else "."
    method = (
        f"Interim evaluations may use fewer {table.examples} than the full one, which ends the line of a complete "
        "trial where it came later than the last rung. Training measures are of whole epochs or reports, from the file "
        "curve.csv in each trial's folder; speeds depend on what else ran on the machine."
    )
    if has_bands:
        method += f" Medians are of at least {LEAST_TRIALS} trials; what was stopped or paused takes no part in them."
    caption += share_shown(table)
    figures = {f"curve_{measured.metric.name}": curves_figure(table, measured) for measured in found}
    return [Section(TITLE, caption, figures=figures, method=method)]
