"""Choices of factor values from a spec, drawn by an Optuna trial or enumerated; also validates a whole space."""

import itertools
import math
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError

from study.settings import explain, replaced
from study.spec import Ablation, Factor, Grid, Params, Rungs, Search, StudySpec
from study.trainable import Metric, trainable_of

NUM_DRAWS = 1000
MOST_INTEGER = 2**53  # up to which every reader of JSON holds them exactly

if TYPE_CHECKING:
    from optuna.trial import Trial as OptunaTrial  # slow to import


def draw(trial: "OptunaTrial", spec: StudySpec) -> Params:
    """Values of the active factors, each suggested by ``trial`` in the order of the spec."""
    fields = spec.base.model_dump()
    params: Params = {}
    for factor in spec.factors:
        if factor.is_active(fields):
            params[factor.name] = _suggest(trial, factor)
            fields |= factor.changes(params[factor.name])
    return params


def enumerate_grid(spec: StudySpec) -> list[Params]:
    """The references, then every other choice of factor values that is not excluded.

    Raises:
        ValueError: for a float factor without a step.
    """
    grid = [params for params in whole_grid(spec) if spec.is_excluded(params) is None]
    references = [dict(params) for params in spec.references]
    return references + [params for params in grid if params not in references]


def whole_grid(spec: StudySpec) -> list[Params]:
    """Every choice of factor values, excluded ones, too.

    Raises:
        ValueError: for a float factor without a step.
    """
    return _combinations(spec, {factor.name: _grid_values(factor) for factor in spec.factors})


def share_excluded(spec: StudySpec) -> float:
    """The share of uniform draws of factor values that is excluded: of a grid, of all its combinations.

    An estimate over 1,000 draws for a search, the same at every call.
    """
    if isinstance(spec.design, Grid):
        choices = whole_grid(spec)
    else:
        draws = random.Random(0)
        values = [{factor.name: [_uniform(factor, draws)] for factor in spec.factors} for _ in range(NUM_DRAWS)]
        choices = [params for drawn in values for params in _walk(spec, drawn)]
    return sum(spec.is_excluded(params) is not None for params in choices) / len(choices)


def check_space(spec: StudySpec) -> None:
    """Validates every combination of extreme factor values, and that trials report what objectives and rungs need.

    Raises:
        ValueError: naming the impossible combination, the objective that trials do not report, or what excludes all.
    """
    if spec.excluded and not isinstance(spec.design, Ablation) and share_excluded(spec) == 1:
        raise ValueError(f"everything in the space is excluded: {' or '.join(spec.excluded)}")
    trainable = trainable_of(spec.base)
    for config in extreme_configs(spec):
        for name, value in config.model_dump().items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"a journal holds finite numbers only: {name}={value}")
            if isinstance(value, int) and abs(value) > MOST_INTEGER:
                raise ValueError(f"whole numbers must not exceed {MOST_INTEGER}: {name}={value}")
        metrics = [metric for metric in trainable.metrics(config) if metric.split != "test"]
        final = [metric for metric in metrics if metric.is_final]
        _require_reported([o.name for o in spec.objectives], final, "objective")
        _require_reported([c.name for c in spec.constraints], final, "metric of a constraint")
        if isinstance(spec.design, Search):
            costs = [metric for metric in metrics if metric.is_cost]
            _require_reported(list(spec.design.budget.spent), costs, "cost of a budget")
        if isinstance(spec.stopping, Rungs):
            interim = [metric for metric in metrics if metric.is_interim]
            _require_reported(list(spec.stopping.compared), interim, "objective of the early stopping")
            if trainable.total_progress(config, 1) is None:
                raise ValueError(f"early stopping needs to know how long a trial is: {trainable.path} does not say")
    if isinstance(spec.stopping, Rungs):
        names = {objective.name for objective in spec.objectives}
        for name in spec.stopping.compared:
            if name not in names:
                raise ValueError(f"the early stopping compares {name!r}, which is no objective of the study")
    if isinstance(spec.design, Grid):
        enumerate_grid(spec)


def extreme_configs(spec: StudySpec) -> list[Any]:
    """The configs of references, arms and every combination of extreme factor values, with their confirmations.

    Raises:
        ValueError: naming the impossible combination.
    """
    fixed = [*spec.references, *(spec.compares.choices().values() if spec.compares else ())]
    for params in fixed:
        require_choice(params, spec)
    for params in spec.design.believed if isinstance(spec.design, Search) else ():
        _require_recipe(params, spec)
    configs = []
    # Some combinations between the two ends of an ablation are impossible; the ablation skips them as it goes.
    is_ablation = isinstance(spec.design, Ablation)
    extremes = [] if is_ablation else _combinations(spec, {f.name: f.extremes() for f in spec.factors})
    extremes = [params for params in extremes if spec.is_excluded(params) is None]
    for params in [*fixed, *extremes]:
        try:
            configs.append(spec.config(params, seed=0))
        except ValidationError as error:
            chosen = ", ".join(f"{name}={value!r}" for name, value in params.items())
            raise ValueError(f"the space has an impossible config ({chosen}): {explain(error)}") from None
    if spec.confirmation.runs == 0:
        return configs
    return configs + [replaced(config, spec.confirmation.settings or {}) for config in configs]


def require_choice(params: Params, spec: StudySpec) -> None:
    """Raises ``ValueError`` unless ``params`` gives a value in its domain to each active factor and to no other."""
    fields = spec.base.model_dump()
    wanted = []
    for factor in spec.factors:
        if factor.is_active(fields):
            wanted.append(factor.name)
            if factor.name in params:
                if not _is_in_domain(params[factor.name], factor):
                    raise ValueError(
                        f"reference or arm {params}: {factor.name}={params[factor.name]!r} is not in {factor.domain()}"
                    )
                fields |= factor.changes(params[factor.name])
    if sorted(params) != sorted(wanted):
        raise ValueError(f"reference or arm {params} must give values to exactly these factors: {', '.join(wanted)}")
    if (condition := spec.is_excluded(params)) is not None:
        raise ValueError(f"reference or arm {params} is excluded by {condition!r}")


def _require_recipe(params: Params, spec: StudySpec) -> None:
    """Raises ``ValueError`` unless all values of a believed recipe are in the domains of factors."""
    factors = {factor.name: factor for factor in spec.factors}
    for name, value in params.items():
        if name not in factors:
            raise ValueError(f"believed recipe {params}: {name!r} is no factor of the study: {', '.join(factors)}")
        if not _is_in_domain(value, factors[name]):
            raise ValueError(f"believed recipe {params}: {name}={value!r} is not in {factors[name].domain()}")


def _is_in_domain(value: Any, factor: Factor) -> bool:
    domain = factor.domain()
    try:
        return domain._contains(domain.to_internal_repr(value))
    except ValueError:
        return False


def _require_reported(names: list[str], metrics: list[Metric], what: str) -> None:
    known = {metric.name for metric in metrics}
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; trials report {', '.join(sorted(known))}")


def _combinations(spec: StudySpec, values: dict[str, list[Any]]) -> list[Params]:
    return list({tuple(params.items()): params for params in _walk(spec, values)}.values())


def _walk(spec: StudySpec, values: dict[str, list[Any]]) -> Iterator[Params]:
    names = list(values)
    for choice in itertools.product(*values.values()):
        chosen = dict(zip(names, choice, strict=True))
        fields = spec.base.model_dump()
        params: Params = {}
        for factor in spec.factors:
            if factor.is_active(fields):
                params[factor.name] = chosen[factor.name]
                fields |= factor.changes(params[factor.name])
        yield params


def _suggest(trial: "OptunaTrial", factor: Factor) -> Any:
    match factor.domain():
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(factor.name, choices)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(factor.name, low, high, step=step, log=log)
        case FloatDistribution(low=low, high=high, step=step, log=log):
            value = _without_noise(trial.suggest_float(factor.name, low, high, step=step, log=log))
            return min(max(value, low), high)  # rounding could exceed a bound such as 2 / 3
    raise AssertionError(factor)


def _uniform(factor: Factor, draws: random.Random) -> Any:
    match factor.domain():
        case CategoricalDistribution(choices=choices):
            return draws.choice(choices)
        case IntDistribution(low=low, high=high, log=log) | FloatDistribution(low=low, high=high, log=log) as domain:
            ends = (math.log(low), math.log(high)) if log else (low, high)
            value = math.exp(draws.uniform(*ends)) if log else draws.uniform(*ends)
            if domain.step is not None and not log:
                value = low + round((value - low) / domain.step) * domain.step
            return min(max(round(value) if isinstance(domain, IntDistribution) else value, low), high)
    raise AssertionError(factor)


def _grid_values(factor: Factor) -> list[Any]:
    domain = factor.domain()
    if isinstance(domain, CategoricalDistribution):
        return list(domain.choices)
    assert isinstance(domain, IntDistribution | FloatDistribution)
    if domain.step is None or domain.log:
        raise ValueError(f"factor {factor.name!r}: a grid needs categories, or a step and no log scale")
    count = round((domain.high - domain.low) / domain.step) + 1
    values = [domain.low + index * domain.step for index in range(count)]
    return values if isinstance(domain, IntDistribution) else [_without_noise(value) for value in values]


def _without_noise(value: float) -> float:
    # 0.48, not 0.48000000000000004, in tables and commands.
    return float(f"{value:.12g}")
