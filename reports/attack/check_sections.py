"""What the checks of the attack found, trial by trial; nothing here imports torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reports.page.html_templates import filled
from reports.page.page import Section
from reports.page.report_table import ReportTable
from reports.page.tables import html_table
from study.record.trial_folder import trial_folder
from study.record.trials import TrialTable
from trainables.evaluation.check_table import CHECKS, LIMITS, PREFIX, Check, failed_checks

Checked = Mapping[str, Mapping[str, Any]]  # trial -> its metrics
SHOWN_FAILURES = 5
CHECKS_NAME = "checks.json"  # in a trial's folder: checks that were made of it later
METHOD = (
    "A robust accuracy is no better than the attack that measured it. The checks are those by which reviewers judge "
    "such evaluations (arXiv:1902.06705, arXiv:2003.01690, arXiv:2206.13991), made on up to 100 validation images, "
    "and of AutoAttack where it ran. The longer ones are made where eval_checks is 'all', as it is in confirmations; "
    "python -m reports.attack --checks makes all of them on the front. Where a limit is a tolerated rate, it grants "
    "what so high a rate makes of that many images in all but 0.1% of draws. A trial that failed one in its own "
    "evaluation is on no front; one that failed a check made later stays on it, and is named here."
)


def check_sections(table: TrialTable, study_dir: Path) -> list[Section]:
    """A section on the checks of all complete trials; none if no trial has made any, as in earlier versions."""
    complete = table.study.with_state("complete")
    found = {trial.uid: {**trial.metrics, **_made_later(trial_folder(study_dir, trial.uid))} for trial in complete}
    checked = {uid: metrics for uid, metrics in found.items() if isinstance(metrics.get(LIMITS), Mapping)}
    return [section_of(checked)] if checked else []


def _made_later(folder: Path) -> dict[str, Any]:
    """The checks that ``reports.attack --checks`` has made of a trial since; none if the file is not whole."""
    try:
        found = json.loads((folder / CHECKS_NAME).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def section_of(checked: Checked) -> Section:
    """One line and folded tables if all checks passed; otherwise the tables."""
    failed = [uid for uid, metrics in checked.items() if failed_checks(metrics)]
    made = sum(len(metrics[LIMITS]) for metrics in checked.values())
    tables = by_check(checked), by_trial(checked)
    title, trials = "Can the attack be trusted?", f"{len(checked)} trial{'s' if len(checked) != 1 else ''}"
    if failed:
        shown = ", ".join(failed[:SHOWN_FAILURES]) + (", …" if len(failed) > SHOWN_FAILURES else "")
        return Section(title, f"{len(failed)} of {trials} failed a check: {shown}.", tables=tables, method=METHOD)
    body = filled("attack/templates/checks.html", summary="Values and limits", tables=[*map(html_table, tables)])
    return Section(title, f"All {made} checks of {trials} passed.", body, exports=tables, method=METHOD)


def by_check(checked: Checked) -> ReportTable:
    """Each check with the value that came closest to its limit, or went furthest beyond it."""
    rows, texts = [], []
    for check in CHECKS:
        values = {uid: _value_and_limit(check, metrics) for uid, metrics in checked.items()}
        made = {uid: pair for uid, pair in values.items() if pair is not None}
        if not made:
            continue
        uid = max(made, key=lambda uid: _excess(check, *made[uid]))
        value, limit = made[uid]
        failures = [uid for uid, pair in made.items() if not check.passes(*pair)]
        rows.append({"check": check.name, "worst": value, "limit": limit, "trial": uid, "trials": len(made),
                     "failed": len(failures)})  # fmt: skip
        texts.append({
            "check": f"{check.name}: {check.what}", "worst": _text(value, check), "of trial": uid,
            "passes": f"{'above' if check.rule == 'above' else 'up to'} {_text(limit, check)}", "because": check.reason,
            "trials": str(len(made)), "failed": str(len(failures)) if failures else "–",
        })  # fmt: skip
    return ReportTable("checks", "Checks: the value closest to its limit", pd.DataFrame(rows), pd.DataFrame(texts))


def by_trial(checked: Checked) -> ReportTable:
    """Trials by checks: values, those beyond their limit marked."""
    made = [check for check in CHECKS if any(PREFIX + check.name in metrics for metrics in checked.values())]
    rows, texts = [], []
    for uid, metrics in checked.items():
        row: dict[str, Any] = {"trial": uid}
        text = {"trial": uid}
        for check in made:
            pair = _value_and_limit(check, metrics)
            row[check.name] = None if pair is None else pair[0]
            mark = "" if pair is None or check.passes(*pair) else "⚠ "
            text[check.name] = "–" if pair is None else mark + _text(pair[0], check)
        rows.append(row)
        texts.append(text)
    title = "Checks of every trial; ⚠: beyond the limit, –: not made"
    return ReportTable("checks_by_trial", title, pd.DataFrame(rows), pd.DataFrame(texts))


def _value_and_limit(check: Check, metrics: Mapping[str, Any]) -> tuple[float, float] | None:
    if check.name not in metrics[LIMITS]:
        return None
    value = metrics.get(PREFIX + check.name)
    return float("nan") if value is None else float(value), float(metrics[LIMITS][check.name])


def _excess(check: Check, value: float, limit: float) -> float:
    if value != value:  # lost, which fails
        return float("inf")
    return limit - value if check.rule == "above" else value - limit


def _text(value: float, check: Check) -> str:
    return f"{value:.3g}{' %' if check.unit else ''}"
