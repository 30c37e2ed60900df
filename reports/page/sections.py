"""The sections of a report, in order: selection, fronts, what mattered, learning curves, early stopping, all trials."""

from reports.effects.effect_sections import effect_sections, stopping_sections
from reports.effects.learning_curves import has_curves, learning_curves
from reports.front.front_sections import front_sections
from reports.page.page import Section
from reports.page.tables import trials_export, trials_table
from study.record.trials import TrialTable

CLEAN = "val_clean"


def sections_of(table: TrialTable) -> list[Section]:
    """The sections that the study's data allow; missing results and a missing front are stated explicitly."""
    sections = [Section("How to read this", _selection(table))]
    if table.complete.empty:
        sections.append(Section("No results", _nothing(table)))
    elif table.front.empty:
        sections.append(
            Section(
                "No front",
                "No configuration without a stopped or failed trial has a finite value of every objective and passed "
                "its checks: there is no front.",
            )
        )
    sections += front_sections(table)
    sections += _ablation_sections(table)
    sections += effect_sections(table)
    if has_curves(table):
        measures = [name for name in (CLEAN, _robust_reported(table)) if name is not None]
        figures = {"learning_curves": learning_curves(table, measures)}
        sections.append(Section("Learning curves", _curves_caption(table), figures=figures))
    sections += stopping_sections(table)
    shown = trials_table(table) if len(table.frame) else ""
    sections.append(Section("All trials", _trials_caption(table), shown, exports=(trials_export(table),)))
    return sections


def _ablation_sections(table: TrialTable) -> list[Section]:
    if table.study.spec.get("design", {}).get("kind") != "Ablation":
        return []
    from reports.ablation.ablation_sections import ablation_sections  # uses the study's code, which imports torch

    return ablation_sections(table)


def _robust_reported(table: TrialTable) -> str | None:
    """The robust accuracy that the learning curves show; known from reports if no trial is complete yet."""
    names = [objective.name for objective in table.objectives if objective.name.startswith("val_pgd_")]
    names += [name for trial in table.study.trials.values() for report in trial.reports for name in report
              if name.startswith("val_pgd_")]  # fmt: skip
    return table.robust or next(iter(names), None)


def _selection(table: TrialTable) -> str:
    names = ", ".join(objective.name for objective in table.objectives) or "nothing"
    return (
        f"Trials are selected on {names}, where val_* is measured on validation images cut from the training images; "
        "the numbers reported are test_*, measured on test images that take no part in the selection. A validation "
        "value of what was selected is therefore optimistic, its test value far less so. Trials that differ only in "
        "their seed are one configuration. The front consists of the configurations that no other one dominates in the "
        "means of the objectives; those with a failed or stopped trial, or one that did not pass its validity checks, "
        "take no part. Wilson 95% intervals cover the drawing of the n evaluated images, not the seed of the training; "
        "standard deviations over seeds cover the seed, not the images. They are never mixed: each number says which "
        "of them it has."
    )


def _nothing(table: TrialTable) -> str:
    total = len(table.frame)
    failed, stopped = len(table.study.with_state("failed")), len(table.study.with_state("stopped"))
    if total == 0:
        return "No trial has been proposed yet, so there is nothing to show."
    if failed == total:
        return f"All {total} trials failed, so there is no front. The reasons are in the table of all trials below."
    return f"None of {total} trials is complete ({failed} failed, {stopped} stopped early), so there is no front yet."


def _curves_caption(table: TrialTable) -> str:
    stopped = len(table.study.with_state("stopped"))
    return (
        f"Interim evaluations on validation at the rungs of early stopping; {stopped} stopped trials are dashed and "
        "marked by crosses. Interim evaluations may use fewer images than the full one, which ends a complete trial's "
        "line where it came later than the last rung."
    )


def _trials_caption(table: TrialTable) -> str:
    if table.frame.empty:
        return "None."
    return (
        "Click a column's head to sort by it. Only complete trials have results; the others have a state and a reason."
    )
