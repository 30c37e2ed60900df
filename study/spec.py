"""What a study is: a base config, what may vary, what is sought, how it is searched and when trials are stopped early.

A space file is data: it exports one ``STUDY = StudySpec(...)`` and imports nothing but this module,
``trainables.trial_config`` and ``optuna.distributions``. A spec can be listed, checked and counted without Ray.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from trainables.datasets import DATA_FIELDS
from trainables.trial_config import FIXED_NUM_VIEWS, PRESETS, TrialConfig, require_known_field

Direction = Literal["maximize", "minimize"]
Sampler = Literal["tpe", "random"]
Params = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One thing that varies: a field over a distribution, or named levels that each set several fields.

    Args:
        name: the field, or for levels a name of its own.
        distribution: the values of the field; its choices or bounds must be valid for it.
        levels: level -> the fields it sets.
        when: the factor is active only where each of these fields has one of these values, as set by the base and by
            the factors before this one.
    """

    name: str
    distribution: BaseDistribution | None = None
    levels: Mapping[str, Mapping[str, Any]] | None = None
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.distribution is None) == (self.levels is None):
            raise ValueError(f"factor {self.name!r} needs either a distribution or levels")
        if not isinstance(self.distribution, FloatDistribution | IntDistribution | CategoricalDistribution | None):
            raise ValueError(f"factor {self.name!r}: not a distribution of Optuna: {self.distribution!r}")
        for name in [*self.fields(), *self.when]:
            try:
                require_known_field(name)
            except ValueError as error:
                raise ValueError(f"factor {self.name!r}: {error}") from None
        fixed = [name for name in self.fields() if name in DATA_FIELDS or name == "seed"]
        if fixed:
            raise ValueError(f"factor {self.name!r}: {fixed[0]} must be the same for all trials of a study")
        for name, allowed in self.when.items():
            if not isinstance(allowed, tuple | list):
                raise ValueError(f"factor {self.name!r}: when[{name!r}] must be a tuple of values, not {allowed!r}")
        if self.levels is not None and len(self.levels) < 2:
            raise ValueError(f"factor {self.name!r} needs at least two levels")

    def fields(self) -> list[str]:
        """The fields that the factor sets."""
        if self.levels is None:
            return [self.name]
        return list(dict.fromkeys(name for level in self.levels.values() for name in level))

    def domain(self) -> BaseDistribution:
        """The distribution that is searched: of the field, or categorical over the names of the levels."""
        if self.levels is not None:
            return CategoricalDistribution(list(self.levels))
        assert self.distribution is not None
        return self.distribution

    def changes(self, value: Any) -> dict[str, Any]:
        """The fields and values that ``value`` (or the level of that name) stands for."""
        return dict(self.levels[value]) if self.levels is not None else {self.name: value}

    def is_active(self, fields: Mapping[str, Any]) -> bool:
        """Whether the condition holds among ``fields``."""
        return all(fields[name] in allowed for name, allowed in self.when.items())

    def extremes(self) -> list[Any]:
        """Values that suffice to check the domain: every category, or both bounds."""
        domain = self.domain()
        if isinstance(domain, CategoricalDistribution):
            return list(domain.choices)
        assert isinstance(domain, IntDistribution | FloatDistribution)
        return [domain.low, domain.high]

    def to_plain(self) -> dict[str, Any]:
        """The factor as JSON values."""
        return {
            "name": self.name,
            "distribution": json.loads(distribution_to_json(self.domain())),
            "levels": json.loads(json.dumps({level: dict(fields) for level, fields in self.levels.items()}))
            if self.levels
            else None,
            "when": {name: list(allowed) for name, allowed in self.when.items()},
        }


@dataclass(frozen=True)
class Objective:
    """One number that trials report, and whether more or less of it is sought."""

    name: str
    direction: Direction


DEFAULT_OBJECTIVES = (
    Objective("val_clean", "maximize"),
    Objective("val_pgd_8", "maximize"),
    Objective("train_pflop", "minimize"),
)


@dataclass(frozen=True, kw_only=True)
class Search:
    """Optuna proposes ``trials`` configs; a config that was already proposed is not run twice."""

    trials: int
    sampler: Sampler = "tpe"

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"trials must be at least 1: trials={self.trials}")
        if self.sampler not in get_args(Sampler):
            raise ValueError(f"sampler must be one of {get_args(Sampler)}: sampler={self.sampler!r}")


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Every combination of the factors' values, conditional ones where they are active; floats need a step."""


@dataclass(frozen=True, kw_only=True)
class MoAsha:
    """Multi-objective ASHA: at each rung the best ``1/eta`` of the trials seen there so far go on.

    Args:
        first_rung: view passes per training image at the first rung; the next are ``eta`` times further each.
        eta: reduction factor.
        objectives: what is compared at rungs, of the objectives that interim evaluations report.
    """

    first_rung: int
    eta: int = 3
    objectives: tuple[str, ...] = ("val_clean", "val_pgd_8")

    def __post_init__(self) -> None:
        if self.first_rung < 1 or self.eta < 2:
            raise ValueError(f"first_rung must be >= 1 and eta >= 2: {self.first_rung=}, {self.eta=}")
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"the early stopping needs different objectives: {self.objectives}")


@dataclass(frozen=True, kw_only=True)
class NoStopping:
    """Every trial runs to its end."""


Design = Search | Grid
Stopping = MoAsha | NoStopping


@dataclass(frozen=True, kw_only=True)
class LaptopPreset:
    """What ``--preset laptop`` puts in the place of a spec's own parts, beside ``trial_config.LAPTOP``."""

    base: Mapping[str, Any] = field(default_factory=dict)
    factors: tuple[Factor, ...] | None = None
    references: tuple[Params, ...] | None = None
    design: Design | None = None
    stopping: Stopping | None = None


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """A study. The parts given directly are the paper's setting; ``laptop`` shrinks them to minutes.

    ``references`` are choices of factor values that a reader will want to compare with: they are run first, count as
    trials of a search, and are never stopped early.

    Raises:
        ValueError: naming what does not fit.
    """

    name: str
    question: str
    base: TrialConfig
    factors: tuple[Factor, ...]
    design: Design
    objectives: tuple[Objective, ...] = DEFAULT_OBJECTIVES
    stopping: Stopping = NoStopping()
    references: tuple[Params, ...] = ()
    laptop: LaptopPreset = LaptopPreset()
    preset: str = "paper"

    def __post_init__(self) -> None:
        names = [factor.name for factor in self.factors]
        if len(set(names)) < len(names):
            raise ValueError(f"factors must have different names: {names}")
        if self.base.seed != 0:
            raise ValueError(f"the base must leave the seed to --seed: seed={self.base.seed}")
        if not self.factors:
            raise ValueError("a study needs at least one factor")
        objectives = [objective.name for objective in self.objectives]
        if len(set(objectives)) < 2 or len(set(objectives)) < len(objectives):
            raise ValueError(f"a study needs at least two different objectives: {objectives}")

    def with_preset(self, preset: str) -> "StudySpec":
        """The spec under a preset of ``trial_config.PRESETS``; ``paper`` is the spec as it was written."""
        if preset == "paper":
            return self
        laptop = self.laptop
        overlay = dict(PRESETS[preset])
        if self.base.method in FIXED_NUM_VIEWS:
            del overlay["num_views"]
        return dataclasses.replace(
            self,
            base=self.base.replace(**(overlay | dict(laptop.base))),
            factors=laptop.factors or self.factors,
            references=self.references if laptop.references is None else laptop.references,
            design=laptop.design or self.design,
            stopping=laptop.stopping or self.stopping,
            preset=preset,
        )

    def with_settings(self, changes: Mapping[str, Any]) -> "StudySpec":
        """The spec with fields of the base set; a factor over such a field no longer varies.

        Raises:
            ValueError: where a field is one of several that levels set, or where no factor is left.
        """
        if "seed" in changes:
            raise ValueError("--set seed: use --seed, which also seeds the search")
        for factor in self.factors:
            taken = [name for name in factor.fields() if name in changes]
            if taken and factor.levels is not None:
                raise ValueError(f"--set {taken[0]}: the field is set by the levels of factor {factor.name!r}")
        left = tuple(factor for factor in self.factors if factor.name not in changes or factor.levels is not None)
        base = self.base.replace(**changes)
        names = {factor.name for factor in left}
        trimmed = [{name: value for name, value in params.items() if name in names} for params in self.references]
        kept = [params for p in trimmed if (params := _active_part(p, base, left)) is not None]
        # References that differed in a fixed factor alone have become the same.
        references = tuple(params for index, params in enumerate(kept) if params and params not in kept[:index])
        return dataclasses.replace(self, base=base, factors=left, references=references)

    def config(self, params: Params, seed: int) -> TrialConfig:
        """The validated config of a choice of factor values; factors that are not in ``params`` are inactive."""
        changes: dict[str, Any] = {"seed": seed}
        for factor in self.factors:
            if factor.name in params:
                changes |= factor.changes(params[factor.name])
        return self.base.replace(**changes)

    def to_plain(self) -> dict[str, Any]:
        """The spec as JSON values, for the journal and for comparison; the unused laptop part is left out."""
        return {
            "name": self.name,
            "question": self.question,
            "preset": self.preset,
            "base": self.base.model_dump(mode="json"),
            "factors": [factor.to_plain() for factor in self.factors],
            "references": [dict(params) for params in self.references],
            "objectives": [dataclasses.asdict(objective) for objective in self.objectives],
            "design": {"kind": type(self.design).__name__, **dataclasses.asdict(self.design)},
            "stopping": json.loads(
                json.dumps({"kind": type(self.stopping).__name__, **dataclasses.asdict(self.stopping)})
            ),
        }


def _active_part(params: Params, base: TrialConfig, factors: tuple[Factor, ...]) -> Params | None:
    """``params`` without factors that are inactive, or None where an active one has no value."""
    fields = base.model_dump()
    part: Params = {}
    for factor in factors:
        if factor.is_active(fields):
            if factor.name not in params:
                return None
            part[factor.name] = params[factor.name]
            fields |= factor.changes(params[factor.name])
    return part
