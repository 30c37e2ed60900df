"""The sections of the report about what mattered: effects, importance, the space, and whether stopping was right."""

import math
from dataclasses import asdict

import pandas as pd

from reports.effects.early_stopping import audit_of, rank_agreement
from reports.effects.effect_figures import effect_text, effects_figure, importance_figure, p_text
from reports.effects.effects import MIN_BOOTSTRAP_PAIRS, MIN_PAIRS, Effect, interactions, main_effects
from reports.effects.importance import importances
from reports.effects.space_figures import (
    has_views_and_epochs,
    parallel_coordinates,
    slices,
    varying_factors,
    views_by_epochs,
)
from reports.page.page import Section
from reports.page.report_table import ReportTable, table_of
from study.record.measures import COSTS, is_accuracy, short_label
from study.record.trials import TrialTable

HOW_TESTED = (
    "Each row compares trials that are equal in every other factor and in the seed. Trials of one pretrained encoder, "
    "which differ in probe or evaluation alone, share its luck: pairs of the same encoders are averaged and count as "
    "one. Effects on accuracies are in percentage points, on costs factors; brackets are 95% intervals over pairs, "
    f"bootstrapped from {MIN_BOOTSTRAP_PAIRS} on, t intervals from {MIN_PAIRS} on; p is of the two-sided sign-flip "
    "test, corrected by Holm's method over all rows."
)


def effect_sections(table: TrialTable) -> list[Section]:
    """What mattered, as far as the study's trials show."""
    if table.trusted.empty or not table.objectives:
        return []
    sections = [_effects(table)]
    if len(table.whole) > 1 and varying_factors(table):
        sections += [*_importance(table), *_space(table)]
    return sections


def stopping_sections(table: TrialTable) -> list[Section]:
    """How far early stopping can be trusted; nothing for a study without rungs."""
    agreement, audit = rank_agreement(table), audit_of(table)
    stopped = len(table.study.with_state("stopped"))
    if agreement.empty and not stopped and not audit.num_audited:
        return []
    interval = audit.interval
    if interval is None:
        words = (
            f"{stopped} trials were stopped and none of the trials that a rung would have stopped was run to its end, "
            "so how often stopping costs a member of the front is not known."
        )
    else:
        words = (
            f"Of {audit.num_audited} audited trials, which a rung would have stopped but which ran on, "
            f"{audit.num_on_front} are on the final front ({', '.join(audit.uids_on_front) or 'none'}): stopping "
            f"costs a front member in {100 * audit.num_on_front / audit.num_audited:.1f}% of cases (Wilson 95% "
            f"interval {interval[0]:.1f} to {interval[1]:.1f}%). {stopped} trials were stopped."
        )
    if audit.num_unfinished:
        words += f" {audit.num_unfinished} audited trials are running, failed or in doubt."
    caption = f"{words} Agreement of rankings is among trials that ran to their end; those stopped are not in it."
    return [Section("Was early stopping right?", caption, tables=(_agreement_table(agreement),))]


def _effects(table: TrialTable) -> Section:
    measures = [
        objective.name for objective in table.objectives if is_accuracy(objective.name) or objective.name in COSTS
    ]
    found, crossed = main_effects(table, measures), interactions(table, measures)
    if not found:
        return Section(
            "What mattered",
            "No two complete trials differ in one factor alone at the same seed, as is usual for a search over many "
            "values: effects cannot be read off. Parameter importance below is all that there is; it does not say "
            "which way a factor works, and is no test. A grid, or an ablation with equal seeds, gives matched pairs.",
        )
    figures = {"main_effects": effects_figure(found)} if any(is_accuracy(effect.measure) for effect in found) else {}
    tables = [_effects_table("main_effects", "Main effects", found)]
    tables += [_effects_table("interactions", "Interactions: difference of differences", crossed)] if crossed else []
    caption = f"{HOW_TESTED} Filled marks: p < 0.05. Stopped and failed trials have no pairs, so that what was stopped "
    return Section("What mattered", caption + "early is under-represented.", figures=figures, tables=tuple(tables))


def _effects_table(name: str, title: str, effects: list[Effect]) -> ReportTable:
    rows = [asdict(effect) | {"factors": " × ".join(effect.factors)} for effect in effects]
    return table_of(name, title, rows, {
        "factor": lambda row: row["factors"],
        "contrast": lambda row: row["contrast"],
        "measure": lambda row: short_label(row["measure"]),
        "effect": lambda row: effect_text(row["measure"], row["mean"], row["low"], row["high"]),
        "pairs": lambda row: row["pairs"],
        "p (Holm)": lambda row: p_text(row["p_holm"]),
    })  # fmt: skip


def _importance(table: TrialTable) -> list[Section]:
    found = importances(table)
    if not found:
        return []
    rows = [
        {"objective": importance.objective, "factor": factor, "trials": importance.num_trials, **values}
        for importance in found
        for factor, values in importance.factors.to_dict("index").items()
    ]
    left_out = [name for name in table.factors if name not in found[0].factors.index]
    caption = (
        f"From {found[0].num_trials} complete trials: fANOVA is the share of the variance over the whole space, "
        "PED-ANOVA what tells the best tenth from the rest. Stopped trials are not in it."
    )
    caption += f" Left out, as not varied or not active in every trial: {', '.join(left_out)}." if left_out else ""
    exported = table_of("importance", "Parameter importance", rows, {
        "objective": lambda row: short_label(row["objective"]),
        "factor": lambda row: row["factor"],
        "fANOVA": lambda row: f"{row['fANOVA']:.2f}",
        "PED-ANOVA": lambda row: f"{row['PED-ANOVA']:.2f}",
    })  # fmt: skip
    return [
        Section("Parameter importance", caption, figures={"importance": importance_figure(found)}, exports=(exported,))
    ]


def _space(table: TrialTable) -> list[Section]:
    accuracies = [objective.name for objective in table.objectives if is_accuracy(objective.name)]
    shown = [name for name in accuracies if table.whole[name].notna().any()]
    if not shown:
        return []
    sections = []
    if has_views_and_epochs(table):
        caption = (
            "Means over the n complete configurations of each cell: other factors differ between cells where the "
            "study did not cross them. Dashed lines join equal views × epochs, that is equal view passes within one "
            "kind of adversary."
        )
        figures = {f"views_by_epochs_{name}": views_by_epochs(table, name) for name in shown}
        sections.append(Section("Crops against epochs", caption, figures=figures))
    sections.append(
        Section("Slices", "Each mark is a complete configuration, on validation.", figures={"slices": slices(table)})
    )
    color_by = table.robust if table.robust in shown else shown[0]
    figure = parallel_coordinates(table, color_by or shown[0])
    caption = (
        "Each line is a complete configuration. Drag along an axis to choose a range, drag a title to move an axis."
    )
    sections.append(Section("Parallel coordinates", caption, figures={"parallel_coordinates": figure}))
    return sections


def _agreement_table(agreement: pd.DataFrame) -> ReportTable:
    def interval(low: float, high: float) -> str:
        return "–" if math.isnan(low) else f"[{low:.2f}, {high:.2f}]"

    title = "Kendall's tau between the ranking of configurations at a rung and at the end, means over seeds"
    return table_of("rank_agreement", title,
                    agreement.to_dict("records"), {
        "rung (view passes)": lambda row: row["milestone"],
        "objective": lambda row: short_label(row["objective"]),
        "configurations": lambda row: row["configurations"],
        "tau": lambda row: f"{row['tau']:.2f}",
        "95% interval": lambda row: interval(row["low"], row["high"]),
    })  # fmt: skip
