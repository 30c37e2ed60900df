"""The sections of a report, in order.

Fronts, what mattered, learning curves, early stopping, a chart to explore, all trials.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from reports.effects.curve_sections import curve_sections
from reports.effects.effect_sections import effect_sections, stopping_sections
from reports.front.front_sections import front_sections
from reports.page.explore import explore_section
from reports.page.page import Section
from reports.page.tables import trials_export, trials_table
from study.record.trials import TrialTable


def sections_of(table: TrialTable, study_dir: Path | None = None) -> list[Section]:
    """The sections that the study's data allow; missing results and a missing front are stated explicitly.

    Without ``study_dir``, where the trials have their folders, their files and curves are not shown.
    """
    sections = []
    if table.complete.empty:
        sections.append(Section("No results", _nothing(table)))
    elif table.front.empty and table.objectives:
        what = "has a finite value of every objective and passed its checks: there is no front."
        sections.append(Section("No front", f"No configuration without a stopped or failed trial {what}"))
    is_ablation = table.study.spec.get("design", {}).get("kind") == "Ablation"
    sections += _ablation_sections(table) if is_ablation else []  # its answer, above the fronts
    sections += _largest_first(front_sections(table))
    sections += [] if is_ablation else effect_sections(table)
    sections += curve_sections(table.shown, study_dir)
    sections += stopping_sections(table)
    sections += [] if table.frame.empty else [explore_section(table.shown, study_dir)]
    return [*sections, _all_trials(table)]


def _largest_first(sections: list[Section]) -> list[Section]:
    """The first section with a figure before all others: below the answer there is a chart."""
    return sorted(sections, key=lambda section: section is not next((one for one in sections if one.figures), None))


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
    from reports.ablation.ablation_sections import ablation_sections  # needs the study's code

    return ablation_sections(table)


def _nothing(table: TrialTable) -> str:
    total = len(table.frame)
    failed, stopped = len(table.study.with_state("failed")), len(table.study.with_state("stopped"))
    if total == 0:
        return "No trial has been proposed yet, so there is nothing to show."
    if failed == total:
        return f"All {total} trials failed, so there is no front. The reasons are in the table of all trials below."
    paused = len(table.study.with_state("paused"))
    lost = f"{failed} failed, {stopped} stopped early" + (f", {paused} paused" if paused else "")
    return f"None of {total} trials is complete ({lost}), so there is no front yet."


def _all_trials(table: TrialTable) -> Section:
    if table.frame.empty:
        return Section("All trials", "None.", exports=(trials_export(table),))
    caption = (
        "Click a column's head to sort by it. Only complete trials have results; others have a state and a reason."
    )
    shown = table.shown
    title = "All trials" if shown is table else f"{len(shown.frame):,} of {len(table.frame):,} trials"
    return Section(title, caption, trials_table(shown), exports=(trials_export(table),))
