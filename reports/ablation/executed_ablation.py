"""Results of an executed ablation: the greedy path, and the effect of each difference alone, paired by seed.

The path is that of ``study.decisions.ablation.greedy_path``, recomputed from the journal's trials.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from pydantic import ValidationError

from reports.page.figure_style import factor_text
from study.decisions.ablation import Choice, Outcome, as_choice, as_params, greedy_path, outcomes, wanted_choices
from study.record.configurations import LOST, Configuration, configurations
from study.record.intervals import mean_interval, share_difference_95
from study.record.journal import StudyRecord
from study.settings import explain
from study.spec import Ablation, StudySpec
from study.trainable import Metric

FROM: Choice = frozenset()


@dataclass(frozen=True)
class Change:
    """The change of a metric from one config to another, over the seeds that both completed.

    Args:
        mean: the mean difference, or the mean natural logarithm of the ratio.
        low, high: 95% interval of ``mean``: over seeds by the t distribution; of one seed that of the examples, if it
            is a share of a known number of them, else NaN.
        seeds: the seeds of the pairs; empty if there are none.
    """

    mean: float
    low: float
    high: float
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class ExecutedAblation:
    """An ablation and the configurations trained for it, without confirming trials."""

    spec: StudySpec
    trained: Mapping[Choice, Configuration]

    @property
    def design(self) -> Ablation:
        """The design of the study."""
        assert isinstance(self.spec.design, Ablation)
        return self.spec.design

    @property
    def factors(self) -> list[str]:
        """The names of the differences between the two ends."""
        return [factor.name for factor in self.spec.factors]

    @property
    def everything(self) -> Choice:
        """The choice of ``to``."""
        return frozenset(self.factors)

    @cached_property
    def outcomes(self) -> dict[Choice, Outcome]:
        """What the study's plan knows of each choice."""
        name = self.design.objective
        (maximise,) = (o.direction == "maximize" for o in self.spec.objectives if o.name == name)
        return outcomes(list(self.trained.values()), name, maximise)

    def words(self, name: str) -> str:
        """A difference with its values: 'adversary: pgd → free', 'method: simclr → emp_ssl, num_views 2 → 4'."""
        parts = [f"{_field(field, name)}{old} → {new}" for field, old, new in self._values(name)]
        return f"{name}: {', '.join(parts)}"

    def end_words(self, end: int) -> str:
        """The start (0) or the end (1) of the path in words: the values of all differences."""
        parts = [f"{value[0]} {value[1 + end]}" for name in self.factors for value in self._values(name)]
        return f"{('start', 'end')[end]}: {', '.join(parts)}"

    def _values(self, name: str) -> list[tuple[str, str, str]]:
        (factor,) = (factor for factor in self.spec.factors if factor.name == name)
        sides = factor.levels or {}
        return [(f, factor_text(sides["from"][f]), factor_text(sides["to"][f])) for f in factor.fields()]

    def change(self, before: Choice, after: Choice, metric: Metric, seeds: Collection[int] | None = None) -> Change:
        """The change of a metric, over ``seeds`` or all that both have; for costs the logarithm of the ratio."""
        values = [self.by_seed(choice, metric.name, seeds) for choice in (before, after)]
        found = paired_change(*values, as_ratio=metric.is_cost)
        if len(found.seeds) != 1 or not metric.is_share:
            return found
        (seed,) = found.seeds
        counts = [self.by_seed(choice, metric.count).get(seed, 0.0) for choice in (before, after)]
        if not all(counts) or not all(0 <= one[seed] <= 100 for one in values):
            return found
        low, high = share_difference_95((values[0][seed], int(counts[0])), (values[1][seed], int(counts[1])))
        return replace(found, low=low, high=high)

    def by_seed(self, choice: Choice, metric: str, seeds: Collection[int] | None = None) -> dict[int, float]:
        """Seed -> the metric, for the choice's complete trials; empty if one of them failed a validity check."""
        configuration = self.trained.get(choice)
        values = {} if configuration is None or configuration.validity else configuration.by_seed(metric)
        return {seed: value for seed, value in values.items() if seeds is None or seed in seeds}

    def uid(self, choice: Choice) -> str | None:
        """The first complete trial of a choice, by which it is known; None if it has none."""
        configuration = self.trained.get(choice)
        return configuration.completed[0].uid if configuration is not None and configuration.completed else None


@dataclass(frozen=True)
class PathStep:
    """A step of the greedy path; with ``brought_in`` None, the step at which the path ends before reaching ``to``.

    Args:
        before, after: the choices; equal if no step was taken.
        brought_in: the factor that the step changes.
        candidates: the factors whose means could be compared.
        without: factor -> why it could not be compared.
    """

    before: Choice
    after: Choice
    brought_in: str | None
    candidates: tuple[str, ...]
    without: Mapping[str, str]


@dataclass(frozen=True)
class SingleChange:
    """One factor brought in to ``from_`` or taken back from ``to``, or all of them at once (``factor`` None)."""

    kind: str  # 'brought in', 'taken back' or 'all'
    factor: str | None
    before: Choice
    after: Choice


def executed_ablation(study: StudyRecord) -> ExecutedAblation:
    """Rebuilds the ablation that ``study.spec`` describes, and groups its trials by choice.

    Raises:
        ValueError: if this version does not accept the recorded spec.
    """
    spec = StudySpec.recorded(study.spec)
    groups = configurations(study, len(spec.seeds))
    return ExecutedAblation(spec, {as_choice(configuration.params): configuration for configuration in groups})


def path_of(ablation: ExecutedAblation) -> list[PathStep]:
    """The steps of the greedy path; the last has ``brought_in`` None if the path has not (yet) reached ``to``."""
    steps = []
    for step in greedy_path(ablation.spec, ablation.outcomes):
        after = step.start if step.taken is None else step.taken
        candidates, without = [], {}
        for name in ablation.factors:
            outcome = ablation.outcomes.get(step.start | {name})
            if name not in step.start and outcome is not None and outcome.value is not None:
                candidates.append(name)
            elif name not in step.start:
                without[name] = standing(ablation, step.start | {name})
        steps.append(PathStep(step.start, after, next(iter(after - step.start), None), tuple(candidates), without))
    return steps


def single_changes(ablation: ExecutedAblation) -> list[SingleChange]:
    """Both ends, then each factor brought in alone, then each taken back alone, if requested or trained anyway."""
    design, everything = ablation.design, ablation.everything
    rows = [(design.add_one_in, SingleChange("brought in", name, FROM, frozenset({name}))) for name in ablation.factors]
    rows += [
        (design.leave_one_out, SingleChange("taken back", name, everything, everything - {name}))
        for name in ablation.factors
    ]
    both = SingleChange("all", None, FROM, everything)
    return [both, *(row for is_asked, row in rows if is_asked or row.after in ablation.trained)]


def standing(ablation: ExecutedAblation, choice: Choice) -> str:
    """Why the results of a choice are incomplete or not to be trusted; '' if all its seeds are complete and valid."""
    try:
        ablation.spec.config(as_params(choice, ablation.spec), seed=0)
    except ValidationError as error:
        return f"impossible: {explain(error)}"
    configuration = ablation.trained.get(choice)
    if configuration is None:
        return "not trained yet" if choice in wanted_choices(ablation.spec, ablation.outcomes) else "not trained"
    lost = [trial for trial in configuration.trials if trial.state in LOST]
    reasons = [trial.reason.strip().partition("\n")[0] or "no reason given" for trial in lost]
    words = [f"seed {trial.seed} {trial.state}: {reason}" for trial, reason in zip(lost, reasons, strict=True)]
    words += ["still being trained"] if configuration.state == "running" else []
    return "; ".join([*words, *(f"failed a check: {text}" for text in configuration.validity)])


def paired_change(before: Mapping[int, float], after: Mapping[int, float], *, as_ratio: bool = False) -> Change:
    """The change of a metric over the seeds that both configs have, with the paired 95% t interval.

    The interval assumes that the differences between equal seeds are normal. It covers only the luck of the seeds, not
    that of the examples, which all seeds share.

    Args:
        before, after: seed -> value.
        as_ratio: compare logarithms; values that are not positive are left out.
    """
    seeds = sorted(set(before) & set(after))
    if as_ratio:
        seeds = [seed for seed in seeds if before[seed] > 0 and after[seed] > 0]
        differences = [math.log(after[seed] / before[seed]) for seed in seeds]
    else:
        differences = [after[seed] - before[seed] for seed in seeds]
    mean = sum(differences) / len(seeds) if seeds else math.nan
    return Change(mean, *mean_interval(differences), tuple(seeds))


def _field(field: str, factor: str) -> str:
    return "" if field == factor else f"{field} "
