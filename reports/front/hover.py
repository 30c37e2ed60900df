"""What a mark says when it is pointed at: a few short lines; the rest is in the table and behind a click."""

import html
import re
from collections.abc import Sequence

from reports.page.figure_style import measured_text
from reports.page.recipe import recipe_text
from study.record.measures import Row, on_split, short_label
from study.record.trials import TrialTable
from study.trainable import Metric

WIDTH, MAX_LINES = 60, 6
TEMPLATE = "%{hovertext}<extra></extra>"


def hover_text(row: Row, table: TrialTable, metrics: Sequence[Metric]) -> str:
    """A configuration in at most six short lines: name, recipe, ``metrics`` on both splits; escaped for Plotly."""
    lines = [f"{row['uid']}{_standing(row)}", recipe_text(table, row["uid"])]
    names = [on_split(metric, split) for metric in metrics for split in ("val", "test")]
    for metric in map(table.metric, dict.fromkeys(names)):
        text = measured_text(row, metric)
        lines += [f"{_brief(short_label(metric))}: {text}"] if text != "–" else []
    shortened = [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines[:MAX_LINES]]
    return "<br>".join(html.escape(line) for line in shortened if line)


def _standing(row: Row) -> str:
    seeds = f", mean of {row['num_seeds']} seeds" if row["num_seeds"] > 1 else ""
    if row["num_lost"]:
        return f"{seeds}, on no front: ⚠ {row['num_lost']} {row['state']}"
    if row["validity"]:
        return f"{seeds}, on no front: ⚠ {row['validity'][0]}"
    where = "" if row["is_inside"] else ", outside the region"
    return f"{', on the front' if row['on_front'] else ''}{where}{seeds}"


def _brief(label: str) -> str:
    """A label without what stands in brackets, but for the unit at its end."""
    return re.sub(r" \([^)]*\)(?!$)", "", label)
