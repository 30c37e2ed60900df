"""The section in which a reader explores all trials: a chart of chosen axes, and the data that link the whole page."""

from pathlib import Path

from markupsafe import Markup

from reports.page.html_templates import filled
from reports.page.page import Section
from reports.page.sampled import share_shown
from reports.page.study_data import as_json, study_data
from study.record.curves import read_curve
from study.record.trial_folder import trial_folder
from study.record.trials import TrialTable

CAPTION = (
    "Choose what the chart shows; a click on a mark or row, or a box or lasso around marks, selects on the whole page."
)
METHOD = (
    "A click with Ctrl, Shift or Cmd adds to the selection, Escape ends it. The details of one selected configuration "
    "open beside the page, two are compared. The bar at the lower edge filters. The address of the page holds the "
    "selection, the filters and the axes: who opens it sees the same."
)


def explore_section(table: TrialTable, study_dir: Path | None) -> Section:
    """The explorer, with the bar and the panel that belong to the whole page; ``study_dir`` holds files and curves."""
    read = {uid: read_curve(trial_folder(study_dir, uid)) for uid in table.study.trials} if study_dir else {}
    curves = {uid: curve for uid, curve in read.items() if curve is not None}
    data = Markup(as_json(study_data(table, study_dir, curves)))
    body = filled("page/templates/explore.html", data=data, has_results=not table.complete.empty)
    return Section("Explore all trials", CAPTION + share_shown(table), body, method=METHOD)
