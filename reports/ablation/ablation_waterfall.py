"""The greedy path of an ablation as a waterfall: the change of a metric at each step from one end to the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from reports.ablation.executed_ablation import FROM, Change, ExecutedAblation, PathStep
from study.decisions.ablation import Choice
from study.trainable import Metric


@dataclass(frozen=True)
class Bar:
    """One change of the waterfall: its name, the means before and after it, and the change with its interval."""

    name: str
    before: float
    after: float
    change: Change  # a difference, also of costs
    uid: str | None  # of the config after it
    is_step: bool  # False for the remainder if the path does not reach ``to``


@dataclass(frozen=True)
class Waterfall:
    """A metric along the path, with all means over the same seeds; the ``bars`` add up to the total difference."""

    metric: Metric
    seeds: tuple[int, ...]
    ends: tuple[str, str]  # both recipes in words
    start: float
    start_uid: str | None
    bars: tuple[Bar, ...]
    reaches_end: bool  # whether the last bar ends at ``to``


def waterfall(ablation: ExecutedAblation, path: Sequence[PathStep], metric: Metric) -> Waterfall | None:
    """``metric`` along ``path`` over the seeds that all its configs completed; None without such a seed or a step.

    If the path does not reach ``to`` but ``to`` has results, a last bar stands for all remaining factors.
    """
    ends = (ablation.end_words(0), ablation.end_words(1))
    nodes: list[tuple[str, Choice]] = [(ends[0], FROM)]
    nodes += [(ablation.words(step.brought_in), step.after) for step in path if step.brought_in is not None]
    num_steps, last = len(nodes) - 1, nodes[-1][1]
    if last != ablation.everything and ablation.by_seed(ablation.everything, metric.name):
        left = [name for name in ablation.factors if name not in last]
        nodes.append((f"the rest: {', '.join(left)}", ablation.everything))
    measured = [ablation.by_seed(choice, metric.name) for _, choice in nodes]
    seeds = sorted(set.intersection(*(set(values) for values in measured)))
    if not seeds or num_steps == 0:
        return None
    means = [sum(of_node[seed] for seed in seeds) / len(seeds) for of_node in measured]  # over these, steps add up
    amount = replace(metric, kind="number") if metric.is_cost else metric
    choices = [choice for _, choice in nodes]
    changes = [ablation.change(*ends, amount, seeds) for ends in pairwise(choices)]
    bars = tuple(
        Bar(name, means[index], means[index + 1], change, ablation.uid(choice), index < num_steps)
        for index, ((name, choice), change) in enumerate(zip(nodes[1:], changes, strict=True))
    )
    return Waterfall(metric, tuple(seeds), ends, means[0], ablation.uid(FROM), bars, choices[-1] == ablation.everything)
