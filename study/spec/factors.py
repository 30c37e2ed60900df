"""What varies in a study, and what it is judged by: factors, objectives, constraints, results to start from."""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)
from pydantic import BeforeValidator, model_serializer, model_validator
from pydantic.dataclasses import dataclass as validated

from study.settings import COLUMN_NAMES
from study.spec.part import Part
from study.trainable import Direction

Params = dict[str, Any]


def _as_distribution(given: Any) -> Any:
    return json_to_distribution(json.dumps(given)) if isinstance(given, Mapping) else given


Distribution = Annotated[
    FloatDistribution | IntDistribution | CategoricalDistribution, BeforeValidator(_as_distribution)
]


class Factor(Part):
    """One thing that varies: a field over a distribution, or named levels that each set several fields.

    Args:
        name: the field, or a new name for a factor with levels; must not be in ``COLUMN_NAMES``, nor a metric.
        distribution: the values of the field; its choices or bounds must be valid for the field.
        levels: level -> the fields it sets.
        when: field -> allowed values; the factor is active only if each of these fields, as set by the base and the
            preceding factors, has one of its allowed values.

    Example:
        >>> Factor(name="width", distribution=IntDistribution(4, 128, log=True)).extremes()
        [4, 128]
        >>> Factor(name="recipe", levels={"short": {"epochs": 1}, "long": {"epochs": 9, "rate": 0.1}}).fields()
        ['epochs', 'rate']
        >>> rate = Factor(name="rate", distribution=FloatDistribution(0, 1), when={"method": ("sgd",)})
        >>> rate.is_active({"method": "sgd"}), rate.is_active({"method": "lbfgs"})
        (True, False)
    """

    name: str
    distribution: Distribution | None = None
    levels: Mapping[str, Mapping[str, Any]] | None = None
    when: Mapping[str, tuple[Any, ...]] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_plain(cls, data: Any) -> Any:
        # In plain data, a factor with levels has the distribution over their names, too.
        if isinstance(data, dict) and data.get("levels") and isinstance(data.get("distribution"), Mapping):
            return data | {"distribution": None}
        if isinstance(data, dict) and not isinstance(data.get("distribution"), Mapping | BaseDistribution | None):
            raise ValueError(f"factor {data.get('name')!r}: not a distribution of Optuna: {data['distribution']!r}")
        for name, allowed in (data.get("when") or {}).items() if isinstance(data, dict) else ():
            if not isinstance(allowed, tuple | list):
                raise ValueError(
                    f"factor {data.get('name')!r}: when[{name!r}] must be a tuple of values, not {allowed!r}"
                )
        return data

    @model_validator(mode="after")
    def _check(self) -> "Factor":
        if isinstance(self.distribution, CategoricalDistribution):
            for choice in self.distribution.choices:
                if not isinstance(choice, bool | int | float | str | None):
                    raise ValueError(f"factor {self.name!r}: choices are numbers and texts, not {choice!r}; use levels")
        if (self.distribution is None) == (self.levels is None):
            raise ValueError(f"factor {self.name!r} needs either a distribution or levels")
        if "seed" in self.fields():
            raise ValueError(f"factor {self.name!r}: seed must be the same for all trials of a study")
        if self.name in COLUMN_NAMES or self.name.startswith(("val_", "test_")):
            raise ValueError(f"a factor must not have the name of a column of the report: {self.name!r}")
        if self.levels is not None and len(self.levels) < 2:
            raise ValueError(f"factor {self.name!r} needs at least two levels")
        return self

    @model_serializer
    def _plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "distribution": json.loads(distribution_to_json(self.domain())),
            "levels": json.loads(json.dumps(self.levels)) if self.levels else None,
            "when": {name: list(allowed) for name, allowed in self.when.items()},
        }

    def fields(self) -> list[str]:
        """The fields that the factor sets."""
        if self.levels is None:
            return [self.name]
        return list(dict.fromkeys(name for level in self.levels.values() for name in level))

    def domain(self) -> BaseDistribution:
        """The distribution that is searched: that of the field, or a categorical one over the names of the levels."""
        if self.levels is not None:
            return CategoricalDistribution(list(self.levels))
        assert self.distribution is not None
        return self.distribution

    def changes(self, value: Any) -> dict[str, Any]:
        """The fields that ``value`` (or the level of that name) sets, with their values."""
        return dict(self.levels[value]) if self.levels is not None else {self.name: value}

    def is_active(self, fields: Mapping[str, Any]) -> bool:
        """Whether ``fields`` satisfy the condition ``when``."""
        return all(fields[name] in allowed for name, allowed in self.when.items())

    def extremes(self) -> list[Any]:
        """Values that suffice to check the domain: every category, or both bounds."""
        domain = self.domain()
        if isinstance(domain, CategoricalDistribution):
            return list(domain.choices)
        assert isinstance(domain, IntDistribution | FloatDistribution)
        return [domain.low, domain.high]


@validated(frozen=True)
class Objective:
    """One metric that trials report, whether it is maximized or minimized, and from where on it is of interest.

    The bounds of all objectives together are the study's region of interest: search and confirmation concentrate on
    it, and only configurations inside are recommended. Unlike a constraint, it keeps nothing off the front.

    Args:
        name: of the metric.
        direction: whether larger or smaller values are better.
        at_least: the least value of interest, in the metric's unit; for an objective that is maximized.
        at_most: the largest value of interest; for one that is minimized.

    Example:
        >>> Objective("val_clean", "maximize", at_least=80).bound
        80.0
        >>> Objective("train_pflop", "minimize", at_most=3).bound
        3.0
    """

    name: str
    direction: Direction
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        wrong = "at_most" if self.maximise else "at_least"
        value = getattr(self, wrong)
        if value is not None:  # better values are never of less interest, so a front inside is a part of the front
            raise ValueError(f"objective {self.name!r}: {self.direction} takes no {wrong}, got {wrong}={value:g}")
        if self.bound is not None and not math.isfinite(self.bound):
            raise ValueError(f"objective {self.name!r}: a bound must be a finite number, got {self.bound}")

    @property
    def maximise(self) -> bool:
        """Whether larger values are better."""
        return self.direction == "maximize"

    @property
    def bound(self) -> float | None:
        """Where the region of interest ends; None if the objective has no bound."""
        return self.at_least if self.maximise else self.at_most


@validated(frozen=True)
class Constraint:
    """A metric that must not exceed a bound, such as ``Constraint("train_seconds", at_most=3600)``.

    Trials that violate it are shown but kept off the front, and the violation is reported to the sampler.
    """

    name: str
    at_most: float


@validated(frozen=True)
class PriorTrial:
    """A result of another study that a search starts from: factor values, and one value per objective."""

    params: Params
    values: tuple[float, ...]
