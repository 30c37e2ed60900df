"""What a study is: base config, factors, objectives, search design and early stopping.

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
from pydantic import ValidationError

from trainables.datasets import DATA_FIELDS
from trainables.trial_config import FIXED_NUM_VIEWS, PRESETS, TrialConfig, require_known_field

Direction = Literal["maximize", "minimize"]
Sampler = Literal["tpe", "nsga2", "nsga3", "gp", "qmc", "random"]
LEARN_FROM_PRIORS = ("tpe", "gp")  # genetic samplers breed only from their own generations, the others do not learn
Params = dict[str, Any]
# Columns that the tables of a study have in addition to those of its factors.
COLUMN_NAMES = frozenset(
    ["uid", "number", "trial", "trials", "state", "reason", "purpose", "seed", "seeds", "num_lost", "budget", "command"]
) | {"front_probability", "P(front)", "view_passes", "train_pflop", "train_seconds"}


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One thing that varies: a field over a distribution, or named levels that each set several fields.

    Args:
        name: the field, or a new name for a factor with levels; must not be in ``COLUMN_NAMES``.
        distribution: the values of the field; its choices or bounds must be valid for the field.
        levels: level -> the fields it sets.
        when: field -> allowed values; the factor is active only if each of these fields, as set by the base and the
            preceding factors, has one of its allowed values.
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
        if self.name in COLUMN_NAMES or self.name.startswith(("val_", "test_")):
            raise ValueError(f"a factor must not have the name of a column of the report: {self.name!r}")
        if self.levels is not None and len(self.levels) < 2:
            raise ValueError(f"factor {self.name!r} needs at least two levels")

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
    """One metric that trials report, and whether it is maximized or minimized."""

    name: str
    direction: Direction


DEFAULT_OBJECTIVES = (
    Objective("val_clean", "maximize"),
    Objective("val_pgd_8", "maximize"),
    Objective("train_pflop", "minimize"),
)


@dataclass(frozen=True)
class Constraint:
    """A metric that must not exceed a bound, such as ``Constraint("train_seconds", at_most=3600)``.

    Trials that violate it are shown but kept off the front, and the violation is reported to the sampler.
    """

    name: str
    at_most: float


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits on what a search may spend; once any of them is reached, no further config is proposed.

    Running trials continue, and configs already begun still get all their seeds; confirmations have a separate limit.

    Args:
        view_passes, pflop: of pretraining, summed over all trials, including stopped ones.
        hours: of wall time, summed over all starts of the study.
    """

    view_passes: float | None = None
    pflop: float | None = None
    hours: float | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value is not None and not value > 0:
                raise ValueError(f"a budget must be positive: {name}={value}")


@dataclass(frozen=True, kw_only=True)
class Search:
    """Optuna proposes ``trials`` configs; a config that was already proposed is not run twice.

    Args:
        trials: how many.
        sampler: how they are proposed.
        budget: limits that may end the search earlier.
        cheapest_of: if cost is an objective, the number of proposals drawn for each config to run; the cheapest is run.
            Unlike its quality, a config's cost is known before training. No effect on ``random`` and ``qmc``, which
            draw evenly.
    """

    trials: int
    sampler: Sampler = "tpe"
    budget: Budget = Budget()
    cheapest_of: int = 2

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"trials must be at least 1: trials={self.trials}")
        if self.sampler not in get_args(Sampler):
            raise ValueError(f"sampler must be one of {get_args(Sampler)}: sampler={self.sampler!r}")
        if self.cheapest_of < 1:
            raise ValueError(f"cheapest_of must be at least 1: cheapest_of={self.cheapest_of}")


@dataclass(frozen=True)
class PriorTrial:
    """A result of another study that a search starts from: factor values, and one value per objective."""

    params: Params
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Every combination of the factors' values, with conditional factors where active; floats need a step."""


@dataclass(frozen=True, kw_only=True)
class MoAsha:
    """Multi-objective ASHA: at each rung the best ``1/eta`` of the trials seen there so far continue.

    Args:
        first_rung: view passes per training image at the first rung; each later rung is at ``eta`` times the previous.
        eta: reduction factor.
        objectives: what rungs compare; must be among the objectives that interim evaluations report.
        audit: share of the trials due to be stopped that are run to the end instead, so that the report can estimate
            how often stopping costs a member of the front.
    """

    first_rung: int
    eta: int = 3
    objectives: tuple[str, ...] = ("val_clean", "val_pgd_8")
    audit: float = 0.0

    def __post_init__(self) -> None:
        _check_rungs(self.first_rung, self.eta)
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"the early stopping needs different objectives: {self.objectives}")
        if not 0 <= self.audit <= 1:
            raise ValueError(f"audit is a share between 0 and 1: audit={self.audit}")


@dataclass(frozen=True, kw_only=True)
class RayAsha:
    """Ray Tune's own single-objective ASHA; the rungs are placed as in ``MoAsha``."""

    first_rung: int
    eta: int = 3
    objective: str = "val_pgd_8"
    audit: float = 0.0

    def __post_init__(self) -> None:
        _check_rungs(self.first_rung, self.eta)
        if not 0 <= self.audit <= 1:
            raise ValueError(f"audit is a share between 0 and 1: audit={self.audit}")

    @property
    def objectives(self) -> tuple[str, ...]:
        """The one objective."""
        return (self.objective,)


@dataclass(frozen=True, kw_only=True)
class NoStopping:
    """Every trial runs to its end."""


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What each difference between two configs contributes, measured by training the configs in between.

    Both configs are trained. In addition, ``leave_one_out`` trains ``to`` with one factor at a time reverted,
    ``add_one_in`` trains ``from_`` with one factor at a time changed, and ``greedy`` trains the path of Fawcett and
    Hoos (2016): starting at ``from_``, each step changes the factor that improves ``objective`` most, until ``to`` is
    reached.

    Args:
        from_, to: the two configs; a field that has no effect in one of them (``replays`` without free training) must
            be equal in both, or be grouped with the field that determines whether it has an effect.
        groups: factor -> the fields that change together; every other differing field is a factor of its own.
        objective: the objective of the study by which the greedy path chooses.
        leave_one_out, add_one_in, greedy: what is trained.
    """

    from_: TrialConfig
    to: TrialConfig
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    objective: str = "val_pgd_8"
    leave_one_out: bool = True
    add_one_in: bool = True
    greedy: bool = True

    def __post_init__(self) -> None:
        grouped = [name for fields in self.groups.values() for name in fields]
        if len(set(grouped)) < len(grouped):
            raise ValueError(f"the groups of an ablation must not share fields: {grouped}")
        for name in grouped:
            require_known_field(name)
        for name, fields in self.groups.items():
            if name in TrialConfig.model_fields and name not in fields:
                raise ValueError(f"a group of an ablation has the name of a field that is not in it: {name!r}")
        if len(self.factors()) < 2:
            raise ValueError("an ablation needs two configs that differ in at least two factors")
        for factor in self.factors():
            for end, config, other in (("from_", self.from_, "to"), ("to", self.to, "from")):
                if _changes_nothing(factor.changes(other), config):
                    raise ValueError(
                        f"{factor.name!r} changes nothing where the other fields are as in {end}: "
                        "leave it equal, or group it with the field on which that depends"
                    )

    def factors(self) -> tuple[Factor, ...]:
        """The differences, each a factor with the levels ``from`` and ``to``."""
        old, new = self.from_.model_dump(), self.to.model_dump()
        differing = [name for name in old if old[name] != new[name]]
        groups = {name: tuple(f for f in fields if f in differing) for name, fields in self.groups.items()}
        grouped = {name for fields in groups.values() for name in fields}
        groups |= {name: (name,) for name in differing if name not in grouped}
        return tuple(
            Factor(
                name=name,
                levels={side: {f: values[f] for f in fields} for side, values in (("from", old), ("to", new))},
            )
            for name, fields in groups.items()
            if fields
        )

    def with_changes(self, changes: Mapping[str, Any]) -> "Ablation":
        """The ablation with ``changes`` applied to both configs, which then no longer differ in those fields."""
        return dataclasses.replace(self, from_=self.from_.replace(**changes), to=self.to.replace(**changes))


LAPTOP_CONFIRMATION = {"eval_autoattack_samples": 20}  # about a minute per confirmation on one core


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """Further seeds for members of the front, spent where membership is least certain, under a fuller attack.

    Args:
        runs: the maximum number of confirming trials; 0 for none.
        settings: fields that confirming trials set in addition to their seed.
    """

    runs: int = 0
    settings: Mapping[str, Any] = field(default_factory=lambda: {"eval_autoattack_samples": 1000})

    def __post_init__(self) -> None:
        if self.runs < 0:
            raise ValueError(f"confirmations must not be negative: runs={self.runs}")
        for name in self.settings:
            require_known_field(name)
            if not name.startswith("eval_") or name == "eval_samples":
                raise ValueError(f"a confirmation may change the evaluation (eval_*) alone: {name}")


Design = Search | Grid | Ablation
Stopping = MoAsha | RayAsha | NoStopping
Rungs = MoAsha | RayAsha


@dataclass(frozen=True, kw_only=True)
class LaptopPreset:
    """The parts of a spec that ``--preset laptop`` replaces, in addition to the fields of ``trial_config.LAPTOP``."""

    base: Mapping[str, Any] = field(default_factory=dict)
    factors: tuple[Factor, ...] | None = None
    references: tuple[Params, ...] | None = None
    design: Design | None = None
    stopping: Stopping | None = None
    confirmation: Confirmation | None = None
    seeds: tuple[int, ...] | None = None


DEFAULT_BASE = TrialConfig()


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """A study. The parts given directly are the paper's setting; ``laptop`` shrinks them to minutes.

    ``references`` are choices of factor values that a reader will want to compare with: they are run first, count as
    trials of a search, and are never stopped early. An ``Ablation`` brings its own base and factors.

    Args:
        seeds: offsets added to the study's seed; each config is run with each of them. With early stopping, rungs
            decide only about the first seed; the others start once it has completed, and run to the end.
        window: None, or how many trials may be under way at once without being learned from: every decision then
            depends on trials numbered at least ``window`` lower, in whatever order trials end. A proposal for which
            these do not suffice waits for the next trial by number, and so on.
        warm_start: results reported to the sampler before the first trial; they are not on the front.

    Raises:
        ValueError: naming what does not fit.
    """

    name: str
    question: str
    design: Design
    base: TrialConfig = DEFAULT_BASE
    factors: tuple[Factor, ...] = ()
    objectives: tuple[Objective, ...] = DEFAULT_OBJECTIVES
    constraints: tuple[Constraint, ...] = ()
    stopping: Stopping = NoStopping()
    seeds: tuple[int, ...] = (0,)
    confirmation: Confirmation = Confirmation()
    window: int | None = None
    warm_start: tuple[PriorTrial, ...] = ()
    references: tuple[Params, ...] = ()
    laptop: LaptopPreset = LaptopPreset()
    preset: str = "paper"

    def __post_init__(self) -> None:
        if isinstance(self.design, Ablation):
            object.__setattr__(self, "base", self.design.from_)
            object.__setattr__(self, "factors", self.design.factors())
            sides = [{factor.name: side for factor in self.factors} for side in ("from", "to")]
            object.__setattr__(self, "references", tuple(sides))
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
        if isinstance(self.design, Ablation) and self.design.objective not in objectives:
            raise ValueError(f"the ablation chooses by {self.design.objective!r}, which is no objective of the study")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds must be different and not negative: {self.seeds}")
        if self.warm_start and isinstance(self.design, Search) and self.design.sampler not in LEARN_FROM_PRIORS:
            raise ValueError(
                f"a warm start is for the samplers {' and '.join(LEARN_FROM_PRIORS)}: sampler={self.design.sampler!r}"
            )
        if self.window is not None:
            if self.window < 1:
                raise ValueError(f"window must be at least 1: window={self.window}")
            if "train_seconds" in objectives or any(c.name == "train_seconds" for c in self.constraints):
                raise ValueError("train_seconds is clocked: a study that depends on it cannot be deterministic")
            if isinstance(self.design, Search) and self.design.budget.hours is not None:
                raise ValueError("hours are clocked: a study with such a budget cannot be deterministic")

    def with_preset(self, preset: str) -> "StudySpec":
        """The spec under a preset of ``trial_config.PRESETS``; ``paper`` is the spec as written."""
        if preset == "paper":
            return self
        laptop = self.laptop
        overlay = dict(PRESETS[preset])
        if self.base.method in FIXED_NUM_VIEWS:
            del overlay["num_views"]
        design = laptop.design or self.design
        if isinstance(design, Ablation) and laptop.design is None:
            varied = {name for factor in self.factors for name in factor.fields()}
            design = design.with_changes({k: v for k, v in overlay.items() if k not in varied} | dict(laptop.base))
        return dataclasses.replace(
            self,
            base=self.base.replace(**(overlay | dict(laptop.base))),
            factors=laptop.factors or self.factors,
            references=self.references if laptop.references is None else laptop.references,
            design=design,
            stopping=laptop.stopping or self.stopping,
            seeds=laptop.seeds or self.seeds,
            confirmation=laptop.confirmation or dataclasses.replace(self.confirmation, settings=LAPTOP_CONFIRMATION),
            preset=preset,
        )

    def with_settings(self, changes: Mapping[str, Any]) -> "StudySpec":
        """The spec with ``changes`` applied to the base; factors over changed fields are dropped.

        Raises:
            ValueError: if a field is set by the levels of a factor, or if no factor is left.
        """
        if "seed" in changes:
            raise ValueError("--set seed: use --seed, which also seeds the search")
        if isinstance(self.design, Ablation):
            return dataclasses.replace(self, design=self.design.with_changes(changes))
        for factor in self.factors:
            taken = [name for name in factor.fields() if name in changes]
            if taken and factor.levels is not None:
                raise ValueError(f"--set {taken[0]}: the field is set by the levels of factor {factor.name!r}")
        left = tuple(factor for factor in self.factors if factor.name not in changes or factor.levels is not None)
        base = self.base.replace(**changes)
        names = {factor.name for factor in left}
        trimmed = [{name: value for name, value in params.items() if name in names} for params in self.references]
        kept = [params for p in trimmed if (params := _active_part(p, base, left)) is not None]
        # References that differed only in a dropped factor are now equal.
        references = tuple(params for index, params in enumerate(kept) if params and params not in kept[:index])
        return dataclasses.replace(self, base=base, factors=left, references=references)

    def config(self, params: Params, seed: int) -> TrialConfig:
        """The validated config for a choice of factor values; factors missing from ``params`` are inactive."""
        changes: dict[str, Any] = {"seed": seed}
        for factor in self.factors:
            if factor.name in params:
                changes |= factor.changes(params[factor.name])
        return self.base.replace(**changes)

    def to_plain(self) -> dict[str, Any]:
        """The spec as JSON values, for the journal and for comparison, without the unused laptop part."""
        return {
            "name": self.name,
            "question": self.question,
            "preset": self.preset,
            "base": self.base.model_dump(mode="json"),
            "factors": [factor.to_plain() for factor in self.factors],
            "references": [dict(params) for params in self.references],
            "objectives": [dataclasses.asdict(objective) for objective in self.objectives],
            "constraints": [dataclasses.asdict(constraint) for constraint in self.constraints],
            "design": _part_to_plain(self.design),
            "stopping": _part_to_plain(self.stopping),
            "seeds": list(self.seeds),
            "confirmation": {"runs": self.confirmation.runs, "settings": dict(self.confirmation.settings)},
            "window": self.window,
            "warm_start": [dataclasses.asdict(prior) for prior in self.warm_start],
        }


def _part_to_plain(part: Design | Stopping) -> dict[str, Any]:
    fields = {name: getattr(part, name) for name in (f.name for f in dataclasses.fields(part))}
    plain: dict[str, Any] = {"kind": type(part).__name__}
    for name, value in fields.items():
        if isinstance(value, TrialConfig):
            value = value.model_dump(mode="json")
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        plain[name] = dict(value) if isinstance(value, Mapping) else value
    copied: dict[str, Any] = json.loads(json.dumps(plain))
    return copied


def _changes_nothing(changes: Mapping[str, Any], config: TrialConfig) -> bool:
    try:
        return config.replace(**changes).content_hash() == config.content_hash()
    except ValidationError:  # some configs between the two ends of an ablation are impossible
        return False


def _check_rungs(first_rung: int, eta: int) -> None:
    if first_rung < 1 or eta < 2:
        raise ValueError(f"first_rung must be >= 1 and eta >= 2: {first_rung=}, {eta=}")


def _active_part(params: Params, base: TrialConfig, factors: tuple[Factor, ...]) -> Params | None:
    """``params`` without inactive factors, or None if an active factor has no value."""
    fields = base.model_dump()
    part: Params = {}
    for factor in factors:
        if factor.is_active(fields):
            if factor.name not in params:
                return None
            part[factor.name] = params[factor.name]
            fields |= factor.changes(params[factor.name])
    return part
