"""A study as a whole: base config, factors, objectives, design, early stopping.

A space file is data: it exports one ``STUDY = StudySpec(...)``. A spec can be listed, checked and counted without Ray.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, model_validator

from study.settings import COLUMN_NAMES, explain, replaced, require_known_field
from study.spec.designs import Ablation, Budget, Comparison, Confirmation, Design, Search
from study.spec.exclusions import holds, require_condition
from study.spec.factors import Constraint, Factor, Objective, Params, PriorTrial
from study.spec.part import Part
from study.spec.samplers import SAMPLERS
from study.spec.stopping import MultiObjectiveRungs, NoStopping, RayAsha, Rungs, Stopping
from study.spec.trimming import active_part, trimmed_comparison
from study.trainable import FIRST_TRAINABLE, Metric, load_trainable, trainable_of

NO_BASE = Part()
MOST_SEED = 2**32 - 1
RECORDED_BESIDE = ("seed", "data_checksum", "metrics")  # in the spec of a journal, besides the spec itself


class LaptopPreset(Part):
    """The parts of a spec that ``--preset laptop`` replaces, in addition to the fields that the trainable shrinks."""

    base: Mapping[str, Any] = {}
    factors: tuple[Factor, ...] | None = None
    references: tuple[Params, ...] | None = None
    compares: Comparison | None = None
    design: Design | None = None
    stopping: Stopping | None = None
    confirmation: Confirmation | None = None
    seeds: tuple[int, ...] | None = None


class StudySpec(Part):
    """A study. The parts given directly are its full size; ``laptop`` shrinks them to minutes.

    ``references`` are choices of factor values that a reader will want to compare with: they are run first, count as
    trials of a search, and are never stopped early. An ``Ablation`` brings its own base and factors.

    The report begins with an answer to ``question``: from the arms of ``compares``; else from trials that differ in one
    of the factors of ``asks`` alone; else from those that differ in whichever factor has the clearest effect.

    Args:
        base: the config that factors change; its class says which trainable runs it.
        objectives: metrics, or their names alone; by default those of the trainable.
        excluded: conditions over fields of the config, such as ``"num_views * epochs > 64"``, and over names of factors
            that are no fields; a combination for which one of them holds is never run.
        seeds: offsets added to the study's seed; each config is run with each of them. With early stopping, rungs
            decide only about the first seed; the others start once it has completed, and run to the end.
        window: None, or how many trials may be under way at once without being learned from: every decision then
            depends on trials numbered at least ``window`` lower, in whatever order trials end; a promotion of a paused
            trial takes a number, too. A proposal for which
            these do not suffice waits for the next trial by number, and so on.
        smallest_difference: the smallest difference of interest in the objective that the study is mainly about; below
            it, the answer is 'equal'. None: 1 percentage point, or 1% of the values that are no percentages.
        warm_start: results reported to the sampler before the first trial; they are not on the front.
        trainable: its import path; follows from ``base``.

    Raises:
        ValueError: naming what does not fit.

    Example:
        >>> from optuna.distributions import FloatDistribution
        >>> from study import Metric, as_trainable
        >>> class Config(BaseModel, frozen=True):
        ...     rate: float = 0.1
        ...     seed: int = 0
        >>> @as_trainable(config=Config, metrics=[Metric("accuracy", unit="%")])
        ... def fit(config, context):
        ...     yield {"accuracy": 90 + config.rate}
        >>> spec = StudySpec(
        ...     name="rates",
        ...     question="Which rate?",
        ...     base=Config(),
        ...     factors=(Factor(name="rate", distribution=FloatDistribution(0, 1)),),
        ...     design=Search(trials=8),
        ... )
        >>> spec.objectives
        (Objective(name='accuracy', direction='maximize', at_least=None, at_most=None),)
        >>> spec.config({"rate": 0.5}, seed=1)
        Config(rate=0.5, seed=1)
    """

    name: str
    question: str
    design: Design
    base: SerializeAsAny[BaseModel] = NO_BASE
    factors: tuple[Factor, ...] = ()
    objectives: tuple[Objective, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    excluded: tuple[str, ...] = ()
    stopping: Stopping = NoStopping()
    seeds: tuple[int, ...] = (0,)
    confirmation: Confirmation = Confirmation()
    window: int | None = None
    warm_start: tuple[PriorTrial, ...] = ()
    references: tuple[Params, ...] = ()
    compares: Comparison | None = None
    asks: tuple[str, ...] = ()
    smallest_difference: float | None = None
    laptop: LaptopPreset = Field(default=LaptopPreset(), exclude=True)
    preset: str = ""
    trainable: str = ""

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, data: Any) -> Any:
        """Reads configs in plain data, and fills in what follows from the design and from the trainable."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if isinstance(data.get("base"), Mapping):
            data = _with_configs({name: value for name, value in data.items() if name not in RECORDED_BESIDE})
        design = data.get("design")
        if isinstance(design, Ablation):
            factors = design.factors()
            sides = tuple({factor.name: side for factor in factors} for side in ("from", "to"))
            data |= {"base": design.from_, "factors": factors, "references": sides}
        if "base" not in data:
            raise ValueError("a study needs a base config, whose class says which trainable runs it")
        if isinstance(data["base"], BaseModel):
            data["trainable"] = trainable_of(data["base"]).path
            data["objectives"] = _objectives(data["base"], data.get("objectives") or ())
        return data

    @model_validator(mode="after")
    def _check(self) -> "StudySpec":
        trainable = trainable_of(self.base)
        by_name = {metric.name: metric for metric in trainable.metrics(self.base)}
        headline = _headline([by_name.get(o.name, Metric(o.name, o.direction)) for o in self.objectives])
        if isinstance(self.stopping, MultiObjectiveRungs) and not self.stopping.objectives:
            known = [(o.name, by_name.get(o.name, Metric(o.name))) for o in self.objectives]
            names = [name for name, metric in known if metric.is_interim and not metric.is_cost]
            self.__dict__["stopping"] = self.stopping.replace(objectives=tuple(names))
        if isinstance(self.stopping, RayAsha) and not self.stopping.objective:
            self.__dict__["stopping"] = self.stopping.replace(objective=headline)
        if isinstance(self.design, Ablation) and not self.design.objective:
            self.__dict__["design"] = self.design.replace(objective=headline)
        if self.confirmation.settings is None:
            settings = trainable.confirmation.get(self.preset, trainable.confirmation.get("", {}))
            self.__dict__["confirmation"] = self.confirmation.replace(settings=settings)
        self._check_fields(set(by_name))
        self._check_names()
        for condition in self.excluded:
            require_condition(condition, [*type(self.base).model_fields, *(factor.name for factor in self.factors)])
        self._check_window({name for name, metric in by_name.items() if metric.is_clocked})
        return self

    def _check_fields(self, metrics: set[str]) -> None:
        """That factors and confirmations set fields of the config, and fields that they may set."""
        model, trainable = type(self.base), trainable_of(self.base)
        if "seed" not in model.model_fields:
            raise ValueError(f"{model.__name__} needs a field 'seed'")
        for factor in self.factors:
            for name in [*factor.fields(), *factor.when]:
                try:
                    require_known_field(name, model)
                except ValueError as error:
                    raise ValueError(f"factor {factor.name!r}: {error}") from None
            if factor.name in metrics:
                raise ValueError(f"a factor must not have the name of a column of the report: {factor.name!r}")
            fixed = [name for name in factor.fields() if name in trainable.data_fields]
            if fixed:
                raise ValueError(f"factor {factor.name!r}: {fixed[0]} must be the same for all trials of a study")
        for name in self.confirmation.settings or {}:
            require_known_field(name, model)
            if trainable.confirmation_fields and name not in trainable.confirmation_fields:
                raise ValueError(f"a confirmation may change the evaluation alone: {name}")

    def _check_names(self) -> None:
        names = [factor.name for factor in self.factors]
        if len(set(names)) < len(names):
            raise ValueError(f"factors must have different names: {names}")
        if self.base.seed != 0:  # type: ignore[attr-defined]
            raise ValueError(f"the base must leave the seed to --seed: seed={self.base.seed}")  # type: ignore[attr-defined]
        for name, text in (("name", self.name), ("question", self.question)):
            if not text.strip() or not " ".join(text.split()).isprintable():
                raise ValueError(f"{name} must be a text of printable characters: {text!r}")
        if not self.factors:
            raise ValueError("a study needs at least one factor")
        objectives = [objective.name for objective in self.objectives]
        if not objectives or len(set(objectives)) < len(objectives):
            raise ValueError(f"a study needs objectives, each of them once: {objectives}")
        if taken := sorted(COLUMN_NAMES.intersection(objectives)):
            raise ValueError(f"an objective must not have the name of a column of the report: {taken[0]!r}")
        if isinstance(self.design, Ablation) and self.design.objective not in objectives:
            raise ValueError(f"the ablation chooses by {self.design.objective!r}, which is no objective of the study")
        if unknown := [name for params in self.references for name in params if name not in names]:
            raise ValueError(f"a reference gives a value to {unknown[0]!r}, which is no factor: {names}")
        if unknown := [name for name in self.asks if name not in names]:
            raise ValueError(f"the study asks about {unknown[0]!r}, which is no factor: {names}")
        if self.smallest_difference is not None and not self.smallest_difference > 0:
            raise ValueError(f"the smallest difference of interest must be positive: {self.smallest_difference}")
        if self.compares is not None and isinstance(self.design, Ablation):
            raise ValueError("an ablation compares its two ends by itself; compares is for searches and grids")
        if isinstance(self.stopping, Rungs) and len(set(self.stopping.compared)) < len(self.stopping.compared):
            raise ValueError(f"the early stopping needs different objectives: {self.stopping.compared}")
        seeds = sorted(set(self.seeds))
        if not seeds or len(seeds) < len(self.seeds) or not 0 <= seeds[0] <= seeds[-1] <= MOST_SEED:
            raise ValueError(f"seeds must be different, from 0 to {MOST_SEED}: {self.seeds}")
        if self.warm_start and isinstance(self.design, Search):
            learning = [name for name, entry in SAMPLERS.items() if entry.learns_from_priors]
            if self.design.sampler not in learning:
                raise ValueError(
                    f"a warm start is for the samplers {' and '.join(learning)}: sampler={self.design.sampler!r}"
                )

    def _check_window(self, clocked: set[str]) -> None:
        if self.window is None:
            return
        if self.window < 1:
            raise ValueError(f"window must be at least 1: window={self.window}")
        budget = self.design.budget if isinstance(self.design, Search) else Budget()
        for name in [*(o.name for o in self.objectives), *(c.name for c in self.constraints), *budget.spent]:
            if name in clocked:
                raise ValueError(f"{name} is clocked: a study that depends on it cannot be deterministic")
        if budget.hours is not None:
            raise ValueError("hours are clocked: a study with such a budget cannot be deterministic")

    @classmethod
    def recorded(cls, plain: Mapping[str, Any]) -> "StudySpec":
        """The spec that a journal holds.

        Raises:
            ValueError: in one line, if this version does not accept it, or its trainable cannot be imported.
        """
        try:
            return cls.model_validate(dict(plain))
        except ValidationError as error:
            why = explain(error)
        except (KeyError, TypeError) as error:
            why = f"{type(error).__name__}: {error}"
        raise ValueError(f"this version does not accept the recorded spec: {why}")

    def with_preset(self, preset: str) -> "StudySpec":
        """The spec under a preset of its trainable; any but ``laptop`` leaves factors and budgets as written.

        Raises:
            ValueError: if there is no such preset.
        """
        trainable, laptop = trainable_of(self.base), self.laptop
        presets = [*trainable.presets, *(["laptop"] if laptop != LaptopPreset() else [])]
        if not preset:
            return self
        if preset not in presets:
            raise ValueError(f"--preset must be one of {', '.join(dict.fromkeys(presets)) or 'none'}: {preset!r}")
        if preset != "laptop":
            laptop = LaptopPreset()
        overlay = trainable.preset_fields(preset, self.base)
        design = laptop.design or self.design
        if isinstance(design, Ablation) and laptop.design is None:
            varied = {name for factor in self.factors for name in factor.fields()}
            design = design.with_changes({k: v for k, v in overlay.items() if k not in varied} | dict(laptop.base))
        return self.replace(
            base=replaced(self.base, overlay | dict(laptop.base)),
            factors=laptop.factors or self.factors,
            references=self.references if laptop.references is None else laptop.references,
            compares=laptop.compares or self.compares,
            design=design,
            stopping=laptop.stopping or self.stopping,
            seeds=laptop.seeds or self.seeds,
            confirmation=laptop.confirmation
            or (Confirmation(runs=self.confirmation.runs) if preset in trainable.confirmation else self.confirmation),
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
            return self.replace(design=self.design.with_changes(changes))
        for factor in self.factors:
            taken = [name for name in factor.fields() if name in changes]
            if taken and factor.levels is not None:
                raise ValueError(f"--set {taken[0]}: the field is set by the levels of factor {factor.name!r}")
        left = tuple(factor for factor in self.factors if factor.name not in changes or factor.levels is not None)
        base = replaced(self.base, changes)
        names = {factor.name for factor in left}
        trimmed = [{name: value for name, value in params.items() if name in names} for params in self.references]
        kept = [params for p in trimmed if (params := active_part(p, base, left)) is not None]
        # References that differed only in a dropped factor are now equal.
        references = tuple(params for index, params in enumerate(kept) if params and params not in kept[:index])
        compares = None if self.compares is None else trimmed_comparison(self.compares, base, left)
        asks = tuple(name for name in self.asks if name in names)
        design = self.design
        if isinstance(design, Search):
            parts = [{name: value for name, value in params.items() if name in names} for params in design.believed]
            design = design.replace(believed=tuple(params for params in parts if params))
        return self.replace(base=base, factors=left, references=references, compares=compares, asks=asks, design=design)

    def config(self, params: Params, seed: int) -> Any:
        """The validated config for a choice of factor values; factors missing from ``params`` are inactive."""
        changes: dict[str, Any] = {"seed": seed}
        for factor in self.factors:
            if factor.name in params:
                changes |= factor.changes(params[factor.name])
        return replaced(self.base, changes)

    def is_excluded(self, params: Params) -> str | None:
        """The first of ``excluded`` that holds for a choice of factor values, with the values it names; else None."""
        if not self.excluded:
            return None
        fields = self.base.model_dump()
        for factor in self.factors:
            if factor.name in params:
                fields |= factor.changes(params[factor.name])
        levels = {factor.name: params.get(factor.name) for factor in self.factors}
        return next((condition for condition in self.excluded if holds(condition, levels | fields)), None)


def _with_configs(plain: dict[str, Any]) -> dict[str, Any]:
    """Plain data with the configs in them read by the trainable that they name."""
    read = load_trainable(plain.get("trainable") or FIRST_TRAINABLE).recorded
    design = plain.get("design")
    if isinstance(design, Mapping) and design.get("kind") == "Ablation":
        design = Ablation(**{**design, "from_": read(design["from_"]), "to": read(design["to"])})
    return plain | {"base": read(plain["base"]), "design": design}


def _objectives(base: BaseModel, given: Any) -> tuple[Any, ...]:
    """Objectives with their directions, where only a name is given as the trainable describes it."""
    trainable = trainable_of(base)
    metrics = {metric.name: metric for metric in trainable.metrics(base)}
    if not isinstance(given, tuple | list):
        raise ValueError(f"objectives must be a tuple of names or Objective(...): {given!r}")
    chosen = given or trainable.objectives or tuple(metrics)[:1]
    unknown = [one for one in chosen if isinstance(one, str) and one not in metrics]
    if unknown:
        raise ValueError(f"unknown objective {unknown[0]!r}; trials report {', '.join(sorted(metrics))}")
    return tuple(Objective(one, metrics[one].direction) if isinstance(one, str) else one for one in chosen)


def _headline(objectives: list[Metric]) -> str:
    """The objective that a study is mainly about: the first headline, else the first that is no cost."""
    ordered = sorted(objectives, key=lambda metric: (not metric.is_headline, metric.is_cost))
    return ordered[0].name if ordered else ""
