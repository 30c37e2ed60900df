"""The answer of a study: its question, what the matched comparisons say of it, and which configurations to choose."""

from dataclasses import dataclass

from reports.answer.comparisons import Compared, compared_in, comparison_of, reported_objectives, short_names
from reports.answer.more_trials import more_trials
from reports.answer.notable import Notable, absent_in, nearest_to, notable_in
from reports.answer.paired import PairedDifference, Verdict
from reports.page.figure_style import measured_text
from reports.page.recipe import recipe_text
from study.record.measures import SPLIT_WORDS, difference_text, in_words, value_text
from study.record.trials import TrialTable
from study.spec import Comparison
from study.trainable import Metric

HOW = (
    "A difference is taken between trials that are equal in everything else and in the seed; trials that share a "
    "prefix count as one. Brackets are Student's t 95% intervals over these pairs, which cover the luck of the seeds. "
    "Equal: the whole interval is within the smallest difference of interest. Better or worse: it does not hold 0. "
    "The number of trials that would decide supposes that mean and spread of the differences stay as they are."
)
LOOKED = (
    " The comparison is the clearest of {} that the trials allow, and its intervals are wider for that (Bonferroni)."
)
NO_PAIRS = (
    "No factor has two pairs of trials that differ in it alone: this says what was best, not which factor made it so."
)


@dataclass(frozen=True)
class Statement:
    """What one comparison says.

    Args:
        verdict: for programs.
        lead: the verdict in a few words.
        text: the two sides, and the difference of the headline with its interval.
        beside: the differences of the other measures.
        more: what would decide; '' if it is decided.
    """

    verdict: Verdict
    lead: str
    text: str
    beside: str
    more: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer of a study.

    Args:
        question: as the study was given it; may be empty.
        chance: what a probability of being on the front is called: P(front), or P(best) for one objective.
        statements: from matched comparisons, the most important first; may be empty.
        found: what was found otherwise, where there are no statements.
        region: the study's region of interest and how much of the front is inside; '' without one.
        notable: configurations to choose.
        absent: why there is no knee or no best within a budget; may be empty.
        how: how the statements come about; '' without any.
    """

    question: str
    chance: str
    statements: tuple[Statement, ...]
    found: str
    region: str
    notable: tuple[Notable, ...]
    absent: str
    how: str


def answer_of(table: TrialTable) -> Answer:
    """The answer that the trials so far give."""
    compared, comparison, notable = compared_in(table), comparison_of(table), notable_in(table)
    looked_at = max((one.difference.looked_at for one in compared), default=1)
    how = HOW + (LOOKED.format(looked_at) if looked_at > 1 else "") if compared else ""
    return Answer(
        str(table.study.spec.get("question", "")),
        "P(best)" if len(table.objectives) == 1 else "P(front)",
        tuple(_statement(one, comparison, table) for one in compared),
        "" if compared else _found(table),
        region_text(table),
        tuple(notable),
        absent_in(table, notable),
        how,
    )


def _statement(one: Compared, comparison: Comparison | None, table: TrialTable) -> Statement:
    pairs, names, more = one.difference.pairs, short_names(table), more_trials(one, comparison, table)
    sides = f"{one.second} against {one.first}{f', both with {one.given}' if one.given else ''}"
    if pairs == 0:
        return Statement(one.verdict, _lead(one, comparison), f"{sides}.", "", more)
    count = f"{pairs} pair{'' if pairs == 1 else 's'}"
    text = f"{sides}: {_difference(names[one.metric], one.metric, one.difference)}, {count}."
    beside = "; ".join(_difference(names[metric], metric, found) for metric, found in one.others if found.pairs)
    beside = f"{beside[:1].upper()}{beside[1:]}." if beside else ""
    return Statement(one.verdict, _lead(one, comparison), f"{text[:1].upper()}{text[1:]}", beside, more)


def _lead(one: Compared, comparison: Comparison | None) -> str:
    if one.verdict == "undecided":
        return "Not decided"
    if not one.is_planned and one.verdict != "equal":
        return "The clearest difference"
    words = {"better": "Better", "worse": "Worse", "equal": f"Equal within {one.margin_text}"}
    return (comparison.means.get(one.verdict, "").rstrip(".") if comparison else "") or words[one.verdict]


def _difference(name: str, metric: Metric, found: PairedDifference) -> str:
    """'test robust accuracy +3.1 points [+2.4, +3.8]'."""
    value, bracket, rest = difference_text(metric, found.mean, found.low, found.high).partition(" [")
    unit = " points" if metric.is_share or metric.unit == "%" else ""
    return f"{name} {value}{unit}{bracket}{rest}"


def region_text(table: TrialTable) -> str:
    """The region of interest, and how many members of the front are inside; by how much the nearest misses it."""
    if not table.region:
        return ""
    where = f"Region of interest: {_bounds_in_words(table)}"
    front = table.front_configurations
    if len(table.recommended):
        members = "the best" if len(table.objectives) == 1 else f"the {len(front)} members of the front"
        return f"{where}; {len(table.recommended)} of {members} are inside, and only those are recommended."
    if front.empty:
        return f"{where}; nothing is inside yet."
    nearest = front.iloc[nearest_to(table.region, front, table.objectives)]
    missed = [table.metric(name) for name, miss in table.region.misses(nearest.to_dict()).items() if miss > 0]
    values = ", ".join(f"{_named(metric)} {_valued(metric, nearest[metric.name])}" for metric in missed)
    return f"{where}; nothing is inside. The nearest is {nearest['uid']}: {values}."


def _bounds_in_words(table: TrialTable) -> str:
    parts = []
    for bound in table.region.bounds:
        metric, words = table.metric(bound.name), "at least" if bound.direction == "maximize" else "at most"
        parts.append(f"{_named(metric)} {words} {_valued(metric, bound.value)}")
    return ", ".join(parts)


def _named(metric: Metric) -> str:
    return f"{SPLIT_WORDS.get(metric.split, '')} {in_words(metric)}".strip()


def _valued(metric: Metric, value: float) -> str:
    unit = "" if metric.is_cost or not metric.unit else metric.unit if metric.unit == "%" else f" {metric.unit}"
    return f"{value_text(metric, value)}{unit}"


def _found(table: TrialTable) -> str:
    """What was found where no two trials match."""
    front, metrics = table.recommended, reported_objectives(table)
    if front.empty and len(table.front_configurations):
        return ""
    total = len(table.configurations)
    if total and table.headline is None:
        return "The study has no objective but costs, and no two pairs of trials that differ in one factor alone."
    if front.empty or not metrics or table.headline is None or table.headline.name not in front:
        return "No configuration has completed and passed its checks yet." if total else "No trial has completed yet."
    best = front.sort_values(table.headline.name, ascending=not table.headline.maximise, kind="stable").iloc[0]
    value = measured_text(best.to_dict(), metrics[0])
    which = f"The best of {total} configurations" if total > 1 else "The only configuration"
    text = f"{which}: {recipe_text(table, best['uid'])}, with {short_names(table)[metrics[0]]} {value}."
    return f"{text} {NO_PAIRS if total > 1 else ''}".strip()
