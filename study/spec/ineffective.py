"""Factors that are active but change nothing in some combination of the others, such as ``temperature`` with EMP-SSL.

A search would spend trials on telling apart what is equal, and a grid would run it twice. Such a factor wants a
``when``, which the message names. Combinations of extreme values are compared, by ``Trainable.identity``.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError

from study.spec.designs import Ablation
from study.spec.factors import Factor
from study.spec.study_spec import StudySpec
from study.trainable import trainable_of

MAX_CONFIGS = 10_000  # compared at most, which takes about a second; a larger space is not checked
NO_CONFIG = object()  # of a combination that is impossible or excluded


@dataclass(frozen=True)
class Ineffective:
    """A factor that changes nothing somewhere.

    Args:
        factor: its name.
        where: field -> the values with which it changes nothing; empty: with whatever values.
        when: the condition that mends it.
        after: the factor behind which it has to stand for that; '' if it does already.
    """

    factor: str
    where: Mapping[str, tuple[Any, ...]]
    when: Mapping[str, tuple[Any, ...]]
    after: str = ""

    def __str__(self) -> str:
        if not self.where:
            return f"factor {self.factor!r} changes nothing, whatever the other factors are: leave it out"
        place = f"place it behind {self.after!r} and " if self.after else ""
        where = " or where ".join(f"{name} is {' or '.join(map(repr, values))}" for name, values in self.where.items())
        return f"factor {self.factor!r} changes nothing where {where}: {place}give it when={dict(self.when)!r}"


def ineffective_factor(spec: StudySpec) -> Ineffective | None:
    """The first factor that is active but changes nothing in some combination of the others, and what mends it.

    A factor is not found if that depends on no single field with listed values: one that has no effect at a bound of a
    number, such as a radius of 0, or at a level of a factor that is conditional on it, is none. Nor is one of which
    only some values are equal. The ends of an ablation are checked by ``Ablation`` itself.

    Example:
        >>> from study.spec.load_space import load_space
        >>> from pathlib import Path
        >>> print(ineffective_factor(load_space(Path("tradeoff"))))
        None
    """
    if isinstance(spec.design, Ablation):
        return None
    extremes = {factor.name: factor.extremes() for factor in spec.factors}
    total = 1
    for values in extremes.values():
        total *= len(values)
    if total * (1 + len(spec.factors) / 2) > MAX_CONFIGS:
        return None
    compared = _Compared(spec)
    found = [one for factor in spec.factors if (one := _judged(factor, compared, extremes)) is not None]
    return min(found, key=lambda one: bool(one.after), default=None)  # rather what is mended without a change of order


class _Compared:
    """Identities of choices, each computed once."""

    def __init__(self, spec: StudySpec) -> None:
        self.spec, self._trainable = spec, trainable_of(spec.base)
        self._known: dict[str, Any] = {}

    def walk(self, chosen: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The active ones of chosen values, and the fields that they lead to."""
        fields, params = self.spec.base.model_dump(), {}
        for factor in self.spec.factors:
            if factor.is_active(fields):
                params[factor.name] = chosen[factor.name]
                fields |= factor.changes(chosen[factor.name])
        return params, fields

    def identity(self, params: dict[str, Any]) -> Any:
        key = repr(params)
        if key not in self._known:
            try:
                is_out = self.spec.is_excluded(params) is not None
                config = None if is_out else self.spec.config(params, seed=0)
                self._known[key] = NO_CONFIG if config is None else self._trainable.identity(config)
            except ValidationError:
                self._known[key] = NO_CONFIG
        return self._known[key]


def _judged(factor: Factor, compared: _Compared, extremes: Mapping[str, list[Any]]) -> Ineffective | None:
    """What is wrong with ``factor``; None if nothing is."""
    cases = list(_cases(factor, compared, extremes))
    if not any(not has_effect for _, has_effect in cases):
        return None
    if not any(has_effect for _, has_effect in cases):
        return Ineffective(factor.name, {}, factor.when)
    candidates = _conditions(factor, compared.spec)
    where: dict[str, tuple[Any, ...]] = {}
    when = dict(factor.when)
    for name in candidates:
        seen = {repr(fields[name]): fields[name] for fields, _ in cases}
        good = {repr(fields[name]) for fields, has_effect in cases if has_effect}
        if bad := tuple(value for text, value in seen.items() if text not in good):
            where[name], when[name] = bad, tuple(value for text, value in seen.items() if text in good)
            cases = [(fields, has_effect) for fields, has_effect in cases if repr(fields[name]) in good]
    if not where:
        return None
    names = [one.name for one in compared.spec.factors]
    last = max((candidates[name] for name in where), key=names.index)
    return Ineffective(factor.name, where, when, last if names.index(last) > names.index(factor.name) else "")


def _cases(
    factor: Factor, compared: _Compared, extremes: Mapping[str, list[Any]]
) -> Iterator[tuple[dict[str, Any], bool]]:
    """For each combination of the others in which ``factor`` is active: the fields, and whether it has an effect."""
    others = {name: values for name, values in extremes.items() if name != factor.name}
    for choice in itertools.product(*others.values()):
        chosen = dict(zip(others, choice, strict=True))
        walked = [compared.walk(chosen | {factor.name: value}) for value in _values(factor)]
        if factor.name not in walked[0][0]:
            continue
        identities = [compared.identity(params) for params, _ in walked]
        possible = [identity for identity in identities if identity is not NO_CONFIG]
        if len(possible) > 1:
            yield walked[0][1], len(set(possible)) > 1


def _values(factor: Factor) -> list[Any]:
    """The extremes of a factor and, of a number, one in the middle."""
    domain, ends = factor.domain(), factor.extremes()
    if isinstance(domain, CategoricalDistribution):
        return ends
    assert isinstance(domain, IntDistribution | FloatDistribution)
    low, high = domain.low, domain.high
    middle = (low * high) ** 0.5 if domain.log else (low + high) / 2
    if domain.step is not None and not domain.log:
        middle = low + round((middle - low) / domain.step) * domain.step
    return [low, round(middle) if isinstance(domain, IntDistribution) else middle, high]


def _conditions(factor: Factor, spec: StudySpec) -> dict[str, str]:
    """Field -> the factor that sets it, for fields with listed values that do not depend on ``factor``; nearest first.

    Those of factors before it come first, as they need no change of order.
    """
    dependent = set(factor.fields())
    for other in spec.factors:  # in order, so that what depends on a dependent factor is found, too
        if dependent.intersection(other.when):
            dependent |= set(other.fields())
    place = [one.name for one in spec.factors].index(factor.name)
    ordered = [*spec.factors[:place], *spec.factors[place + 1 :]]
    return {
        name: other.name
        for other in ordered
        if isinstance(other.domain(), CategoricalDistribution)
        for name in other.fields()
        if name not in dependent
    }
