"""Which of two, A or B, is ahead in one metric: the difference with its interval, and what it decides, in a sentence.

The difference is over the seeds that both have, from three on; else over the examples that one trial of each was
evaluated on. Both say nothing on what the other leaves out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.compare.compared_trials import EvaluatedTrial, PairedTest, accuracy_of, paired_test, why_unpaired
from reports.effects.p_values import p_text
from study.record.intervals import Z_95, mean_interval, share_difference_95
from study.record.measures import difference_text, short_label, value_text
from study.trainable import Metric

MIN_SEEDS = 3  # the interval of two seeds is 12.7 standard errors long on either side


@dataclass(frozen=True)
class Gap:
    """How far B is from A in a metric.

    Args:
        first, second: the values of A and B; NaN if one has none.
        difference: B less A, over what both share.
        low, high: its 95% interval; NaN without one.
        p_value: of McNemar's exact test; NaN without paired examples.
        over: what the interval is over, in words; why there is none, if there is none.
    """

    metric: Metric
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    over: str

    @property
    def ahead(self) -> str:
        """``A``, ``B``, or '' if the interval holds 0 or the test does not reject: not decided."""
        if not (self.low > 0 or self.high < 0) or self.p_value >= 0.05:
            return ""
        return "B" if (self.difference > 0) == self.metric.maximise else "A"


def gap_over_seeds(metric: Metric, first: Mapping[int, float], second: Mapping[int, float]) -> Gap | None:
    """The gap of two configurations, seed -> value of each; None for fewer than three common seeds."""
    seeds = sorted(first.keys() & second.keys())
    if len(seeds) < MIN_SEEDS:
        return None
    differences = [second[seed] - first[seed] for seed in seeds]
    one, other = (sum(values[seed] for seed in seeds) / len(seeds) for values in (first, second))
    low, high = mean_interval(differences)
    return Gap(metric, one, other, other - one, low, high, math.nan, f"{len(seeds)} common seeds")


def gap_of_trials(metric: Metric, first: EvaluatedTrial, second: EvaluatedTrial) -> Gap:
    """The gap of two trials: over the same examples, over independent ones, or without an interval."""
    examples = first.trainable.examples
    if not metric.is_share:
        one, other = (float(trial.metrics.get(metric.name, math.nan)) for trial in (first, second))
        return Gap(metric, one, other, other - one, math.nan, math.nan, math.nan, "one trial of each is compared")
    found, found_other = accuracy_of(first, metric.name), accuracy_of(second, metric.name)
    if found is None or found_other is None:
        one, other = (math.nan if share is None else share[0] for share in (found, found_other))
        return Gap(metric, one, other, math.nan, math.nan, math.nan, math.nan, why_unpaired(first, second, metric))
    one, other = found[0], found_other[0]
    if why_unpaired(first, second, metric):
        low, high = share_difference_95(found, found_other)
        over = f"{found[1]:,} and {found_other[1]:,} {examples}, unpaired"
        return Gap(metric, one, other, other - one, low, high, math.nan, over)
    test = paired_test(first.flags[metric.name], second.flags[metric.name])
    difference = 100 * (test.only_second - test.only_first) / test.num_examples
    low, high = paired_difference_95(test)
    return Gap(metric, one, other, difference, low, high, test.p_value, f"the same {test.num_examples:,} {examples}")


def paired_difference_95(test: PairedTest) -> tuple[float, float]:
    """The 95% interval of the difference of two shares of the same examples, in points: (low, high).

    Agresti and Min (2005), doi:10.1002/sim.1781: Wald's interval after half an example was added to each of four cells.
    """
    count = test.num_examples + 2
    one, other = test.only_first + 0.5, test.only_second + 0.5
    middle = (other - one) / count
    reach = Z_95 * math.sqrt(one + other - (other - one) ** 2 / count) / count
    return 100 * max(-1.0, middle - reach), 100 * min(1.0, middle + reach)


def sentence(gap: Gap, cost: Metric | None = None, costs: Sequence[float] = ()) -> str:
    """The verdict in words: who is ahead in what, by how much, at what cost; or that it is not decided.

    Args:
        gap: the difference.
        cost: what both cost, if that is known, and ``costs`` how much A and B.
    """
    label = short_label(gap.metric).removesuffix(" (%)")
    head = f"{gap.ahead} is ahead in {label}" if gap.ahead else f"Not decided in {label}"
    unit = "%" if gap.metric.is_share else ""
    one, other = (value_text(gap.metric, value) for value in (gap.first, gap.second))
    text = f"{head}: A {one}{unit}, B {other}{unit}"
    if math.isfinite(gap.low):
        points = " points" if gap.metric.is_share else ""
        amount = difference_text(gap.metric, gap.difference, gap.low, gap.high).replace(" [", f"{points} [", 1)
        tested = f", p {_compared(p_text(gap.p_value))}" if math.isfinite(gap.p_value) else ""
        text += f", B - A = {amount} over {gap.over}{tested}"
    else:
        text += f", without an interval: {gap.over}"
    if cost is not None and len(costs) == 2 and all(value > 0 for value in costs):
        text += f"; B has × {costs[1] / costs[0]:.2f} the {short_label(cost).partition(' (')[0]} of A"
    return f"{text}."


def _compared(text: str) -> str:
    return text if text.startswith("<") else f"= {text}"
