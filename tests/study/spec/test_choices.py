"""Enumeration and check of spaces."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from study.spec import (
    Budget,
    Comparison,
    Confirmation,
    Factor,
    Grid,
    MoAsha,
    Objective,
    Params,
    RayAsha,
    Search,
    StudySpec,
)
from study.spec.choices import check_space, draw, enumerate_grid, share_excluded, whole_grid
from study.spec.load_space import load_space
from study.trainable import trainable_of
from trainables.presets import PRESETS

MakeSpec = Callable[..., StudySpec]
SPACES = sorted((Path(__file__).resolve().parents[3] / "search_spaces").rglob("[!_]*.py"))
VIEWS = Factor(name="num_views", distribution=CategoricalDistribution([2, 4, 8]))
ADVERSARY = Factor(name="adversary", distribution=CategoricalDistribution(["free", "pgd", "none"]))
REPLAYS = Factor(name="replays", distribution=CategoricalDistribution([2, 3]), when={"adversary": ("free",)})
PGD_STEPS = Factor(name="pgd_steps", distribution=IntDistribution(1, 5, step=2), when={"adversary": ("pgd",)})


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_shipped_space_is_possible(path: Path, preset: str) -> None:
    try:
        spec = load_space(path)
    except ValueError as error:
        if "comes with another package" not in str(error):
            raise
        pytest.skip(str(error))
    check_space(spec.with_preset(preset if preset in trainable_of(spec.base).presets else ""))
    assert spec.question.endswith("?")


def test_a_grid_has_every_combination_once(make_spec: MakeSpec) -> None:
    grid = enumerate_grid(make_spec(factors=(VIEWS, ADVERSARY, REPLAYS, PGD_STEPS), design=Grid()))
    expected = [
        {"num_views": views, "adversary": adversary} | extra
        for views in (2, 4, 8)
        for adversary, extras in (
            ("free", [{"replays": 2}, {"replays": 3}]),
            ("pgd", [{"pgd_steps": 1}, {"pgd_steps": 3}, {"pgd_steps": 5}]),
            ("none", [{}]),
        )
        for extra in extras
    ]
    assert len(grid) == len(expected) == 18
    assert all(grid.count(params) == 1 for params in expected)


def test_a_condition_holds_by_the_base_or_by_levels(make_spec: MakeSpec) -> None:
    base = make_spec().base.replace(adversary="free")
    assert enumerate_grid(make_spec(base=base, factors=(REPLAYS,))) == [{"replays": 2}, {"replays": 3}]
    assert enumerate_grid(make_spec(base=base.replace(adversary="none"), factors=(VIEWS, REPLAYS))) == [
        {"num_views": views} for views in (2, 4, 8)
    ]
    recipe = Factor(name="recipe", levels={"a": {"adversary": "free"}, "b": {"adversary": "none", "epochs": 1}})
    assert enumerate_grid(make_spec(factors=(recipe, REPLAYS))) == [
        {"recipe": "a", "replays": 2},
        {"recipe": "a", "replays": 3},
        {"recipe": "b"},
    ]


def test_a_grid_begins_with_the_references(make_spec: MakeSpec) -> None:
    stepped = Factor(name="view_scale_min", distribution=FloatDistribution(0.1, 0.5, step=0.1))
    references = ({"view_scale_min": 0.3}, {"view_scale_min": 0.1})
    grid = enumerate_grid(make_spec(factors=(stepped,), references=references))
    assert grid == [{"view_scale_min": value} for value in (0.3, 0.1, 0.2, 0.4, 0.5)]


def test_floats_in_a_grid_need_a_step(make_spec: MakeSpec) -> None:
    stepped = Factor(name="view_scale_min", distribution=FloatDistribution(0.1, 0.5, step=0.1))
    values = [params["view_scale_min"] for params in enumerate_grid(make_spec(factors=(stepped,)))]
    assert values == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5], rel=1e-12)
    for distribution in (FloatDistribution(0.1, 0.5), IntDistribution(1, 8, log=True)):
        name = "view_scale_min" if isinstance(distribution, FloatDistribution) else "epochs"
        spec = make_spec(factors=(Factor(name=name, distribution=distribution),), design=Grid())
        with pytest.raises(ValueError, match=f"factor '{name}': a grid needs categories, or a step"):
            check_space(spec)


@pytest.mark.parametrize("adversary", ["free", "none"])
def test_drawing_leaves_out_what_is_inactive(make_spec: MakeSpec, adversary: str) -> None:
    fixed = optuna.trial.FixedTrial(
        {"num_views": 4, "epochs": 2, "adversary": adversary, "replays": 3, "view_scale_min": 0.25}
    )
    params = draw(fixed, make_spec())  # type: ignore[arg-type]
    assert list(params) == ["num_views", "epochs", "adversary", *["replays"] * (adversary == "free"), "view_scale_min"]


def test_an_impossible_combination_is_named(make_spec: MakeSpec) -> None:
    method = Factor(name="method", distribution=CategoricalDistribution(["emp_ssl", "simclr"]))
    with pytest.raises(ValueError, match=r"impossible config \(num_views=4, method='simclr'\): num_views must be 2"):
        check_space(make_spec(factors=(VIEWS, method)))
    check_space(make_spec(factors=(VIEWS, Factor(name="method", distribution=CategoricalDistribution(["emp_ssl"])))))
    too_far = Factor(name="learning_rate", distribution=FloatDistribution(-0.1, 1.0))
    with pytest.raises(ValueError, match=r"learning_rate=-0.1\): learning_rate: .*greater than 0"):
        check_space(make_spec(factors=(too_far,)))


def test_an_unknown_objective_is_named_with_the_known_ones(make_spec: MakeSpec) -> None:
    objectives = (Objective("val_clean", "maximize"), Objective("val_pgd", "maximize"))
    with pytest.raises(ValueError, match=r"unknown objective 'val_pgd'; trials report .*val_clean.*val_pgd_8"):
        check_space(make_spec(objectives=objectives))


def test_what_the_rungs_compare_must_be_reported_there_and_sought(make_spec: MakeSpec) -> None:
    check_space(make_spec(stopping=MoAsha(first_rung=2)))
    objectives = (Objective("val_clean", "maximize"), Objective("val_pgd_4", "maximize"))
    at_rungs = MoAsha(first_rung=2, objectives=("val_clean", "val_pgd_4"))
    with pytest.raises(ValueError, match="unknown objective of the early stopping 'val_pgd_4'; trials report"):
        check_space(make_spec(objectives=objectives, stopping=at_rungs))
    with pytest.raises(ValueError, match="compares 'val_pgd_8', which is no objective of the study"):
        check_space(make_spec(objectives=objectives, stopping=MoAsha(first_rung=2, objectives=("val_pgd_8",))))


def test_rungs_compare_by_default_what_they_see_but_cost(make_spec: MakeSpec) -> None:
    names = ("val_clean", "val_pgd_4", "val_pgd_8", "train_pflop")
    objectives = tuple(Objective(name, "minimize" if name == "train_pflop" else "maximize") for name in names)
    spec = make_spec(objectives=objectives, stopping=MoAsha(first_rung=2))
    check_space(spec)
    assert spec.stopping.compared == ("val_clean", "val_pgd_8"), "rungs attack at one radius alone"
    assert make_spec(objectives=objectives, stopping=RayAsha(first_rung=2)).stopping.compared == ("val_pgd_4",)


def test_what_only_rungs_measure_is_no_objective(make_spec: MakeSpec) -> None:
    base = make_spec().base.replace(rung_radii_255=(2.0, 8.0))
    objectives = (Objective("val_clean", "maximize"), Objective("val_pgd_2", "maximize"))
    with pytest.raises(ValueError, match=r"unknown objective 'val_pgd_2'; trials report .*val_pgd_16"):
        check_space(make_spec(base=base, objectives=objectives))


def test_only_costs_have_a_budget(make_spec: MakeSpec) -> None:
    check_space(make_spec(design=Search(trials=3, budget=Budget(spent={"train_seconds": 9}))))
    with pytest.raises(ValueError, match="unknown cost of a budget 'val_clean'; trials report train_pflop, "):
        check_space(make_spec(design=Search(trials=3, budget=Budget(spent={"val_clean": 9}))))


def test_a_confirmation_that_is_impossible_is_refused_where_there_are_confirmations(make_spec: MakeSpec) -> None:
    """AutoAttack does not attack views, but nobody asks it to where no trial is confirmed."""
    base = make_spec().base.replace(probe="n_views", probe_threat="per_view", probe_views=2)
    check_space(make_spec(base=base))
    with pytest.raises(ValueError, match="AutoAttack perturbs images"):
        check_space(make_spec(base=base, confirmation=Confirmation(runs=1)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_views": 16}, "num_views=16 is not in CategoricalDistribution"),
        ({"view_scale_min": 0.6}, "view_scale_min=0.6 is not in FloatDistribution"),
        ({"adversary": "none"}, "exactly these factors: num_views, epochs, adversary, view_scale_min"),
        ({"momentum": 0.5}, "'momentum', which is no factor"),
    ],
)
def test_a_reference_must_be_of_the_space(make_spec: MakeSpec, changes: dict[str, object], message: str) -> None:
    reference = {"num_views": 4, "epochs": 2, "adversary": "free", "replays": 3, "view_scale_min": 0.5}
    check_space(make_spec(references=(reference,)))
    with pytest.raises(ValueError, match=message):
        check_space(make_spec(references=(reference | changes,)))
    with pytest.raises(ValueError, match="exactly these factors"):
        check_space(make_spec(references=({"num_views": 4},)))


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"num_views": 16}, "num_views=16 is not in CategoricalDistribution"),
        ({"momentum": 0.5}, "'momentum' is no factor of the study: num_views, epochs"),
    ],
)
def test_a_believed_recipe_must_be_of_the_space(make_spec: MakeSpec, recipe: Params, message: str) -> None:
    check_space(make_spec(design=Search(trials=3, believed=({"num_views": 4},))))
    with pytest.raises(ValueError, match=message):
        check_space(make_spec(design=Search(trials=3, believed=({"num_views": 4}, recipe))))


@pytest.mark.parametrize("adversary", ["none", "pgd", "free"])
def test_fixing_the_condition_of_another_factor_leaves_a_possible_space(adversary: str) -> None:
    """As ``--set adversary=...`` on the shipped space: its references have ``replays`` only where they are active."""
    shipped = load_space(SPACES[[path.stem for path in SPACES].index("crops_vs_epochs")])
    check_space(shipped.with_preset("laptop").with_settings({"adversary": adversary}))


def test_a_grid_has_nothing_that_is_excluded(make_spec: MakeSpec) -> None:
    spec = make_spec(factors=make_spec().factors[:4], design=Grid(), excluded=("num_views * epochs > 8",))
    grid = enumerate_grid(spec)
    assert {(params["num_views"], params["epochs"]) for params in grid} == {
        (2, 1),
        (2, 2),
        (2, 3),
        (4, 1),
        (4, 2),
        (8, 1),
    }
    assert len(whole_grid(spec)) == 27 and len(grid) == 18 and share_excluded(spec) == 9 / 27


def test_an_impossible_combination_may_be_excluded(make_spec: MakeSpec) -> None:
    factors = (
        Factor(name="method", distribution=CategoricalDistribution(["emp_ssl", "simclr"])),
        Factor(name="num_views", distribution=CategoricalDistribution([2, 4])),
    )
    with pytest.raises(ValueError, match="impossible config"):
        check_space(make_spec(factors=factors))
    check_space(make_spec(factors=factors, excluded=("method == 'simclr' and num_views != 2",)))


@pytest.mark.parametrize("design", [Grid(), Search(trials=3)])
def test_a_space_of_which_everything_is_excluded_is_refused(make_spec: MakeSpec, design: Grid | Search) -> None:
    spec = make_spec(factors=make_spec().factors[:4], design=design, excluded=("num_views > 2", "epochs >= 1"))
    with pytest.raises(ValueError, match="everything in the space is excluded: num_views > 2 or epochs >= 1"):
        check_space(spec)
    check_space(spec.replace(excluded=spec.excluded[:1]))


def test_the_share_that_is_excluded_of_a_search_is_an_estimate(make_spec: MakeSpec) -> None:
    factors = (
        Factor(name="view_scale_min", distribution=FloatDistribution(0.01, 1.0, log=True)),
        Factor(name="epochs", distribution=IntDistribution(1, 9, step=2)),
    )
    spec = make_spec(factors=factors, excluded=("view_scale_min > 0.1",))
    assert share_excluded(spec) == pytest.approx(0.5, abs=0.05)
    assert share_excluded(spec.replace(excluded=("epochs == 3",))) == pytest.approx(0.2, abs=0.1)
    assert share_excluded(spec.replace(excluded=("epochs % 2 == 0",))) == 0


def test_a_reference_or_an_arm_must_not_be_excluded(make_spec: MakeSpec) -> None:
    params = {"num_views": 8, "epochs": 2, "adversary": "none", "view_scale_min": 0.2}
    arms = Comparison(arms={"few": {"num_views": 2}, "many": {"num_views": 8}}, given=dict(list(params.items())[1:]))
    for changes in ({"references": (params,)}, {"compares": arms}):
        check_space(make_spec(**changes))
        with pytest.raises(ValueError, match=r"reference or arm \{.*8.*\} is excluded by 'num_views \* epochs > 8'"):
            check_space(make_spec(**changes, excluded=("num_views * epochs > 8",)))


def test_what_cannot_be_computed_is_refused_before_anything_runs(make_spec: MakeSpec) -> None:
    with pytest.raises(ValueError, match="'method / 2 > 1' cannot be computed where method='emp_ssl'"):
        check_space(make_spec(excluded=("method / 2 > 1",)))
