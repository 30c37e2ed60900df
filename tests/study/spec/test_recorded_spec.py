"""A spec out of a journal is the one that was written there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from study.spec.recorded_spec import recorded_spec

from study.spec import Constraint, MoAsha, PriorTrial, RayAsha, StudySpec
from study.spec.load_space import load_space

MakeSpec = Callable[..., StudySpec]
SPACES = sorted((Path(__file__).parents[3] / "search_spaces").rglob("[a-z]*.py"))
LEFT_OUT = ("design", "confirmation")  # they decide what is proposed, not what follows from what happened


def as_recorded(spec: StudySpec) -> StudySpec:
    return recorded_spec(json.loads(json.dumps(spec.to_plain())))


def parts(spec: StudySpec) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(spec.to_plain()))
    return {name: part for name, part in plain.items() if name not in LEFT_OUT}


@pytest.mark.parametrize("preset", ["paper", "laptop"])
@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_space(path: Path, preset: str) -> None:
    spec = load_space(path).with_preset(preset)
    recorded = as_recorded(spec)
    assert parts(recorded) == parts(spec)
    assert [factor.domain() for factor in recorded.factors] == [factor.domain() for factor in spec.factors]


@pytest.mark.parametrize(
    "changes",
    [
        {"stopping": MoAsha(first_rung=2, eta=4, audit=0.2, objectives=("val_pgd_8",))},
        {"stopping": RayAsha(first_rung=3, objective="val_clean")},
        {"seeds": (3, 1), "window": 2},
        {"constraints": (Constraint("train_seconds", at_most=60),)},
        {"warm_start": (PriorTrial({"num_views": 2}, (50.0, 20.0, 0.5)),)},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_every_part(make_spec: MakeSpec, changes: dict[str, Any]) -> None:
    spec = make_spec(**changes)
    recorded = as_recorded(spec)
    assert parts(recorded) == parts(spec)
    for name in changes:
        assert getattr(recorded, name) == getattr(spec, name)


def test_parts_of_another_version_are_named(make_spec: MakeSpec) -> None:
    plain = make_spec().to_plain()
    with pytest.raises(ValueError, match="'factors'"):
        recorded_spec({name: part for name, part in plain.items() if name != "factors"})
    with pytest.raises(ValueError, match="'Psychic'"):
        recorded_spec(plain | {"stopping": {"kind": "Psychic"}})
    with pytest.raises(ValueError, match="sharpness"):
        recorded_spec(plain | {"stopping": {"kind": "MoAsha", "objectives": [], "sharpness": 3}})
