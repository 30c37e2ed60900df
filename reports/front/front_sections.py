"""The sections of the report about the fronts: figures, captions that explain how to read them, and tables."""

import numpy as np

from reports.front.front_3d import three_objectives
from reports.front.front_figures import MAX_WITH_WHISKERS, front_figure
from reports.front.front_progress import attainment_figure, attainment_in, growth_figure, growth_of
from reports.front.front_tables import budget_table, front_export, near_front
from reports.front.objective_pair import drawable_pairs
from reports.page.page import Section
from reports.page.tables import front_table
from study.record.front_probability import NUM_REPLICATES
from study.record.measures import COSTS, Objective, format_cost
from study.record.trials import TrialTable


def front_sections(table: TrialTable) -> list[Section]:
    """Fronts over every two and three objectives, budgets, the front's table, attainment, growth of the hypervolume."""
    pairs = drawable_pairs(table, table.objectives)
    sections = [_pair_section(table, pair) for pair in pairs if pair[0].name not in COSTS]
    against_cost = [pair for pair in pairs if pair[0].name in COSTS]
    if against_cost:
        sections.append(_cost_section(table, against_cost))
    if len(table.objectives) == 3 and _has_all(table):
        caption = "Drag to turn, scroll to zoom, point at a mark for its configuration."
        figure = three_objectives(table, table.objectives)
        sections.append(Section("All three at once", caption, figures={"front_three_objectives": figure}))
    if not table.front_configurations.empty:
        near = near_front(table)
        sections.append(
            Section("The front", _front_caption(table), front_table(table), exports=(front_export(table),),
                    tables=() if near.text.empty else (near,))
        )  # fmt: skip
    return [*sections, *_attainment_sections(table, pairs), *_growth_sections(table)]


def _pair_section(table: TrialTable, pair: tuple[Objective, Objective]) -> Section:
    is_main = [objective.name for objective in pair] == ["val_clean", table.robust]
    title = "Accuracy against robustness" if is_main else f"{pair[0].name} against {pair[1].name}"
    has_cost = table.cost is not None and bool(np.isfinite(table.configurations[table.cost]).any())
    figure = front_figure(table, *pair, color_by_cost=has_cost)
    return Section(title, _scatter_caption(table), figures={f"front_{pair[0].name}_{pair[1].name}": figure})


def _cost_section(table: TrialTable, pairs: list[tuple[Objective, Objective]]) -> Section:
    figures = {f"front_{x.name}_{y.name}": front_figure(table, x, y) for x, y in pairs}
    tables = [budget_table(table, y.name, x.name) for x, y in pairs if y.name == table.robust and not x.maximise]
    costs = " and ".join(dict.fromkeys(COSTS[x.name][0] for x, _ in pairs))
    caption = (
        f"Up and left is better. Cost is {costs}: pretraining alone, without probe and evaluation. The line is the "
        "best validation accuracy attainable at a cost; green rings are the best within a round budget."
    )
    return Section("What accuracy and robustness cost", caption, figures=figures,
                   tables=tuple(found for found in tables if not found.text.empty))  # fmt: skip


def _attainment_sections(table: TrialTable, pairs: list[tuple[Objective, Objective]]) -> list[Section]:
    found = {pair: attainment for pair in pairs if (attainment := attainment_in(table, pair)) is not None}
    if not found:
        return []
    one = next(iter(found.values()))
    caption = (
        "Each seed is one run of the study. A line is the edge of what that share of the seeds attains on validation "
        f"(empirical attainment surface), over the {one.num_configurations} configurations that all of seeds "
        f"{', '.join(str(seed) for seed in one.seeds)} completed."
    )
    figures = {
        f"attainment_{x.name}_{y.name}": attainment_figure(table, (x, y), surface)
        for (x, y), surface in found.items()
    }  # fmt: skip
    return [Section("What a share of the seeds attains", caption, figures=figures)]


def _growth_sections(table: TrialTable) -> list[Section]:
    found = growth_of(table)
    if found is None or not (found[1]["spent_pflop"] > 0).any():
        return []
    box, growth = found
    corner = ", ".join(
        f"{objective.name} = {format_cost(objective.name, value) if objective.name in COSTS else f'{value:g}'}"
        for objective, value in zip(table.objectives, box.reference, strict=True)
    )
    last = growth.iloc[-1]
    caption = (
        f"The front covers {100 * last['hypervolume']:.2f}% of the box between the reference point ({corner}) and the "
        f"ideal point, for {format_cost('train_pflop', last['spent_pflop'])} of pretraining in all trials that ended. "
        "Stopped and failed trials count with the cost of their last report. The line falls where a further "
        "seed corrects a lucky one or does not complete."
    )
    return [Section("What the search bought", caption, figures={"hypervolume": growth_figure(growth)})]


def _has_all(table: TrialTable) -> bool:
    values = table.configurations[[objective.name for objective in table.objectives]].to_numpy(dtype=float)
    return bool(np.isfinite(values).all(axis=1).any())


def _front_caption(table: TrialTable) -> str:
    count, total = len(table.front_configurations), len(table.configurations)
    lone = " A front of a lone configuration compares nothing." if total == 1 else ""
    doubtful = int((table.configurations["validity"].map(len) > 0).sum())
    why_off = "failed a check or break a constraint (⚠) and are kept off the front"
    doubt = f" {doubtful} configurations {why_off}." if doubtful else ""
    lost = total - len(table.whole)
    flattery = "failed or were stopped in a seed and are kept off the front: the mean of the other seeds is optimistic"
    doubt += f" {lost} configurations {flattery}." if lost else ""
    sharing = max((start.get("concurrency") or 1 for start in table.study.environments), default=1)
    shared = (
        f" Training time was measured with {sharing} trials at a time on shared hardware; compare training compute."
        if sharing > 1
        else ""
    )
    return (
        f"{count} of {total} configurations, on validation; the accuracies in the table are on test, each with its "
        "number of images n and, for one seed, its Wilson 95% interval, for several their standard deviation. "
        f"{_certainty(table)} The command below a configuration runs it again.{lone}{doubt}{shared}"
    )


def _certainty(table: TrialTable) -> str:
    noise = table.certainty[1]
    words = (
        f"The probability of being on the front, P(front), is the share of {NUM_REPLICATES:,} parametric bootstrap "
        "replicates in which a configuration is on it, "
    )
    if noise is None or noise.degrees_of_freedom == 0:
        return (
            f"{words}drawn with the binomial noise of the evaluated images alone: no configuration has two seeds, so "
            "the noise between seeds is not known and the probabilities are overconfident."
        )
    spreads = ", ".join(
        f"{objective.name} {variance**0.5:.2g}{' (factor e^x)' if objective.name in COSTS else ''}"
        for objective, variance in zip(table.objectives, noise.covariance.diagonal(), strict=True)
    )
    return (
        f"{words}drawn with the binomial noise of the evaluated images and the noise between seeds, pooled over "
        f"configurations with {noise.degrees_of_freedom} degrees of freedom (standard deviations: {spreads})."
    )


def _scatter_caption(table: TrialTable) -> str:
    """Explains what the marks mean, and which of the two splits the front is selected on."""
    few = (
        ""
        if len(table.configurations) <= MAX_WITH_WHISKERS
        else f" Of over {MAX_WITH_WHISKERS} configurations, only those on the front have bars."
    )
    return (
        "Each mark is a configuration at the mean over its seeds; the buttons switch between validation and test. The "
        f"line is the front of these two measures alone on validation; diamonds are on the front of all "
        f"{len(table.objectives)} objectives. Bars of a mean of seeds are one standard deviation "
        "over the seeds; those of one seed (a dot in the mark) are Wilson 95% intervals, which cover the drawing of "
        f"the images and not the seed.{few} The star is the knee: of the members of this line, scaled to [0, 1] in "
        "each measure, the one with the largest sum. Gray marks are configurations of which a trial failed or was "
        "stopped, at the mean of the other seeds. Stopped and failed trials are hidden until their name in the "
        "legend is clicked; they are never on a front."
    )
