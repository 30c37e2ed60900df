"""Which configs a study runs: a search, a grid, an ablation; and what it runs again afterwards."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, field_validator, model_validator

from study.settings import replaced, require_known_field
from study.spec.factors import Factor, Params
from study.spec.part import Part
from study.spec.samplers import SAMPLERS
from study.trainable import trainable_of


class Plateau(Part):
    """Ends a search whose front no longer moves (``study.record.plateau`` says how that is measured).

    Args:
        configurations: how many of the last complete configurations are looked at.
        gain: the share of the front's hypervolume that they must have added for the search to go on.
    """

    configurations: int = Field(30, ge=1)
    gain: float = Field(0.01, gt=0, lt=1)


class Budget(Part):
    """Limits on what a search may spend; once any of them is reached, no further config is proposed.

    Running trials continue, and configs already begun still get all their seeds; confirmations have a separate limit.

    Args:
        spent: cost -> limit on its sum over all trials, including stopped ones, such as ``{"train_pflop": 3}``.
        hours: of wall time, summed over all starts of the study.
        plateau: also ends once the front no longer moves; None: never for that reason.
    """

    spent: Mapping[str, float] = {}
    hours: float | None = None
    plateau: Plateau | None = None

    @model_validator(mode="after")
    def _check(self) -> "Budget":
        for name, value in {**self.spent, "hours": self.hours}.items():
            if value is not None and not value > 0:
                raise ValueError(f"a budget must be positive: {name}={value}")
        return self


class Search(Part):
    """A sampler proposes ``trials`` configs; a config that was already proposed is not run twice.

    Args:
        trials: how many.
        sampler: how they are proposed; one of ``SAMPLERS``.
        budget: limits that may end the search earlier.
        cheapest_of: if cost is an objective, the number of proposals drawn for each config to run; the cheapest is run.
            Unlike its quality, a config's cost is known before training. No effect on ``random`` and ``qmc``, which
            draw evenly, nor on ``ehvi``, which weighs costs itself.
        believed: recipes that are believed to be good, as values of some factors or of all; ``ehvi`` tries
            each once it costs little of what was spent, unless results speak against it already.

    Example:
        >>> search = Search(trials=20, budget=Budget(hours=1))
        >>> search.replace(sampler="nsga3").budget.hours
        1.0
    """

    kind: Literal["Search"] = "Search"
    trials: int
    sampler: str = "ehvi"
    budget: Budget = Budget()
    cheapest_of: int = 2
    believed: tuple[Params, ...] = ()

    @field_validator("sampler")
    @classmethod
    def _check_sampler(cls, sampler: str) -> str:
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}: {sampler=}")
        return sampler

    @model_validator(mode="after")
    def _check(self) -> "Search":
        for name in ("trials", "cheapest_of"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1: {name}={getattr(self, name)}")
        if self.believed and SAMPLERS[self.sampler].is_optuna:
            raise ValueError(f"believed recipes are for the sampler ehvi; references are run by all: {self.sampler=}")
        if not all(self.believed):
            raise ValueError(f"a believed recipe needs a value of at least one factor: believed={self.believed}")
        return self


class Grid(Part):
    """Every combination of the factors' values, with conditional factors where active; floats need a step."""

    kind: Literal["Grid"] = "Grid"


class Ablation(Part):
    """What each difference between two configs contributes, measured by training the configs in between.

    Both configs are trained. In addition, ``leave_one_out`` trains ``to`` with one factor at a time reverted,
    ``add_one_in`` trains ``from_`` with one factor at a time changed, and ``greedy`` trains the path of Fawcett and
    Hoos (2016): starting at ``from_``, each step changes the factor that improves ``objective`` most, until ``to`` is
    reached.

    Args:
        from_, to: the two configs; a field that has no effect in one of them (``replays`` without free training) must
            be equal in both, or be grouped with the field that determines whether it has an effect.
        groups: factor -> the fields that change together; every other differing field is a factor of its own.
        objective: the objective of the study by which the greedy path chooses; empty: the study's headline.
        leave_one_out, add_one_in, greedy: what is trained.
    """

    kind: Literal["Ablation"] = "Ablation"
    from_: SerializeAsAny[BaseModel]
    to: SerializeAsAny[BaseModel]
    groups: Mapping[str, tuple[str, ...]] = {}
    objective: str = ""
    leave_one_out: bool = True
    add_one_in: bool = True
    greedy: bool = True

    @model_validator(mode="after")
    def _check(self) -> "Ablation":
        grouped = [name for fields in self.groups.values() for name in fields]
        if len(set(grouped)) < len(grouped):
            raise ValueError(f"the groups of an ablation must not share fields: {grouped}")
        for name in grouped:
            require_known_field(name, type(self.from_))
        for name, fields in self.groups.items():
            if name in type(self.from_).model_fields and name not in fields:
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
        return self

    def factors(self) -> tuple[Factor, ...]:
        """The differences, each a factor with the levels ``from`` and ``to``."""
        old, new = self.from_.model_dump(), self.to.model_dump()
        differing = [name for name in old if old[name] != new[name]]
        groups = {name: tuple(f for f in fields if f in differing) for name, fields in self.groups.items()}
        grouped = {name for fields in groups.values() for name in fields}
        groups |= {name: (name,) for name in differing if name not in grouped}
        sides = {"from": old, "to": new}
        return tuple(
            Factor(name=name, levels={side: {f: values[f] for f in fields} for side, values in sides.items()})
            for name, fields in groups.items()
            if fields
        )

    def with_changes(self, changes: Mapping[str, Any]) -> "Ablation":
        """The ablation with ``changes`` applied to both configs, which then no longer differ in those fields."""
        return self.replace(from_=replaced(self.from_, changes), to=replaced(self.to, changes))


def _changes_nothing(changes: Mapping[str, Any], config: BaseModel) -> bool:
    trainable = trainable_of(config)
    try:
        return trainable.identity(replaced(config, changes)) == trainable.identity(config)
    except ValidationError:  # some configs between the two ends of an ablation are impossible
        return False


class Comparison(Part):
    """What a study's question is about: arms that are compared seed by seed. Their trials are never stopped early.

    They are run before all others and take no part in a search, which neither counts nor learns from them, and proposes
    no arm again. Those that a grid has anyway are not run twice.

    Args:
        arms: name -> its factor values; every other arm is compared with the first.
        given: factor values that all arms have in common.
        pairs: with how many seeds each arm is run, the study's own first, then the smallest others.
        means: verdict -> what it says of the question, such as ``{"better": "Yes, and more.", "worse": "No."}``.

    Example:
        >>> widths = Comparison(arms={"narrow": {"width": 8}, "wide": {"width": 64}}, given={"rate": 0.1}, pairs=5)
        >>> widths.choices()
        {'narrow': {'rate': 0.1, 'width': 8}, 'wide': {'rate': 0.1, 'width': 64}}
        >>> widths.seeds((3,))
        (3, 0, 1, 2, 4)
    """

    arms: Mapping[str, Params]
    given: Params = {}
    pairs: int = 3
    means: Mapping[Literal["better", "equal", "worse"], str] = {}

    @model_validator(mode="after")
    def _check(self) -> "Comparison":
        if self.pairs < 1:
            raise ValueError(f"pairs must be at least 1: pairs={self.pairs}")
        if taken := sorted({name for arm in self.arms.values() for name in arm if name in self.given}):
            raise ValueError(f"an arm must not set what is given for all: {taken[0]!r}")
        arms = list(self.arms.values())
        if len(arms) < 2 or any(arm in arms[:place] for place, arm in enumerate(arms)):
            raise ValueError(f"a comparison needs at least two arms, all of them different: {dict(self.arms)}")
        return self

    def choices(self) -> dict[str, Params]:
        """Arm -> all of its factor values."""
        return {name: dict(self.given) | arm for name, arm in self.arms.items()}

    def seeds(self, own: tuple[int, ...]) -> tuple[int, ...]:
        """The seeds that each arm is run with, where ``own`` are those of the study."""
        others = [seed for seed in range(self.pairs + len(own)) if seed not in own]
        return (*own, *others[: max(0, self.pairs - len(own))])


class Confirmation(Part):
    """Further seeds for members of the front, spent where membership is least certain, under a fuller evaluation.

    Args:
        runs: the maximum number of confirming trials; 0 for none.
        settings: fields that confirming trials set in addition to their seed; None: what the trainable has for this.
    """

    runs: int = 0
    settings: Mapping[str, Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> "Confirmation":
        if self.runs < 0:
            raise ValueError(f"confirmations must not be negative: runs={self.runs}")
        return self


Design = Annotated[Search | Grid | Ablation, Field(discriminator="kind")]
