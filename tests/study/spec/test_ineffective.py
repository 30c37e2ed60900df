"""Factors that change nothing somewhere: they are found with what mends them, and nothing else is taken for one."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel

from study.spec import Ablation, Factor, Grid, Search, StudySpec
from study.spec.ineffective import ineffective_factor
from study.spec.load_space import load_space, packaged_spaces
from study.trainable import Context, Metric, as_trainable, trainable_of
from trainables.presets import LAPTOP
from trainables.recorded_table import recorded_table
from trainables.trial_config import TrialConfig

MakeSpec = Callable[..., StudySpec]
METHOD = Factor(
    name="method",
    levels={"emp": {"method": "emp_ssl", "num_views": 4}, "sim": {"method": "simclr", "num_views": 2}},
)
TEMPERATURE = Factor(name="temperature", distribution=FloatDistribution(0.05, 1.0, log=True))
EPOCHS = Factor(name="epochs", distribution=IntDistribution(1, 9))
ADVERSARY = Factor(name="adversary", distribution=CategoricalDistribution(["none", "pgd", "free"]))
STEPS = Factor(name="pgd_steps", distribution=CategoricalDistribution([3, 5]))


def radius(*values: float, **changes: Any) -> Factor:
    domain = CategoricalDistribution(list(values))
    return Factor(name="attack_radius_255", distribution=domain, **changes)


def spec_of(*factors: Factor, **changes: Any) -> StudySpec:
    base = TrialConfig(**LAPTOP)
    return StudySpec(name="s", question="?", base=base, factors=factors, **({"design": Grid()} | changes))


def mended(spec: StudySpec) -> StudySpec:
    """The spec with the condition, and the order, that its error asks for."""
    found = ineffective_factor(spec)
    assert found is not None
    factors = [factor for factor in spec.factors if factor.name != found.factor]
    own = next(factor for factor in spec.factors if factor.name == found.factor).replace(when=found.when)
    names = [factor.name for factor in spec.factors]
    place = [factor.name for factor in factors].index(found.after) + 1 if found.after else names.index(found.factor)
    return spec.replace(factors=(*factors[:place], own, *factors[place:]))


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (
            (METHOD, TEMPERATURE),
            "factor 'temperature' changes nothing where method is 'emp_ssl': give it when={'method': ('simclr',)}",
        ),
        (
            (TEMPERATURE, EPOCHS, METHOD),
            "factor 'temperature' changes nothing where method is 'emp_ssl': place it behind 'method' and give it "
            "when={'method': ('simclr',)}",
        ),
        (
            (ADVERSARY, STEPS),
            "factor 'pgd_steps' changes nothing where adversary is 'none' or 'free': "
            "give it when={'adversary': ('pgd',)}",
        ),
        (
            (ADVERSARY, EPOCHS, radius(4.0, 8.0)),
            "factor 'attack_radius_255' changes nothing where adversary is 'none': give it "
            "when={'adversary': ('pgd', 'free')}",
        ),
        (
            (METHOD, ADVERSARY, STEPS.replace(when={"method": ("simclr",)})),
            "give it when={'method': ('simclr',), 'adversary': ('pgd',)}",
        ),
        (
            (ADVERSARY, Factor(name="kind", levels={"few": {"pgd_steps": 2}, "many": {"pgd_steps": 9}})),
            "factor 'kind' changes nothing where adversary is 'none' or 'free': give it when={'adversary': ('pgd',)}",
        ),
        ((TEMPERATURE, EPOCHS), "factor 'temperature' changes nothing, whatever the other factors are: leave it out"),
    ],
)
def test_it_is_named_with_what_mends_it(factors: tuple[Factor, ...], message: str) -> None:
    spec = spec_of(*factors)
    assert message in str(ineffective_factor(spec))
    if "leave it out" not in message:
        assert ineffective_factor(mended(spec)) is None


def test_two_conditions_are_both_named() -> None:
    """The radius is of no use without an adversary, nor is it where the kind of trial has none of its own."""
    kinds = Factor(
        name="norm_of", levels={"a": {"adversary": "none"}, "b": {"adversary": "pgd"}, "c": {"adversary": "free"}}
    )
    spec = spec_of(METHOD, kinds, TEMPERATURE, STEPS)
    first = mended(spec)
    assert ineffective_factor(mended(first)) is None


@pytest.mark.parametrize(
    "factors",
    [
        pytest.param(
            (ADVERSARY, radius(0.0, 8.0, when={"adversary": ("pgd", "free")})), id="a radius of 0 is no adversary"
        ),
        pytest.param(
            (
                Factor(name="adversary", distribution=CategoricalDistribution(["pgd", "free"])),
                Factor(name="attack_radius_255", distribution=FloatDistribution(0.0, 8.0)),
            ),
            id="at the bound of a number",
        ),
        pytest.param((Factor(name="k", levels={"as it is": {}, "longer": {"epochs": 7}}), ADVERSARY), id="the base"),
        pytest.param(
            (Factor(name="k", levels={"a": {"epochs": 2}, "b": {"epochs": 2}, "c": {"epochs": 3}}), ADVERSARY),
            id="two levels of one meaning",
        ),
        pytest.param((METHOD, TEMPERATURE.replace(when={"method": ("simclr",)})), id="conditional already"),
        pytest.param((ADVERSARY, STEPS.replace(when={"adversary": ("pgd",)})), id="conditional on a category"),
    ],
)
def test_what_has_an_effect_is_not_refused(factors: tuple[Factor, ...]) -> None:
    assert ineffective_factor(spec_of(*factors)) is None


class Attack(BaseModel, frozen=True):
    kind: str = "none"
    strength: float = 1.0
    seed: int = 0


@as_trainable(config=Attack, metrics=[Metric("loss", "minimize")])
def attacked(config: Attack, context: Context) -> Iterator[dict[str, float]]:
    yield {"loss": config.strength}


@pytest.mark.parametrize("values", [CategoricalDistribution([0.0, 1.0]), FloatDistribution(0.0, 1.0)])
@pytest.mark.parametrize("kinds", [["none", "near", "far"], ["near", "far"]])
def test_a_control_at_zero_is_no_reason_to_refuse(
    monkeypatch: pytest.MonkeyPatch, values: Any, kinds: list[str]
) -> None:
    """A strength of 0 makes all kinds equal; it is conditional on the kind, so the kind cannot be on it."""
    monkeypatch.setattr(
        attacked, "identity", lambda c: f"{c.kind} {c.strength}" if c.kind != "none" and c.strength else ""
    )
    kind = Factor(name="kind", distribution=CategoricalDistribution(kinds))
    strength = Factor(name="strength", distribution=values, when={"kind": ("near", "far")})

    def found(*factors: Factor) -> Any:
        return ineffective_factor(
            StudySpec(name="a", question="?", base=Attack(), factors=factors, design=Search(trials=3, sampler="tpe"))
        )

    assert found(kind, strength) is None
    if kinds[0] == "none":
        assert found(kind, strength.replace(when={})).when == {"kind": ("near", "far")}


def test_a_combination_that_is_excluded_or_impossible_is_no_evidence() -> None:
    spec = spec_of(ADVERSARY, STEPS, excluded=("adversary != 'pgd'",))
    assert ineffective_factor(spec) is None
    views = Factor(name="num_views", distribution=CategoricalDistribution([2, 4]))
    assert (
        ineffective_factor(
            spec_of(Factor(name="method", distribution=CategoricalDistribution(["simclr", "emp_ssl"])), views)
        )
        is None
    )


def test_numbers_of_a_recorded_table_may_stand_for_the_same_row(tmp_path: Path) -> None:
    metrics = {"loss": {"direction": "minimize"}}
    trials = [
        {"params": {"width": width, "depth": depth}, "reports": [], "metrics": {"loss": width / depth, "step": 1}}
        for width in (8, 16, 32)
        for depth in (1, 2)
    ]
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"metrics": metrics, "progress": "step", "scale": 1, "trials": trials}))
    base = recorded_table(path).config()

    def width_over(*values: int) -> StudySpec:
        factors = (
            Factor(name="width", distribution=CategoricalDistribution(values)),
            Factor(name="depth", distribution=IntDistribution(1, 2)),
        )
        return StudySpec(name="t", question="?", base=base, factors=factors, design=Search(trials=3, sampler="tpe"))

    assert ineffective_factor(width_over(8, 9, 16)) is None
    assert "'width' changes nothing, whatever" in str(ineffective_factor(width_over(8, 9)))


def test_ends_of_an_ablation_are_checked_by_it_alone() -> None:
    ends = {"from_": TrialConfig(**LAPTOP), "to": TrialConfig(**(LAPTOP | {"epochs": 7, "momentum": 0.5}))}
    spec = StudySpec(name="a", question="?", design=Ablation(**ends))
    assert ineffective_factor(spec) is None


@pytest.mark.parametrize("name", packaged_spaces())
def test_no_packaged_space_has_one_and_each_is_checked_within_a_second(name: str) -> None:
    try:
        space = load_space(Path(name))
    except ValueError as error:
        pytest.skip(str(error))
    for preset in [*trainable_of(space.base).presets] or [""]:
        begun = time.process_time()
        assert ineffective_factor(space.with_preset(preset)) is None
        assert time.process_time() - begun < 1


def test_a_space_too_large_to_be_compared_is_let_through_at_once() -> None:
    names = ["learning_rate", "momentum", "weight_decay", "view_scale_min", "eval_step_255"]
    names = [name for name in names if name in TrialConfig.model_fields]
    many = [
        Factor(name=name, distribution=CategoricalDistribution([x / 40 for x in range(1, 13)])) for name in names[:4]
    ]
    begun = time.process_time()
    assert ineffective_factor(spec_of(*many, TEMPERATURE, design=Search(trials=2, sampler="tpe"))) is None
    assert time.process_time() - begun < 0.5
