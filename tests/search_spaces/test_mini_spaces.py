"""The paper's claims in miniature: that their arms cost what the claim says."""

from pathlib import Path

import pytest

from study.spec import StudySpec
from study.spec.choices import check_space
from study.spec.load_space import load_space
from trainables.trial_config import TrialConfig

FOLDER = Path(__file__).resolve().parents[2] / "search_spaces" / "mini"
SPACES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
PASSES = 16 * 10 * 3  # for each image, of CF-AMC-SSL with m = 3
UNEQUAL = {"PGD-5, 30 epochs (equal updates)": 16 * 30 * 6}


def load(space: str) -> StudySpec:
    return load_space(FOLDER / f"{space}.py").with_preset("mini")


def arms(space: str) -> dict[str, TrialConfig]:
    spec = load(space)
    assert spec.compares is not None
    return {name: spec.config(params, seed=0) for name, params in spec.compares.choices().items()}


@pytest.mark.parametrize("space", SPACES)
def test_arms_make_as_many_view_passes(space: str) -> None:
    spec = load(space)
    check_space(spec)
    assert spec.name == f"mini_{space}" and spec.seeds == (0, 1, 2)
    for name, config in arms(space).items():
        assert config.view_passes_per_image() * config.epochs == UNEQUAL.get(name, PASSES)
        assert (config.dataset, config.image_size, config.encoder) == ("cifar10", 16, "resnet_narrow")


def test_equal_updates() -> None:
    """Free training makes m of them on each batch."""
    for space in ("standard_is_not_robust", "free_vs_pgd"):
        counts = {name: c.epochs * (c.replays if c.adversary == "free" else 1) for name, c in arms(space).items()}
        assert {count for name, count in counts.items() if "equal passes" not in name} == {30}
