"""The sections of a report, in order: selection, fronts, what mattered, learning curves, early stopping, all trials."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from reports.effects.effect_sections import effect_sections, stopping_sections
from reports.effects.learning_curves import has_curves, learning_curves
from reports.front.front_sections import front_sections
from reports.page.page import Section
from reports.page.tables import trials_export, trials_table
from study.record.trials import TrialTable
from study.trainable import Metric

LEAST_CURVES = 2  # panels of learning curves, where so many metrics are measured before the end


def sections_of(table: TrialTable) -> list[Section]:
    """The sections that the study's data allow; missing results and a missing front are stated explicitly."""
    sections = [_selection(table)]
    if table.complete.empty:
        sections.append(Section("No results", _nothing(table)))
    elif table.front.empty and table.objectives:
        what = "has a finite value of every objective and passed its checks: there is no front."
        sections.append(Section("No front", f"No configuration without a stopped or failed trial {what}"))
    sections += front_sections(table)
    sections += _ablation_sections(table)
    sections += effect_sections(table)
    sections += _curves(table)
    sections += stopping_sections(table)
    return [*sections, _all_trials(table)]


def sections_of_trainable(table: TrialTable, study_dir: Path, asked: Sequence[str] = ()) -> list[Section]:
    """The sections that the trainable adds: always those of ``sections``, of ``asked_sections`` the ``asked`` ones.

    Raises:
        ValueError: if the trainable has no such section, or one says that it does not apply to the study.
    """
    offered = table.trainable.asked_sections if table.trainable else {}
    if unknown := [name for name in asked if name not in offered]:
        known = ", ".join(offered) or "none"
        raise ValueError(f"no sections {', '.join(map(repr, unknown))} for this study's trials; there are: {known}")
    paths = [*(table.trainable.sections.values() if table.trainable else ()), *(offered[name] for name in asked)]
    sections: list[Section] = []
    for path in paths:
        module, _, function = path.partition(":")
        sections += getattr(import_module(module), function)(table, study_dir)
    return sections


def _ablation_sections(table: TrialTable) -> list[Section]:
    if table.study.spec.get("design", {}).get("kind") != "Ablation":
        return []
    from reports.ablation.ablation_sections import ablation_sections  # needs the study's code

    return ablation_sections(table)


def _selection(table: TrialTable) -> Section:
    names = ", ".join(objective.name for objective in table.objectives)
    caption = (
        f"Trials are selected on {names or 'nothing'}. Trials that differ only in their seed are one configuration."
    )
    method = []
    if any(metric.split == "val" for metric in table.objectives):
        method.append(
            "val_* is measured on validation data that are cut from the training data. The numbers reported are "
            "test_*, from test data that take no part in the selection: a validation value of what was selected is "
            "optimistic, its test value far less so."
        )
    if len(table.objectives) > 1:
        method.append("The front holds the configurations that no other one dominates in the means of the objectives.")
    elif table.objectives:
        method.append("The front of one objective is the configuration with the best mean, or several that are equal.")
    method.append(
        "One with a failed or stopped trial, or a trial that did not pass its validity checks, takes no part."
    )
    if any(metric.is_share for metric in table.metrics.values()):
        method.append(
            f"Wilson 95% intervals cover the drawing of the n evaluated {table.examples}, not the seed of the "
            f"training; standard deviations over seeds cover the seed, not the {table.examples}. They are never mixed: "
            "each number says which of them it has."
        )
    return Section("How to read this", caption, method=" ".join(method))


def _nothing(table: TrialTable) -> str:
    total = len(table.frame)
    failed, stopped = len(table.study.with_state("failed")), len(table.study.with_state("stopped"))
    if total == 0:
        return "No trial has been proposed yet, so there is nothing to show."
    if failed == total:
        return f"All {total} trials failed, so there is no front. The reasons are in the table of all trials below."
    return f"None of {total} trials is complete ({failed} failed, {stopped} stopped early), so there is no front yet."


def _curves(table: TrialTable) -> list[Section]:
    metrics = interim_metrics(table)
    if not metrics or not has_curves(table):
        return []
    stopped = len(table.study.with_state("stopped"))
    caption = f"Evaluations at the rungs of early stopping; {stopped} stopped trials are dashed and end in a cross."
    return [
        Section(
            "Learning curves",
            caption,
            figures={"learning_curves": learning_curves(table, metrics)},
            method=f"Interim evaluations may use fewer {table.examples} than the full one, which ends the line of a "
            "complete trial where it came later than the last rung.",
        )
    ]


def interim_metrics(table: TrialTable) -> list[Metric]:
    """The metrics of interim reports that learning curves show: the objectives among them, other than costs.

    If these are fewer than two, further ones in the declared order.
    """
    reported = {name for trial in table.study.trials.values() for report in trial.reports for name in report}
    reported -= {table.progress}
    found = [metric for metric in table.metrics.values() if metric.name in reported and not metric.is_cost]
    objectives = [metric for metric in found if metric in table.objectives]
    others = [metric for metric in found if metric not in objectives]
    chosen = objectives + others[: max(0, LEAST_CURVES - len(objectives))]
    return [metric for metric in found if metric in chosen]


def _all_trials(table: TrialTable) -> Section:
    if table.frame.empty:
        return Section("All trials", "None.", exports=(trials_export(table),))
    caption = (
        "Click a column's head to sort by it. Only complete trials have results; others have a state and a reason."
    )
    return Section("All trials", caption, trials_table(table), exports=(trials_export(table),))
