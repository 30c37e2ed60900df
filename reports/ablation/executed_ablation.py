"""Results of an executed ablation: the greedy path, and the effect of each difference alone, paired by seed.

The path is that of ``study.decisions.ablation.greedy_path``, recomputed from the journal's trials.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError
from scipy.stats import t as student_t

from study.decisions.ablation import Choice, Outcome, as_choice, as_params, greedy_path, is_possible, wanted_choices
from study.record.configurations import Configuration, configurations
from study.record.journal import StudyRecord
from study.spec import Ablation, Objective, StudySpec
from trainables.trial_config import TrialConfig, explain

FROM: Choice = frozenset()


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


@dataclass(frozen=True)
class Change:
    """The change of a measure from one config to another, over the seeds that both completed.

    Args:
        mean: the mean difference, or the mean natural logarithm of the ratio.
        low, high: 95% t interval of ``mean``; NaN for fewer than two seeds.
        seeds: the seeds of the pairs; empty if there are none.
    """

    mean: float
    low: float
    high: float
    seeds: tuple[int, ...]


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
    try:
        spec = _recorded_spec(study.spec)
    except ValidationError as error:
        raise ValueError(f"this version does not accept the recorded ablation: {explain(error)}") from None
    except (KeyError, TypeError) as error:
        raise ValueError(f"this version does not accept the recorded ablation: {error}") from None
    found = configurations(study, len(spec.seeds))
    return ExecutedAblation(spec, {as_choice(configuration.params): configuration for configuration in found})


def _recorded_spec(plain: Mapping[str, Any]) -> StudySpec:
    design = {name: value for name, value in plain["design"].items() if name != "kind"}
    ends = {name: TrialConfig(**design[name]) for name in ("from_", "to")}
    groups = {name: tuple(fields) for name, fields in design["groups"].items()}
    return StudySpec(
        name=plain["name"],
        question=plain["question"],
        design=Ablation(**design | ends | {"groups": groups}),
        objectives=tuple(Objective(**objective) for objective in plain["objectives"]),
        seeds=tuple(plain.get("seeds", (0,))),
    )


def outcomes_of(ablation: ExecutedAblation) -> dict[Choice, Outcome]:
    """The outcomes of the ablation as the study's plan computes them; larger values are better."""
    name = ablation.design.objective
    sign = next(1 if o.direction == "maximize" else -1 for o in ablation.spec.objectives if o.name == name)
    outcomes = {}
    for choice, configuration in ablation.trained.items():
        mean = configuration.mean(name) if configuration.is_trustworthy else None
        outcomes[choice] = Outcome(configuration.state != "running", None if mean is None else sign * mean)
    return outcomes


def path_of(ablation: ExecutedAblation) -> list[PathStep]:
    """The steps of the greedy path; the last has ``brought_in`` None if the path has not (yet) reached ``to``."""
    outcomes, steps = outcomes_of(ablation), []
    for step in greedy_path(ablation.spec, outcomes):
        left = [name for name in ablation.factors if name not in step.start]
        without = {name: standing(ablation, step.start | {name}) for name in left}
        comparable = tuple(
            name for name in left if outcomes.get(step.start | {name}, Outcome(False, None)).value is not None
        )
        after = step.start if step.taken is None else step.taken
        brought_in = next(iter(after - step.start), None)
        lost = {name: reason for name, reason in without.items() if name not in comparable}
        steps.append(PathStep(step.start, after, brought_in, comparable, lost))
    return steps


def single_changes(ablation: ExecutedAblation) -> list[SingleChange]:
    """Both ends, then each factor brought in alone, then each taken back alone, if requested or trained anyway."""
    design, everything = ablation.design, ablation.everything
    rows = [SingleChange("all", None, FROM, everything)]
    for name in ablation.factors:
        rows.append(SingleChange("brought in", name, FROM, frozenset({name})))
    for name in ablation.factors:
        rows.append(SingleChange("taken back", name, everything, everything - {name}))
    asked = {"all": True, "brought in": design.add_one_in, "taken back": design.leave_one_out}
    return [row for row in rows if asked[row.kind] or row.after in ablation.trained]


def standing(ablation: ExecutedAblation, choice: Choice) -> str:
    """Why the results of a choice are incomplete or not to be trusted; '' if all its seeds are complete and valid."""
    if not is_possible(choice, ablation.spec):
        return f"impossible: {_why_impossible(ablation, choice)}"
    configuration = ablation.trained.get(choice)
    if configuration is None:
        wanted = choice in wanted_choices(ablation.spec, outcomes_of(ablation))
        return "not trained yet" if wanted else "not trained"
    warnings = dict.fromkeys(text for trial in configuration.trials for text in trial.metrics.get("validity") or [])
    ended = [trial for trial in configuration.trials if trial.state in ("stopped", "failed")]
    words = [f"seed {trial.seed} {trial.state}: {_first_line(trial.reason) or 'no reason given'}" for trial in ended]
    if configuration.state == "running":
        words.append("still being trained")
    words += [f"failed a check: {text}" for text in warnings]
    return "; ".join(words)


def values_by_seed(ablation: ExecutedAblation, choice: Choice, measure: str) -> dict[int, float]:
    """Seed -> the measure, for the choice's complete trials; empty if any of its trials failed a validity check."""
    configuration = ablation.trained.get(choice)
    if configuration is None or any(trial.metrics.get("validity") for trial in configuration.trials):
        return {}
    values = {trial.seed: trial.metrics.get(measure) for trial in configuration.trials if trial.state == "complete"}
    return {seed: float(value) for seed, value in values.items() if value is not None and math.isfinite(value)}


def paired_change(before: Mapping[int, float], after: Mapping[int, float], *, as_ratio: bool = False) -> Change:
    """The change of a measure over the seeds that both configs have, with the paired 95% t interval.

    The interval assumes that the differences between equal seeds are normal. It covers only the luck of the seeds, not
    that of the images, which all seeds share.

    Args:
        before, after: seed -> value.
        as_ratio: compare logarithms; values that are not positive are left out.
    """
    seeds = [seed for seed in before if seed in after]
    if as_ratio:
        seeds = [seed for seed in seeds if before[seed] > 0 and after[seed] > 0]
    pairs = np.array([[before[seed], after[seed]] for seed in seeds], dtype=float).reshape(-1, 2)
    differences = np.diff(np.log(pairs) if as_ratio else pairs, axis=1).ravel()
    if not seeds:
        return Change(math.nan, math.nan, math.nan, ())
    mean, reach = float(differences.mean()), math.nan
    if len(seeds) > 1:
        error = float(differences.std(ddof=1)) / math.sqrt(len(seeds))
        reach = float(student_t.ppf(0.975, len(seeds) - 1)) * error
    return Change(mean, mean - reach, mean + reach, tuple(sorted(seeds)))


def shared_seeds(ablation: ExecutedAblation, choices: list[Choice], measure: str) -> tuple[int, ...]:
    """The seeds for which all ``choices`` have the measure; over these, the steps add up to the total change."""
    known = [set(values_by_seed(ablation, choice, measure)) for choice in choices]
    return tuple(sorted(set.intersection(*known))) if known else ()


def _why_impossible(ablation: ExecutedAblation, choice: Choice) -> str:
    try:
        ablation.spec.config(as_params(choice, ablation.spec), seed=0)
    except ValidationError as error:
        return explain(error)
    raise AssertionError("asked of a config that is possible")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
