"""What a spec accepts, what it refuses and in which words; and that a journal gives back the spec written there."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError

from study.settings import explain
from study.spec import (
    SAMPLERS,
    Ablation,
    Budget,
    Confirmation,
    Constraint,
    Factor,
    Grid,
    LaptopPreset,
    MoAsha,
    NoStopping,
    Objective,
    PriorTrial,
    RayAsha,
    Search,
    StudySpec,
)
from study.spec.load_space import load_space, packaged_spaces
from study.trainable import trainable_of
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

MakeSpec = Callable[..., StudySpec]
CHOICES = CategoricalDistribution([1, 2])
KINDS = {
    "crop": {"view_scale_min": 0.08, "view_ratio_min": 0.75, "view_ratio_max": 1.33},
    "patch": {"view_scale_min": 0.2, "view_scale_max": 0.2, "view_ratio_min": 1.0, "view_ratio_max": 1.0},
}
VIEW_KIND = Factor(name="view_kind", levels=KINDS)
PRIORS = (PriorTrial({"num_views": 2}, (50.0, 20.0, 0.5)),)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "epochs"}, "factor 'epochs' needs either a distribution or levels"),
        ({"name": "epochs", "distribution": CHOICES, "levels": KINDS}, "needs either a distribution or levels"),
        ({"name": "epochs", "distribution": [1, 2]}, r"factor 'epochs': not a distribution of Optuna: \[1, 2\]"),
        ({"name": "epoch", "distribution": CHOICES}, "factor 'epoch': unknown field 'epoch'; did you mean epochs"),
        ({"name": "kind", "levels": {"a": {"num_view": 2}, "b": {"num_views": 3}}}, "'num_view'.*num_views"),
        ({"name": "epochs", "distribution": CHOICES, "when": {"adversry": ("free",)}}, "'adversry'.*adversary"),
        ({"name": "epochs", "distribution": CHOICES, "when": {"adversary": "free"}}, "must be a tuple of values"),
        ({"name": "epochs", "distribution": CHOICES, "when": {"replays": 3}}, "must be a tuple of values"),
        ({"name": "image_size", "distribution": CHOICES}, "image_size must be the same for all trials"),
        ({"name": "train_images", "distribution": CHOICES}, "train_images must be the same for all trials"),
        ({"name": "kind", "levels": {"a": {"epochs": 2}, "b": {"eval_samples": 50}}}, "eval_samples must be the same"),
        ({"name": "seed", "distribution": CHOICES}, "seed must be the same for all trials"),
        ({"name": "kind", "levels": {"a": {"epochs": 2}}}, "factor 'kind' needs at least two levels"),
        ({"name": "budget", "levels": KINDS}, "name of a column of the report: 'budget'"),
        ({"name": "test_clean", "levels": KINDS}, "name of a column of the report: 'test_clean'"),
        ({"name": "train_pflop", "levels": KINDS}, "name of a column of the report: 'train_pflop'"),
    ],
)
def test_impossible_factors_are_refused(make_spec: MakeSpec, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make_spec(factors=(Factor(**arguments),))
    assert re.search(message, explain(caught.value))


def test_levels_set_several_fields(make_spec: MakeSpec) -> None:
    spec = make_spec(factors=(VIEW_KIND,))
    assert VIEW_KIND.fields() == ["view_scale_min", "view_ratio_min", "view_ratio_max", "view_scale_max"]
    assert VIEW_KIND.domain() == CategoricalDistribution(["crop", "patch"])
    config = spec.config({"view_kind": "patch"}, seed=7)
    assert config == spec.base.replace(seed=7, **KINDS["patch"])
    assert spec.config({"view_kind": "crop"}, seed=0).view_scale_max == spec.base.view_scale_max


def test_extremes_are_all_categories_or_both_bounds() -> None:
    assert Factor(name="epochs", distribution=CategoricalDistribution([3, 1, 2])).extremes() == [3, 1, 2]
    assert Factor(name="epochs", distribution=IntDistribution(1, 9, step=2)).extremes() == [1, 9]
    assert Factor(name="learning_rate", distribution=FloatDistribution(1e-3, 1.0, log=True)).extremes() == [1e-3, 1.0]
    assert VIEW_KIND.extremes() == ["crop", "patch"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors": ()}, "at least one factor"),
        ({"base": TrialConfig(seed=3)}, "leave the seed to --seed"),
        ({"factors": (Factor(name="epochs", distribution=CHOICES),) * 2}, "different names"),
        ({"objectives": (Objective("val_clean", "maximize"),) * 2}, "objectives, each of them once: .*'val_clean'"),
        ({"objectives": ("val_cleen",)}, "unknown objective 'val_cleen'; trials report .*val_clean"),
        ({"seeds": (1, 1)}, r"seeds must be different, from 0 to 4294967295: \(1, 1\)"),
        (
            {"confirmation": Confirmation(settings={"epochs": 3})},
            "a confirmation may change the evaluation alone: epochs",
        ),
        ({"window": 2, "constraints": (Constraint("train_seconds", at_most=9),)}, "train_seconds is clocked"),
        (
            {"window": 2, "design": Search(trials=5, budget=Budget(spent={"train_seconds": 9}))},
            "train_seconds is clocked",
        ),
        ({"window": 2, "design": Search(trials=5, budget=Budget(hours=9))}, "hours are clocked"),
        *(
            (
                {"warm_start": PRIORS, "design": Search(trials=5, sampler=sampler)},
                f"tpe and gp and ehvi: sampler='{sampler}'",
            )
            for sampler in ("random", "qmc", "nsga2", "nsga3")
        ),
    ],
)
def test_impossible_specs_are_refused(make_spec: MakeSpec, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make_spec(**changes)
    assert re.search(message, explain(caught.value))


def test_impossible_designs_and_rungs_are_refused() -> None:
    for make, message in (
        (lambda: Search(trials=0), "trials=0"),
        (lambda: Search(trials=1, cheapest_of=0), "cheapest_of=0"),
        (lambda: Search(trials=1, sampler="grid"), "sampler must be one of tpe, .*random: sampler='grid'"),
        (lambda: Search(trials=1, sampler="tpe", believed=({"x": 1},)), "believed recipes are for the sampler ehvi"),
        (lambda: Search(trials=1, believed=({},)), "needs a value of at least one factor"),
        (lambda: MoAsha(first_rung=0), r"first_rung: .*greater than or equal to 1 \(got 0\)"),
        (lambda: RayAsha(first_rung=0), r"first_rung: .*greater than or equal to 1 \(got 0\)"),
        (lambda: MoAsha(first_rung=1, eta=1), r"eta: .*greater than or equal to 2 \(got 1\)"),
        (lambda: MoAsha(first_rung=1, audit=1.5), r"audit: .*less than or equal to 1 \(got 1.5\)"),
        (lambda: Budget(spent={"train_pflop": 0}), "a budget must be positive: train_pflop=0"),
        (lambda: Budget(hours=-1), "a budget must be positive: hours=-1"),
        (lambda: Confirmation(runs=-1), "runs=-1"),
    ):
        with pytest.raises(ValidationError) as caught:
            make()
        assert re.search(message, explain(caught.value))


def test_an_objective_by_name_has_the_direction_that_its_trainable_gives_it(make_spec: MakeSpec) -> None:
    spec = make_spec(objectives=("val_pgd_8", "train_pflop"))
    assert spec.objectives == (Objective("val_pgd_8", "maximize"), Objective("train_pflop", "minimize"))
    by_default = [objective.name for objective in make_spec().objectives]
    assert by_default == ["val_clean", "val_pgd_8", "train_pflop"]
    assert [objective.name for objective in make_spec(objectives=("val_clean",)).objectives] == ["val_clean"]


@pytest.mark.parametrize(
    ("direction", "bounds", "message"),
    [
        ("maximize", {"at_most": 90}, "objective 'val_clean': maximize takes no at_most, got at_most=90"),
        ("minimize", {"at_least": 3}, "objective 'val_clean': minimize takes no at_least, got at_least=3"),
        ("maximize", {"at_least": float("nan")}, "a bound must be a finite number, got nan"),
        ("minimize", {"at_most": float("inf")}, "a bound must be a finite number, got inf"),
    ],
)
def test_a_region_ends_on_the_worse_side(direction: str, bounds: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Objective("val_clean", direction, **bounds)  # type: ignore[arg-type]


def test_the_preset_replaces_what_it_names(make_spec: MakeSpec) -> None:
    factors = (Factor(name="epochs", distribution=CHOICES),)
    laptop = LaptopPreset(
        base={"momentum": 0.5},
        factors=factors,
        references=({"epochs": 2},),
        design=Search(trials=3),
        stopping=MoAsha(first_rung=2),
    )
    spec = make_spec(base=TrialConfig(), references=({"epochs": 3},), laptop=laptop)
    assert spec.with_preset("paper") == spec.replace(preset="paper") and spec.with_preset("") == spec
    with pytest.raises(ValueError, match="--preset must be one of laptop, mini, paper, authors: 'desktop'"):
        spec.with_preset("desktop")
    small = spec.with_preset("laptop")
    assert small.base == TrialConfig(**(LAPTOP | {"momentum": 0.5}))
    assert (small.factors, small.references, small.design) == (factors, ({"epochs": 2},), Search(trials=3))
    rungs = MoAsha(first_rung=2, objectives=("val_clean", "val_pgd_8"))
    assert (small.stopping, small.preset, small.name) == (rungs, "laptop", spec.name)
    plain = make_spec(base=TrialConfig(), references=({"epochs": 3},)).with_preset("laptop")
    assert (plain.factors, plain.references, plain.design) == (spec.factors, spec.references, spec.design)
    assert plain.stopping == NoStopping()


def test_a_preset_may_replace_what_the_laptop_preset_sets_too(make_spec: MakeSpec) -> None:
    spec = make_spec(base=TrialConfig(), laptop=LaptopPreset(base={"batch_size": 20}))
    assert spec.with_preset("laptop").base == TrialConfig(**(LAPTOP | {"batch_size": 20}))


def test_a_field_that_is_set_no_longer_varies(make_spec: MakeSpec) -> None:
    spec = make_spec().with_settings({"epochs": 3, "batch_size": 20})
    assert [factor.name for factor in spec.factors] == ["num_views", "adversary", "replays", "view_scale_min"]
    assert (spec.base.epochs, spec.base.batch_size) == (3, 20)


def test_references_are_trimmed_to_what_is_left_and_not_repeated(make_spec: MakeSpec) -> None:
    both = {"num_views": 4, "adversary": "none", "view_scale_min": 0.08}
    references = (both | {"epochs": 1}, both | {"epochs": 2}, both | {"num_views": 2, "epochs": 1})
    spec = make_spec(references=references).with_settings({"epochs": 3})
    assert spec.references == (both, both | {"num_views": 2})


def test_a_field_of_levels_cannot_be_set(make_spec: MakeSpec) -> None:
    spec = make_spec(factors=(VIEW_KIND, Factor(name="epochs", distribution=CHOICES)))
    with pytest.raises(ValueError, match="--set view_scale_max: the field is set by the levels of factor 'view_kind'"):
        spec.with_settings({"view_scale_max": 0.5})


def test_levels_named_like_a_field_stay(make_spec: MakeSpec) -> None:
    levels = Factor(name="encoder", levels={"small": {"projector_dim": 16}, "large": {"projector_dim": 64}})
    spec = make_spec(factors=(levels,)).with_settings({"encoder": "resnet18"})
    assert spec.factors == (levels,)


def test_setting_the_last_factor_is_refused(make_spec: MakeSpec) -> None:
    with pytest.raises(ValueError, match="at least one factor"):
        make_spec(factors=(Factor(name="epochs", distribution=CHOICES),)).with_settings({"epochs": 1})


def recorded(spec: StudySpec) -> StudySpec:
    """The spec as it comes out of a journal."""
    return StudySpec.recorded(json.loads(json.dumps(spec.model_dump(mode="json"), allow_nan=False)))


@pytest.mark.parametrize("design", [Search(trials=3), Grid()])
@pytest.mark.parametrize("stopping", [NoStopping(), MoAsha(first_rung=4)])
def test_a_plain_spec_is_equal_after_json(make_spec: MakeSpec, design: Search | Grid, stopping: Any) -> None:
    factors = (
        *make_spec().factors,
        VIEW_KIND,
        Factor(name="rung_probe_epochs", distribution=IntDistribution(1, 9, step=2)),
    )
    spec = make_spec(design=design, stopping=stopping, factors=factors, references=({"num_views": 2},))
    plain = spec.model_dump(mode="json")
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["design"]["kind"] == type(design).__name__
    assert plain["stopping"]["kind"] == type(stopping).__name__
    assert [factor["name"] for factor in plain["factors"]] == [factor.name for factor in factors]
    assert plain != make_spec(name="other").model_dump(mode="json")


def test_sequences_in_levels_are_plain_too(make_spec: MakeSpec) -> None:
    factor = Factor(name="radii", levels={"a": {"eval_radii_255": (4.0, 8.0)}, "b": {"eval_radii_255": (8.0,)}})
    spec = make_spec(factors=(factor,))
    plain = spec.model_dump(mode="json")
    assert json.loads(json.dumps(plain)) == plain
    again = recorded(spec)
    assert again.model_dump(mode="json") == plain
    assert [again.config({"radii": level}, 0) for level in "ab"] == [spec.config({"radii": level}, 0) for level in "ab"]


def load_packaged(name: str) -> StudySpec:
    try:
        return load_space(Path(name))
    except ValueError as error:
        if "comes with another package" in str(error):
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize("preset", ["paper", "laptop"])
@pytest.mark.parametrize("name", packaged_spaces())
def test_every_packaged_space_comes_back_from_its_journal(name: str, preset: str) -> None:
    spec = load_packaged(name)
    spec = spec.with_preset(preset if preset in trainable_of(spec.base).presets else "")
    again = recorded(spec)
    assert again.model_dump(mode="json") == spec.model_dump(mode="json")
    assert again.base == spec.base and type(again.base) is type(spec.base)
    assert (again.design, again.stopping, again.confirmation) == (spec.design, spec.stopping, spec.confirmation)
    assert [factor.domain() for factor in again.factors] == [factor.domain() for factor in spec.factors]
    arms = spec.compares.choices().values() if spec.compares else ()
    assert not [params for params in spec.references if params in arms], "trained twice with the same seed"


@pytest.mark.parametrize(
    "changes",
    [
        {"stopping": MoAsha(first_rung=2, eta=4, audit=0.2, objectives=("val_pgd_8",))},
        {"stopping": RayAsha(first_rung=3, objective="val_clean")},
        {"seeds": (3, 1), "window": 2},
        {"constraints": (Constraint("train_seconds", at_most=60),)},
        {"warm_start": (PriorTrial({"num_views": 2}, (50.0, 20.0, 0.5)),)},
        {"objectives": (Objective("val_pgd_8", "maximize"),)},
        {"objectives": (Objective("val_clean", "maximize", at_least=80), Objective("train_pflop", "minimize"))},
        {"references": ({"num_views": 2, "epochs": 1, "adversary": "none", "view_scale_min": 0.1},)},
        {"confirmation": Confirmation(runs=3, settings={"eval_restarts": 2})},
        {"confirmation": Confirmation(runs=3)},
        {"preset": "laptop"},
        {"factors": (VIEW_KIND, Factor(name="epochs", distribution=IntDistribution(1, 9, log=True)))},
        {"factors": (Factor(name="replays", distribution=CHOICES, when={"adversary": ("free", "pgd")}),)},
        {"base": TrialConfig(method="simclr", num_views=2, batch_size=100, eval_radii_255=(2.5, 8.0))},
        {"design": Grid()},
        *({"design": Search(trials=9, sampler=sampler)} for sampler in SAMPLERS),
        {"design": Search(trials=9, cheapest_of=4, budget=Budget(spent={"train_pflop": 3, "view_passes": 9}, hours=8))},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_every_part_comes_back_from_the_journal(make_spec: MakeSpec, changes: dict[str, Any]) -> None:
    spec = make_spec(**changes)
    again = recorded(spec)
    assert again.model_dump(mode="json") == spec.model_dump(mode="json")
    for name in changes:
        found, expected = getattr(again, name), getattr(spec, name)
        if name == "factors":
            found, expected = ([(f.domain(), f.levels, f.when) for f in factors] for factors in (found, expected))
        assert found == expected


def test_an_ablation_comes_back_from_the_journal() -> None:
    ends = TrialConfig(adversary="none"), TrialConfig(adversary="pgd", learning_rate=0.1, momentum=0.5)
    design = Ablation(
        from_=ends[0], to=ends[1], groups={"optimiser": ("learning_rate", "momentum")}, objective="val_clean",
        greedy=False,
    )  # fmt: skip
    spec = StudySpec(name="a", question="?", design=design)
    again = recorded(spec)
    assert again.design == spec.design and again.base == ends[0]
    assert again.model_dump(mode="json") == spec.model_dump(mode="json")


def test_what_the_journal_has_besides_the_spec_is_left_aside(make_spec: MakeSpec) -> None:
    plain = make_spec().model_dump(mode="json") | {"seed": 3, "data_checksum": "abc", "metrics": []}
    assert StudySpec.recorded(plain) == recorded(make_spec())


def test_parts_of_another_version_are_named(make_spec: MakeSpec) -> None:
    plain = make_spec().model_dump(mode="json")
    for changes, message in (
        ({"stopping": {"kind": "Psychic"}}, "stopping: .*'Psychic'"),
        ({"stopping": {"kind": "MoAsha", "first_rung": 1, "sharpness": 3}}, "sharpness: "),
        ({"base": plain["base"] | {"num_horns": 2}}, "num_horns"),
        ({"design": None}, "design: "),
        ({"trainable": "nowhere:NOTHING"}, "no trainable 'nowhere:NOTHING'"),
    ):
        with pytest.raises(ValueError, match=f"^this version does not accept the recorded spec: .*{message}") as caught:
            StudySpec.recorded(plain | changes)
        assert "\n" not in str(caught.value)
    for name in ("name", "question"):
        with pytest.raises(
            ValueError, match=f"^this version does not accept the recorded spec: {name}: Field required"
        ):
            StudySpec.recorded({part: value for part, value in plain.items() if part != name})


SIMCLR = {"method": "simclr", "num_views": 2, "batch_size": 100}


def test_an_ablation_keeps_the_number_of_views_of_a_method_under_a_preset() -> None:
    ends = TrialConfig(**SIMCLR), TrialConfig(**(SIMCLR | {"adversary": "pgd", "learning_rate": 0.1}))
    spec = StudySpec(name="a", question="?", design=Ablation(from_=ends[0], to=ends[1])).with_preset("laptop")
    assert isinstance(spec.design, Ablation)
    assert spec.design.from_.num_views == spec.design.to.num_views == 2
    assert spec.design.from_.dataset == LAPTOP["dataset"]


def test_the_base_of_a_laptop_preset_holds_for_both_ends_of_an_ablation() -> None:
    design = Ablation(from_=TrialConfig(adversary="none"), to=TrialConfig(adversary="pgd", learning_rate=0.1))
    laptop = LaptopPreset(base={"train_images": 77})
    spec = StudySpec(name="a", question="?", design=design, laptop=laptop).with_preset("laptop")
    assert isinstance(spec.design, Ablation)
    assert [end.train_images for end in (spec.design.from_, spec.design.to, spec.base)] == [77] * 3


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"speed": ("learning_rat",)}, "unknown field 'learning_rat'"),
        ({"adversary": ("learning_rate",)}, "name of a field that is not in it: 'adversary'"),
        ({"a": ("learning_rate",), "b": ("learning_rate",)}, "must not share fields"),
    ],
)
def test_groups_of_an_ablation_are_checked(groups: dict[str, tuple[str, ...]], message: str) -> None:
    ends = TrialConfig(adversary="none"), TrialConfig(adversary="pgd", learning_rate=0.1, momentum=0.5)
    with pytest.raises(ValueError, match=message):
        Ablation(from_=ends[0], to=ends[1], groups=groups)


def test_a_factor_of_an_ablation_has_an_effect_at_both_ends() -> None:
    """Alone it would be the same config again; together with what it depends on it makes a difference."""
    ends = TrialConfig(adversary="pgd", replays=5, learning_rate=0.1), TrialConfig(adversary="free", replays=3)
    with pytest.raises(ValueError, match="'replays' changes nothing where the other fields are as in from_"):
        Ablation(from_=ends[0], to=ends[1])
    with pytest.raises(ValueError, match="'replays' changes nothing where the other fields are as in to"):
        Ablation(from_=ends[1], to=ends[0])
    grouped = Ablation(from_=ends[0], to=ends[1], groups={"adversary": ("adversary", "replays")})
    assert {factor.name for factor in grouped.factors()} == {"adversary", "learning_rate"}
