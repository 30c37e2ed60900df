"""The front as a table of the page: a row for each member, with its other measures and its command to unfold."""

from markupsafe import Markup

from reports.front.front_tables import brief_metrics, ordering_metric, sorted_front
from reports.page.html_templates import filled
from reports.page.recipe import recipe_text
from reports.page.rerun import rerun_command
from reports.page.tables import all_measured, frame_of
from study.record.measures import Row, interval_of, short_label, value_text
from study.record.trials import TrialTable, spread_of
from study.trainable import Metric

USUAL_ROWS = 30  # a front with more members is in a box of its own


def front_table(table: TrialTable) -> Markup:
    """The configurations on the front: recipe, the objectives as selected and as reported, and what can be unfolded."""
    metrics, order = brief_metrics(table), ordering_metric(table)
    others = [metric for metric in all_measured(table) if metric not in metrics]
    front = sorted_front(table).to_dict("records")
    rows = [
        row
        | {
            "recipe": recipe_text(table, row["uid"]),
            "standing": "" if row["is_inside"] else "outside the region of interest",
            "shown": [*(_measured(row, metric) for metric in metrics), (f"{row['front_probability']:.2f}", "")],
            "others": [(short_label(metric), *_measured(row, metric)) for metric in others],
            "command": rerun_command(table, row["uid"]),
        }
        for row in front
    ]
    heads = [(short_label(metric), _order(metric) if metric == order else "") for metric in metrics]
    frame = "wide" if len(rows) <= USUAL_ROWS else frame_of(len(rows), "scroll tall")
    heads = [("trial", ""), ("configuration", ""), *heads, ("P(front)", "")]
    return filled("page/templates/front_table.html", heads=heads, rows=rows, frame=frame)


def _order(metric: Metric) -> str:
    """How the rows are sorted by ``metric``, in the words of ``aria-sort``."""
    return "descending" if metric.maximise else "ascending"


def _measured(row: Row, metric: Metric) -> tuple[str, str]:
    """A measurement of a configuration, and its uncertainty: over seeds, or of one seed over examples."""
    text = value_text(metric, row[metric.name])
    if text == "–" or metric.is_cost:
        return text, ""
    (spread, seeds), interval = spread_of(row, metric.name), interval_of(row, metric)
    if seeds > 1:
        return text, f"± {value_text(metric, spread)}, {seeds} seeds"
    return text, f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else ""
