"""The paper's claims in miniature: that their arms cost what the claim says; and the search for a better recipe."""

from pathlib import Path

import pytest

from study.spec import Ablation, Search, StudySpec
from study.spec.choices import check_space
from study.spec.load_space import load_space
from study.trainable import trainable_of
from trainables.presets import MINI
from trainables.trial_config import TrialConfig

FOLDER = Path(__file__).resolve().parents[2] / "search_spaces" / "mini"
SEARCH, FOUND, ABLATION = "better_recipe", "found_recipe", "ablate_found_recipe"
CLAIMS = sorted(path.stem for path in FOLDER.glob("[!_]*.py") if path.stem not in (SEARCH, FOUND, ABLATION))
PASSES = 16 * 10 * 3  # for each image, of CF-AMC-SSL with m = 3
UNEQUAL = {"PGD-5, 30 epochs (equal updates)": 16 * 30 * 6}


def load(space: str) -> StudySpec:
    return load_space(FOLDER / f"{space}.py").with_preset("mini")


def arms(space: str) -> dict[str, TrialConfig]:
    spec = load(space)
    assert spec.compares is not None
    return {name: spec.config(params, seed=0) for name, params in spec.compares.choices().items()}


@pytest.mark.parametrize("space", CLAIMS)
def test_arms_make_as_many_view_passes(space: str) -> None:
    spec = load(space)
    check_space(spec)
    assert spec.name == f"mini_{space}" and spec.seeds == (0, 1, 2)
    for name, config in arms(space).items():
        assert config.view_passes_per_image() * config.epochs == UNEQUAL.get(name, PASSES)
        assert (config.dataset, config.image_size, config.encoder) == ("cifar10", 16, "resnet_narrow")


def test_the_search_starts_from_the_recipe_that_it_is_to_beat() -> None:
    spec = load(SEARCH)
    check_space(spec)
    (reference,) = spec.references
    recipe = spec.config(reference, seed=0)
    assert recipe.effective() == arms("crops_vs_patches")["16 crops"].effective()
    cost = spec.objectives[-1]
    assert cost.name == "train_pflop" and cost.at_most is not None
    per_image = trainable_of(recipe).known_metrics(recipe)[cost.name]
    assert cost.at_most < 0.9 * per_image * MINI["train_images"] < 1.01 * cost.at_most


def test_what_was_found_costs_less_and_is_in_the_space_of_the_search() -> None:
    check_space(load(FOUND))
    first, *found = arms(FOUND).values()
    assert first.view_passes_per_image() * first.epochs == PASSES
    space = load(SEARCH)
    for config in found:
        assert config.view_passes_per_image() * config.epochs < PASSES
        # The search tried fewer lengths.
        values = {factor.name: getattr(config, factor.name) for factor in space.factors if factor.name != "epochs"}
        check_space(space.replace(design=Search(trials=1, believed=(values,))))


def test_the_ablation_is_between_the_recipes_that_are_compared() -> None:
    spec = load(ABLATION)
    check_space(spec)
    assert isinstance(spec.design, Ablation)
    wanted = [config.effective() for config in arms(FOUND).values()][:2]
    evaluated = {"eval_autoattack_samples": 200}
    ends = [spec.design.from_, spec.design.to]
    assert [end.model_copy(update=evaluated).effective() for end in ends] == wanted


def test_equal_updates() -> None:
    """Free training makes m of them on each batch."""
    for space in ("standard_is_not_robust", "free_vs_pgd"):
        counts = {name: c.epochs * (c.replays if c.adversary == "free" else 1) for name, c in arms(space).items()}
        assert {count for name, count in counts.items() if "equal passes" not in name} == {30}
