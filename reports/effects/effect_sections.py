"""The sections of the report about what mattered: effects, importance, the space, and whether stopping was right."""

from collections.abc import Sequence

import pandas as pd

from reports.effects.early_stopping import MIN_FOR_INTERVAL, Audit, audit_of, rank_agreement
from reports.effects.effect_figures import effects_figure, importance_figure
from reports.effects.effects import MIN_PAIRS, Effect, interactions, main_effects
from reports.effects.importance import MIN_TRIALS, MOST_FITTED, importances
from reports.effects.matched_pairs import MatchedTrials
from reports.effects.p_values import p_text
from reports.effects.parallel_coordinates import parallel_coordinates, varying_factors
from reports.effects.traded_figure import traded_at_equal_cost, traded_fields, traded_figure
from reports.page.page import Section
from reports.page.report_table import ReportTable
from reports.page.sampled import share_shown
from study.record.measures import difference_text, in_words, points_label, short_label
from study.record.trials import TrialTable

EFFECTS, IMPORTANCE, STOPPING = "What mattered", "Parameter importance", "Was early stopping right?"
METHOD = (
    "Each row compares trials that are equal in every other factor and in the seed; costs change by factors. Trials "
    "that share a prefix, such as one pretrained encoder, share its luck: pairs of the same two prefixes are averaged "
    f"and count as one. Brackets and whiskers are Student's t 95% intervals over pairs, of which there are {MIN_PAIRS} "
    "at least: of two, an interval would be 12.7 standard errors long on either side. p is of the two-sided sign-flip "
    "test, which cannot be below 0.05 for fewer than six pairs, corrected by Holm's method over all rows. Stopped and "
    "failed trials have no pairs, so that what was stopped early is under-represented. Interactions are differences "
    "of differences: how much the first change gains or loses by the second."
)
MATCHED_PAIRS = (
    f"an effect needs {MIN_PAIRS} pairs of complete trials that differ in one factor alone at the same seed, and "
    "{found}; a grid, or an ablation with equal seeds, gives such pairs."
)


def effect_sections(table: TrialTable) -> list[Section]:
    """What mattered, as far as the study's trials show."""
    if table.trusted.empty or not table.objectives:
        return []
    sections = [_effects(table)]
    if len(table.shown.whole) > 1 and varying_factors(table.shown):
        sections += [*_traded(table.shown), *_importance(table), *_space(table.shown)]
    return sections


def stopping_sections(table: TrialTable) -> list[Section]:
    """How far early stopping can be trusted; nothing for a study without rungs."""
    agreement, audit = rank_agreement(table), audit_of(table)
    stopped, paused = len(table.study.with_state("stopped")), len(table.study.with_state("paused"))
    ended = f"{stopped} trials were stopped" + (f" and {paused} are paused" if paused else "")
    if agreement.empty and not stopped and not paused and not audit.num_audited:
        return []
    agreement = agreement[agreement["low"].notna()]
    if agreement.empty and audit.interval is None:
        missing = (
            f"{ended}, none that a rung would have ended ran on for an audit, and agreement of "
            f"rankings needs {MIN_FOR_INTERVAL} configurations that reported at a rung and ran to their end."
        )
        return [Section(STOPPING, "", missing=missing)]
    tables = () if agreement.empty else (_agreement_table(table, agreement),)
    method = (
        "An audited trial is one that a rung would have stopped or paused but that ran on; its interval is Wilson's. "
        "Agreement of rankings is among trials that ran to their end."
    )
    return [Section(STOPPING, _audit_words(audit, ended), tables=tables, method=method)]


def _audit_words(audit: Audit, ended: str) -> str:
    if audit.interval is None:
        return f"{ended}; how often that costs a member of the front is not known without audits."
    low, high = audit.interval
    unfinished = f"; {audit.num_unfinished} more are running, failed or in doubt" if audit.num_unfinished else ""
    return (
        f"Of {audit.num_audited} audited trials, {audit.num_on_front} are on the final front "
        f"({', '.join(audit.uids_on_front) or 'none'}): stopping costs a front member in {low:.0f} to {high:.0f}% of "
        f"cases, and {ended}{unfinished}."
    )


def _effects(table: TrialTable) -> Section:
    trials = MatchedTrials(table, table.objectives)
    found = main_effects(trials)
    alone, crossed = _with_enough(found), _with_enough(interactions(trials))
    if not alone:
        most = max(found, key=lambda effect: effect.pairs, default=None)
        words = f"the most is {most.pairs} ({most.factors[0]}: {most.contrast})" if most else "there are none"
        return Section(EFFECTS, "", missing=MATCHED_PAIRS.format(found=words))
    drawn = {metric.name: [effect for effect in alone if effect.metric == metric] for metric in table.objectives}
    figures = {
        f"main_effects_{name}": effects_figure(effects)
        for name, effects in drawn.items()
        if effects and not effects[0].metric.is_cost
    }
    tables = [_effects_table("main_effects", "Effect of each change, all else equal", alone)]
    tables += [_effects_table("interactions", "Interactions of two changes", crossed)] if crossed else []
    caption = "What a change of one factor does, with 95% intervals over matched pairs; filled marks have p < 0.05."
    return Section(EFFECTS, caption, figures=figures, tables=tuple(tables), method=METHOD)


def _with_enough(effects: Sequence[Effect]) -> list[Effect]:
    return [effect for effect in effects if effect.pairs >= MIN_PAIRS]


def _effects_table(name: str, title: str, effects: Sequence[Effect]) -> ReportTable:
    """One row per change; the effect on each metric beside the other."""
    rows: dict[tuple[tuple[str, ...], str], list[Effect]] = {}
    for effect in effects:
        rows.setdefault((effect.factors, effect.contrast), []).append(effect)
    metrics = list(dict.fromkeys(effect.metric for effect in effects))
    data, texts = [], []
    for (factors, contrast), own in rows.items():
        row: dict[str, object] = {"factor": " × ".join(factors), "change": contrast}
        text = {"factor": " × ".join(factors), "change": contrast} | {points_label(metric): "–" for metric in metrics}
        for one in own:
            numbers = {"effect": one.mean, "low": one.low, "high": one.high, "pairs": one.pairs, "p_holm": one.p_holm}
            row |= {f"{one.metric.name}_{part}": number for part, number in numbers.items()}
            tested = "" if one.metric.is_cost else f", p {_compared(p_text(one.p_holm))}"
            text[points_label(one.metric)] = difference_text(one.metric, one.mean, one.low, one.high) + tested
        counts = sorted({one.pairs for one in own})
        data.append(row)
        texts.append(text | {"pairs": " to ".join(dict.fromkeys((str(counts[0]), str(counts[-1]))))})
    return ReportTable(name, title, pd.DataFrame(data), pd.DataFrame(texts), is_stacked=True)


def _compared(text: str) -> str:
    return text if text.startswith("<") else f"= {text}"


def _importance(table: TrialTable) -> list[Section]:
    measured = importances(table)
    if not any(one.tells_apart for one in measured):
        trials = measured[0].num_trials if measured else len(table.trusted)
        needed = f"it needs {MIN_TRIALS} complete trials, of which there are {trials}, and two factors active in all."
        unclear = f"{trials} complete trials do not tell two factors apart at 95%; more trials would."
        return [Section(IMPORTANCE, "", missing=unclear if measured else needed)]
    data, texts = [], []
    for importance in measured:
        for factor, values in importance.factors.to_dict("index").items():
            objective, trials = importance.objective, importance.num_trials
            data.append({"objective": objective.name, "factor": factor, "trials": trials, **values})
            shares = {
                name: f"{values[name]:.2f} [{values[f'{name} low']:.2f}, {values[f'{name} high']:.2f}]"
                for name in ("fANOVA", "PED-ANOVA")
            }
            texts.append({"objective": short_label(objective), "factor": str(factor), **shares})
    left_out = [name for name in table.factors if name not in measured[0].factors.index]
    drawn = f", drawn at random of {len(table.trusted):,}" if measured[0].num_trials == MOST_FITTED else ""
    caption = "How much of what was achieved each factor accounts for, with 95% intervals; it has no direction."
    method = (
        f"From {measured[0].num_trials:,} complete trials{drawn}: fANOVA is the share of the variance over the whole "
        "space, PED-ANOVA what tells the best tenth from the rest. Intervals are of a bootstrap over trials. "
        "Stopped trials are not in it, and it is no test."
    )
    method += f" Left out, as not varied or not active in every trial: {', '.join(left_out)}." if left_out else ""
    exported = ReportTable("importance", IMPORTANCE, pd.DataFrame(data), pd.DataFrame(texts))
    figures = {f"importance_{one.objective.name}": importance_figure(one) for one in measured}
    return [Section(IMPORTANCE, caption, figures=figures, exports=(exported,), method=method)]


def _traded(table: TrialTable) -> list[Section]:
    """The two fields whose product decides the cost, at equal cost."""
    fields = traded_fields(table)
    metrics = [o for o in table.objectives if not o.is_cost and table.whole[o.name].notna().any()]
    if fields is None or not metrics:
        return []
    traded, (first, second) = traded_at_equal_cost(table, fields), fields
    title = f"{first} against {second}"
    alike = f" and equal {', '.join(traded.fixed)}" if traded.fixed else ""
    if not traded.settings:
        missing = (
            f"no two complete configurations have equal {first} × {second}, and so equal cost,{alike}; a grid over "
            "both, or more trials, would give some."
        )
        return [Section(title, "", missing=missing)]
    caption = f"Along a line the cost is equal: it gets better where more {first} are worth the fewer {second}."
    caption += share_shown(table)
    method = f"A line joins means over complete configurations of equal {first} × {second}{alike}, so of equal cost."
    method += f" Not held equal, as they hardly repeat: {', '.join(traded.loose)}." if traded.loose else ""
    method += f" Not drawn: {traded.num_left_out} settings with fewer configurations." if traded.num_left_out else ""
    method += " Whiskers are standard deviations over seeds, or of one seed Wilson's 95% interval."
    figures = {f"{first}_by_{second}_{metric.name}": traded_figure(table, metric, traded) for metric in metrics}
    return [Section(title, caption, figures=figures, method=method)]


def _space(table: TrialTable) -> list[Section]:
    metrics = [o for o in table.objectives if not o.is_cost and table.whole[o.name].notna().any()]
    if not metrics:
        return []
    figure = parallel_coordinates(table, table.headline if table.headline in metrics else metrics[0])
    caption = "Each line is a complete configuration; drag a box across lines at an axis to select them."
    caption += share_shown(table)
    return [Section("Parallel coordinates", caption, figures={"parallel_coordinates": figure})]


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
