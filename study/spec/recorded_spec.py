"""Converts the spec in a journal from plain data back to a StudySpec."""

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import json_to_distribution

from study.spec import (
    Constraint,
    Factor,
    Grid,
    MoAsha,
    NoStopping,
    Objective,
    PriorTrial,
    RayAsha,
    Stopping,
    StudySpec,
)
from trainables.trial_config import TrialConfig


def recorded_spec(plain: Mapping[str, Any]) -> StudySpec:
    """The inverse of ``StudySpec.to_plain``, except that a ``Grid`` stands in for the design.

    The design determines only what is proposed; nothing derived from past events depends on it.

    Raises:
        ValueError: if this version does not know the spec.
    """
    try:
        return StudySpec(
            name=plain["name"],
            question=plain["question"],
            preset=plain["preset"],
            design=Grid(),
            base=TrialConfig(**plain["base"]),
            factors=tuple(_factor(factor) for factor in plain["factors"]),
            objectives=tuple(Objective(**objective) for objective in plain["objectives"]),
            constraints=tuple(Constraint(**constraint) for constraint in plain.get("constraints", ())),
            stopping=_stopping(plain["stopping"]),
            seeds=tuple(plain.get("seeds", (0,))),
            window=plain.get("window"),
            warm_start=tuple(
                PriorTrial(prior["params"], tuple(prior["values"])) for prior in plain.get("warm_start", ())
            ),
            references=tuple(plain["references"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the spec in the journal is not one of this version: {error}") from None


def _factor(plain: Mapping[str, Any]) -> Factor:
    when = {name: tuple(allowed) for name, allowed in plain["when"].items()}
    if plain["levels"]:
        return Factor(name=plain["name"], levels=plain["levels"], when=when)
    return Factor(name=plain["name"], distribution=json_to_distribution(json.dumps(plain["distribution"])), when=when)


def _stopping(plain: Mapping[str, Any]) -> Stopping:
    settings = {name: value for name, value in plain.items() if name != "kind"}
    match plain["kind"]:
        case "MoAsha":
            return MoAsha(**settings | {"objectives": tuple(settings["objectives"])})
        case "RayAsha":
            return RayAsha(**settings)
        case "NoStopping":
            return NoStopping()
    raise ValueError(f"the journal's early stopping is not one of this version: {plain['kind']!r}")
