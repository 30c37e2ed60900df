"""The sections of the report about the fronts: figures, captions that explain how to read them, and tables."""

from reports.front.attainment import MIN_SEEDS
from reports.front.axis import drawable_pairs, measured_in
from reports.front.front_figures import front_figure
from reports.front.front_progress import attainment_figure, attainment_in, growth_figure, growth_of
from reports.front.front_rows import front_table
from reports.front.front_tables import (
    best_table,
    brief_metrics,
    budget_table,
    front_export,
    near_front,
    ordering_metric,
)
from reports.page.page import Section
from reports.page.sampled import share_shown
from study.record.front_probability import NUM_REPLICATES
from study.record.measures import examples_text, in_words, on_its_split, value_text
from study.record.plateau import front_gain
from study.record.trials import TrialTable
from study.trainable import Metric

MIN_MARKS, MIN_STAGES = 2, 3  # configurations in a figure, trials that ended in a growth
TOO_FEW_MARKS = "only one configuration has a result; a front compares two or more."
LEAST_OF_A_SURFACE = 4  # configurations: fewer are the arms of a comparison rather than a front


def front_sections(table: TrialTable) -> list[Section]:
    """Fronts over every two objectives, budgets, the front's table, attainment, growth of the hypervolume.

    A study with one objective has no front: its sections are the best configurations, and how the best was found.
    """
    if len(table.objectives) == 1:
        return [*_best_sections(table), *_growth_sections(table)]
    pairs = drawable_pairs(table, table.objectives)
    sections = [_pair_section(table.shown, pair) for pair in pairs if not pair[0].is_cost]
    against_cost = [pair for pair in pairs if pair[0].is_cost]
    if against_cost:
        sections.append(_cost_section(table, against_cost))
    if not table.front_configurations.empty:
        near = near_front(table)
        tables = () if near.text.empty else (near,)
        sections.append(
            Section("The front", _front_caption(table), front_table(table.shown), exports=(front_export(table),),
                    tables=tables, method=_certainty(table))
        )  # fmt: skip
    return [*sections, *_attainment_sections(table, pairs), *_growth_sections(table)]


def _best_sections(table: TrialTable) -> list[Section]:
    best = best_table(table)
    if best.text.empty:
        return []
    caption = f"P(front) is the probability of being the best. {_left_out(table)}".strip()
    method = _certainty(table)
    return [Section("The best configurations", caption, front_table(table.shown), tables=(best,), method=method)]


def _pair_section(table: TrialTable, pair: tuple[Metric, Metric]) -> Section:
    x, y = pair
    title = f"{in_words(x)} against {in_words(y)}"
    title = title[:1].upper() + title[1:]
    if len(measured_in(table, pair)) < MIN_MARKS:
        return Section(title, "", missing=TOO_FEW_MARKS)
    figure = front_figure(table, x, y, color_by_cost=table.cost in table.costs)
    caption = (
        "Each mark is a configuration at the mean over its seeds; the line is the front of these two measures alone, "
        f"diamonds are on the front of all {len(table.objectives)} objectives."
        f"{share_shown(table)}"
    )
    figures = {f"front_{x.name}_{y.name}": figure}
    return Section(title, caption, figures=figures, method=_how_to_read_marks(table))


def _cost_section(table: TrialTable, pairs: list[tuple[Metric, Metric]]) -> Section:
    drawn = [pair for pair in pairs if len(measured_in(table.shown, pair)) >= MIN_MARKS]
    if not drawn:
        return Section("What it costs", "", missing=TOO_FEW_MARKS)
    figures = {f"front_{x.name}_{y.name}": front_figure(table.shown, x, y) for x, y in drawn}
    tables = [budget_table(table, y, x) for x, y in drawn if y == table.headline and not x.maximise]
    costs = " and ".join(dict.fromkeys(in_words(x) for x, _ in drawn))
    caption = (
        f"Cost is {costs}, further left is less. The line is the best value attainable at a cost, on validation where "
        "that is measured; '≤' marks the best within a round budget."
        f"{share_shown(table.shown)}"
    )
    return Section("What it costs", caption, figures=figures, method=_how_to_read_marks(table),
                   tables=tuple(budgets for budgets in tables if not budgets.text.empty))  # fmt: skip


def _attainment_sections(table: TrialTable, pairs: list[tuple[Metric, Metric]]) -> list[Section]:
    title = "What a share of the seeds attains"
    found = {pair: attainment for pair in pairs if (attainment := attainment_in(table, pair)) is not None}
    # A surface of one corner is a point: its configuration dominates all others in every seed.
    surfaces = {pair: one for pair, one in found.items() if max(map(len, one.surfaces.values())) > 1}
    is_front = max((one.num_configurations for one in surfaces.values()), default=0) >= LEAST_OF_A_SURFACE
    if not is_front:
        why = f"no {LEAST_OF_A_SURFACE} configurations are complete for the same {MIN_SEEDS} seeds; --seeds gives more."
        why = "one configuration is better than all others in every measure." if found and not surfaces else why
        return [Section(title, "", missing=why)] if pairs else []
    one = next(iter(surfaces.values()))
    caption = (
        "Each seed is one run of the study. A line is the edge of what that share of the seeds attains (empirical "
        f"attainment surface), over the {one.num_configurations} configurations that all of seeds "
        f"{', '.join(str(seed) for seed in one.seeds)} completed."
    )
    figures = {
        f"attainment_{x.name}_{y.name}": attainment_figure(table, (x, y), surface)
        for (x, y), surface in surfaces.items()
    }  # fmt: skip
    return [Section(title, caption, figures=figures)]


def _growth_sections(table: TrialTable) -> list[Section]:
    title, growth = "What the search bought", growth_of(table)
    if growth is None:
        return []
    if growth.frame["spent"].nunique() < MIN_STAGES:
        return [Section(title, "", missing=f"a growth is shown from {MIN_STAGES} trials on that cost something.")]
    last, cost = growth.frame.iloc[-1], growth.cost
    spent = f"after {last['spent']:g} trials"
    if cost is not None:
        spent = f"for {value_text(cost, last['spent'])} of {in_words(cost)} in all trials that ended"
    if len(table.objectives) == 1:
        name, (objective,) = "best_so_far", table.objectives
        words = f"The best {in_words(objective)} is {value_text(objective, last['best'])}"
    else:
        name, worst = "hypervolume", zip(table.objectives, growth.box.reference, strict=True)
        corner = ", ".join(f"{objective.name} = {value_text(objective, value)}" for objective, value in worst)
        share = f"{100 * last['hypervolume']:.2f}%"
        words = f"The front covers {share} of the box between the reference point ({corner}) and the ideal point"
    method = (
        "Stopped and failed trials count with the cost of their last report. The line gets worse where a further seed "
        "corrects a lucky one or does not complete."
    )
    if len(growth.marked) < len(growth.frame):
        method += f" Marks are of {len(growth.marked):,} of {len(growth.frame):,} trials, the line is of all."
    figures = {name: growth_figure(table, growth)}
    caption, gain = f"{words}, {spent}.", front_gain(table.study)
    if gain is not None:
        caption += f" {str(gain).capitalize()}."
        method += (
            " Whether the front still moves is judged in a box from a tenth of its range beyond its worst values to "
            "its best, costs as logarithms, over configurations in the order in which they were handed out."
        )
    return [Section(title, caption, figures=figures, method=method)]


def _front_caption(table: TrialTable) -> str:
    count, total, order = len(table.front_configurations), len(table.configurations), ordering_metric(table)
    shown = [metric for metric in brief_metrics(table) if not metric.is_cost]
    words = [
        f"{count} of {total} configurations{'' if order is None else f', the best {on_its_split(order)} first'}.",
        _inside(table),
        "A front of a lone configuration compares nothing." if total == 1 else "",
        examples_text(table.front_configurations.to_dict("records"), shown, table.examples),
        _left_out(table),
        _shared_hardware(table),
    ]
    return " ".join(text for text in words if text)


def _inside(table: TrialTable) -> str:
    if not table.region:
        return ""
    inside = len(table.recommended)
    return f"In the region of interest ({table.region}): {inside}; P(front) is that of being in it, too."


def _left_out(table: TrialTable) -> str:
    """Which configurations cannot be on the front; often none."""
    doubtful = int((table.configurations["validity"].map(len) > 0).sum())
    lost = len(table.configurations) - len(table.whole)
    words = [f"{doubtful} that failed a check or broke a constraint (⚠)"] if doubtful else []
    words += [f"{lost} that lost a seed, without which a mean is optimistic"] if lost else []
    return f"Kept off the front: {', and '.join(words)}." if words else ""


def _shared_hardware(table: TrialTable) -> str:
    sharing = max((start.get("concurrency") or 1 for start in table.study.environments), default=1)
    clocked = [in_words(cost) for cost in table.costs if cost.is_clocked]
    counted = [in_words(cost) for cost in table.costs if not cost.is_clocked]
    if sharing == 1 or not clocked:
        return ""
    instead = f"; compare {' or '.join(counted)}" if counted else ""
    return f"Up to {sharing} trials at a time shared the hardware while {clocked[0]} was measured{instead}."


def _certainty(table: TrialTable) -> str:
    noise = table.certainty[1]
    words = (
        f"The probability of being on the front, P(front), is the share of {NUM_REPLICATES:,} parametric bootstrap "
        "replicates in which a configuration is on it, "
    )
    if noise is None or noise.degrees_of_freedom == 0:
        return (
            f"{words}drawn with the binomial noise of the evaluated {table.examples} alone: no configuration has two "
            "seeds, so the noise between seeds is not known and the probabilities are overconfident."
        )
    spreads = ", ".join(
        f"{objective.name} {variance**0.5:.2g}{' (factor e^x)' if objective.is_cost else ''}"
        for objective, variance in zip(table.objectives, noise.covariance.diagonal(), strict=True)
    )
    return (
        f"{words}drawn with the binomial noise of the evaluated {table.examples} and the noise between seeds, pooled "
        f"over configurations with {noise.degrees_of_freedom} degrees of freedom (standard deviations: {spreads})."
    )


def _how_to_read_marks(table: TrialTable) -> str:
    return (
        "Buttons switch between validation and test, where both are measured; the line, the diamonds and the labels "
        "stay those selected on validation. Bars are drawn for the front: of a mean of seeds, one standard deviation "
        "over the seeds; of one seed (a dot in the mark), Wilson 95% intervals, which cover the drawing of the "
        f"{table.examples} and not the seed. The knee is, of the members of the front scaled to [0, 1] in each "
        "objective, the one with the largest sum, if that exceeds 1. A configuration further from the front than the "
        "front is long, and outside Tukey's fences of all, is an arrow at the edge with its value. Gray marks are "
        "configurations of which a trial failed or was stopped, at the mean of the other seeds; they are on no front."
    )
