"""The sections of the report about what mattered: effects, importance, the space, and whether stopping was right."""

from dataclasses import asdict

import pandas as pd

from reports.effects.early_stopping import audit_of, rank_agreement
from reports.effects.effect_figures import effects_figure, importance_figure
from reports.effects.effects import MIN_PAIRS, Effect, interactions, main_effects
from reports.effects.importance import importances
from reports.effects.matched_pairs import MatchedTrials
from reports.effects.p_values import p_text
from reports.effects.space_figures import parallel_coordinates, slices, traded_fields, traded_figure, varying_factors
from reports.page.page import Section
from reports.page.report_table import ReportTable
from study.record.measures import difference_text, in_words, short_label
from study.record.trials import TrialTable

CAPTION = (
    "Each row compares trials that are equal in every other factor and in the seed. Effects on shares are in "
    "percentage points, on costs factors. Filled marks: p < 0.05."
)
METHOD = (
    "Trials that share a prefix, such as one pretrained encoder, share its luck: pairs of the same two prefixes are "
    f"averaged and count as one. Brackets are Student's t 95% intervals over pairs, from {MIN_PAIRS} pairs on; p is of "
    "the two-sided sign-flip test, corrected by Holm's method over all rows. Stopped and failed trials have no pairs, "
    "so that what was stopped early is under-represented."
)
NO_PAIRS = (
    "No two complete trials differ in one factor alone at the same seed, as is usual for a search over many values: "
    "effects cannot be read off. Parameter importance below is all that there is; it does not say which way a factor "
    "works, and is no test. A grid, or an ablation with equal seeds, gives matched pairs."
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
    return [Section("Was early stopping right?", caption, tables=(_agreement_table(table, agreement),))]


def _effects(table: TrialTable) -> Section:
    trials = MatchedTrials(table, table.objectives)
    alone, crossed = main_effects(trials), interactions(trials)
    if not alone:
        return Section("What mattered", NO_PAIRS)
    drawn = [effect for effect in alone if not effect.metric.is_cost]
    figures = {"main_effects": effects_figure(drawn)} if drawn else {}
    tables = [_effects_table("main_effects", "Main effects", alone)]
    tables += [_effects_table("interactions", "Interactions: difference of differences", crossed)] if crossed else []
    return Section("What mattered", CAPTION, figures=figures, tables=tuple(tables), method=METHOD)


def _effects_table(name: str, title: str, effects: list[Effect]) -> ReportTable:
    texts = [
        {
            "factor": " × ".join(effect.factors),
            "contrast": effect.contrast,
            "metric": short_label(effect.metric),
            "effect": difference_text(effect.metric, effect.mean, effect.low, effect.high),
            "pairs": str(effect.pairs),
            "p (Holm)": p_text(effect.p_holm),
        }
        for effect in effects
    ]
    data = [
        asdict(effect) | {"factors": text["factor"], "metric": effect.metric.name}
        for effect, text in zip(effects, texts, strict=True)
    ]
    return ReportTable(name, title, pd.DataFrame(data), pd.DataFrame(texts))


def _importance(table: TrialTable) -> list[Section]:
    measured = importances(table)
    if not measured:
        return []
    data, texts = [], []
    for importance in measured:
        for factor, values in importance.factors.to_dict("index").items():
            objective, trials = importance.objective, importance.num_trials
            data.append({"objective": objective.name, "factor": factor, "trials": trials, **values})
            shares = {evaluator: f"{value:.2f}" for evaluator, value in values.items()}
            texts.append({"objective": short_label(objective), "factor": factor, **shares})
    left_out = [name for name in table.factors if name not in measured[0].factors.index]
    caption = (
        f"From {measured[0].num_trials} complete trials: fANOVA is the share of the variance over the whole space, "
        "PED-ANOVA what tells the best tenth from the rest. Stopped trials are not in it."
    )
    caption += f" Left out, as not varied or not active in every trial: {', '.join(left_out)}." if left_out else ""
    exported = ReportTable("importance", "Parameter importance", pd.DataFrame(data), pd.DataFrame(texts))
    figures = {"importance": importance_figure(measured)}
    return [Section("Parameter importance", caption, figures=figures, exports=(exported,))]


def _space(table: TrialTable) -> list[Section]:
    metrics = [o for o in table.objectives if not o.is_cost and table.whole[o.name].notna().any()]
    if not metrics:
        return []
    sections, traded = [], traded_fields(table)
    if traded is not None:
        first, second = traded
        caption = (
            "Means over the n complete configurations of each cell: other factors differ between cells where the "
            f"study did not cross them. Dashed lines join equal {first} × {second}, which decides the cost."
        )
        figures = {f"{first}_by_{second}_{metric.name}": traded_figure(table, metric, traded) for metric in metrics}
        sections.append(Section(f"{first} against {second}", caption, figures=figures))
    caption = "Each mark is a complete configuration, at the value by which trials are selected."
    sections.append(Section("Slices", caption, figures={"slices": slices(table, metrics)}))
    figure = parallel_coordinates(table, table.headline if table.headline in metrics else metrics[0])
    caption = "Each line is a complete configuration. Drag along an axis to choose a range, a title to move an axis."
    return [*sections, Section("Parallel coordinates", caption, figures={"parallel_coordinates": figure})]


def _agreement_table(table: TrialTable, agreement: pd.DataFrame) -> ReportTable:
    rung = f"rung ({in_words(table.metric(table.progress))})"
    texts = [
        {
            rung: str(row["milestone"]),
            "objective": short_label(table.metric(row["objective"])),
            "configurations": str(row["configurations"]),
            "tau": f"{row['tau']:.2f}",
            "95% interval": "–" if row["low"] != row["low"] else f"[{row['low']:.2f}, {row['high']:.2f}]",
        }
        for row in agreement.to_dict("records")
    ]
    title = "Kendall's tau between the ranking of configurations at a rung and at the end, means over seeds"
    return ReportTable("rank_agreement", title, agreement, pd.DataFrame(texts))
