"""Which configs an executed ablation trains next, as a function of the outcomes so far.

Source of the greedy path: Fawcett and Hoos, Analysing differences between algorithm configurations through ablation
(Journal of Heuristics 22, 2016).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from study.record.configurations import Configuration
from study.spec import Ablation, Params, StudySpec

Choice = frozenset[str]  # the factors that are as in ``to``; all others are as in ``from_``


@dataclass(frozen=True)
class Outcome:
    """What is known of a choice: whether its trials have ended, and the objective if they ran to the end."""

    has_ended: bool
    value: float | None  # of ``Ablation.objective``, larger is better; mean over seeds


@dataclass(frozen=True)
class Step:
    """One round of the greedy path: the candidates, and the one taken, or None while none is."""

    start: Choice
    candidates: tuple[Choice, ...]
    taken: Choice | None


def outcomes(configurations: Sequence[Configuration], objective: str, maximise: bool) -> dict[Choice, Outcome]:
    """The outcome of each choice that was begun; a mean of ``objective`` counts only if it can be trusted.

    Args:
        configurations: of the study, without confirmations.
        objective: by which the ablation chooses (``Ablation.objective``).
        maximise: whether larger values of it are better.
    """
    by_choice: dict[Choice, Outcome] = {}
    for one in configurations:
        mean = one.mean(objective) if one.is_trustworthy else None
        value = mean if mean is None or maximise else -mean
        by_choice[as_choice(one.params)] = Outcome(one.state != "running", value)
    return by_choice


def wanted_choices(spec: StudySpec, outcomes: Mapping[Choice, Outcome]) -> list[Choice]:
    """All choices that the ablation trains, as far as ``outcomes`` determine them, including those already trained.

    Impossible configs, such as SimCLR with 16 views, and excluded ones are left out.
    """
    design = _ablation(spec)
    names = [factor.name for factor in spec.factors]
    everything = frozenset(names)
    wanted = [frozenset(), everything]
    if design.leave_one_out:
        wanted += [everything - {name} for name in names]
    if design.add_one_in:
        wanted += [frozenset({name}) for name in names]
    if design.greedy:
        wanted += [choice for step in greedy_path(spec, outcomes) for choice in step.candidates]
    return [choice for choice in dict.fromkeys(wanted) if is_possible(choice, spec)]


def greedy_path(spec: StudySpec, outcomes: Mapping[Choice, Outcome]) -> list[Step]:
    """The rounds of the greedy path so far; the last one has ``taken=None`` while its candidates are being trained.

    It stays None for good if no candidate is possible or none ran to the end: the path ends there.
    """
    names = [factor.name for factor in spec.factors]
    steps: list[Step] = []
    current: Choice = frozenset()
    while len(current) < len(names):
        candidates = tuple(c for c in (current | {n} for n in names if n not in current) if is_possible(c, spec))
        known = {choice: outcomes.get(choice, Outcome(False, None)) for choice in candidates}
        values = {choice: outcome.value for choice, outcome in known.items() if outcome.value is not None}
        if not values or not all(outcome.has_ended for outcome in known.values()):
            return [*steps, Step(current, candidates, None)]
        taken = max(candidates, key=lambda choice: values.get(choice, float("-inf")))  # ties: the first candidate
        steps.append(Step(current, candidates, taken))
        current = taken
    return steps


def is_possible(choice: Choice, spec: StudySpec) -> bool:
    """Whether the config of ``choice`` is valid and not excluded."""
    params = as_params(choice, spec)
    try:
        spec.config(params, seed=0)
    except ValidationError:
        return False
    return spec.is_excluded(params) is None


def as_params(choice: Choice, spec: StudySpec) -> Params:
    """The choice as factor values."""
    return {factor.name: "to" if factor.name in choice else "from" for factor in spec.factors}


def as_choice(params: Params) -> Choice:
    """The factor values of a trial as a choice."""
    return frozenset(name for name, level in params.items() if level == "to")


def _ablation(spec: StudySpec) -> Ablation:
    assert isinstance(spec.design, Ablation)
    return spec.design
