"""The spaces of the paper's tables and figures: what they train, counted against the paper's text."""

from pathlib import Path
from typing import Any

import pytest

from search_spaces.paper._recipes import name_of
from study.spec import StudySpec
from study.spec.choices import check_space, enumerate_grid
from study.spec.load_space import load_space
from trainables.trial_config import TrialConfig

FOLDER = Path(__file__).resolve().parents[2] / "search_spaces" / "paper"
# Item -> how many configurations it has; each is run with three seeds, on a laptop with one.
ITEMS = {
    "table1": 7, "table2": 2 * 3, "table3": 2 * 2, "table4": 10, "table4_imagenet100": 4, "table5": 4, "table6": 6,
    "figure2": 8, "figure3": 4 * 3, "figure4": 4 * 3, "figure5": 2 * 4 * 2,
}  # fmt: skip


def load(item: str) -> StudySpec:
    return load_space(FOLDER / f"{item}.py")


def configs(item: str, preset: str = "paper") -> list[TrialConfig]:
    spec = load(item).with_preset(preset)
    return [spec.config(params, seed=0) for params in enumerate_grid(spec)]


def of_method(item: str, method: str) -> list[TrialConfig]:
    return [config for config in configs(item) if config.method == method]


def passes(config: TrialConfig) -> int:
    """View passes that the whole training takes for each image."""
    return config.view_passes_per_image() * config.epochs


def test_every_item_is_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "_recipes"} == set(ITEMS)


@pytest.mark.parametrize("preset", ["paper", "laptop"])
@pytest.mark.parametrize("item", ITEMS)
def test_a_space_has_as_many_different_trials_as_its_item_has_rows(item: str, preset: str) -> None:
    spec = load(item).with_preset(preset)
    check_space(spec)
    assert spec.name == f"paper_{item}"
    assert len({config.content_hash() for config in configs(item, preset)}) == ITEMS[item]
    assert spec.seeds == ((0, 1, 2) if preset == "paper" else (0,))


@pytest.mark.parametrize("item", ITEMS)
def test_a_laptop_can_run_it(item: str) -> None:
    for config in configs(item, "laptop"):
        assert (config.dataset, config.encoder, config.image_size) == ("digits", "resnet_narrow", 16)
        assert config.batch_size == 50 and config.eval_autoattack_samples <= 20
        assert config.probe != "n_views" or config.probe_views <= 8
        assert passes(config) <= 6 * 6 * 6


@pytest.mark.parametrize("preset", ["paper", "laptop"])
@pytest.mark.parametrize("item", ITEMS)
def test_a_level_is_named_after_what_it_trains(item: str, preset: str) -> None:
    """Also on a laptop, where a row of the paper is left with fewer views and epochs."""
    spec = load(item).with_preset(preset)
    for params in enumerate_grid(spec):
        config = spec.config(params, seed=0)
        assert params["recipe"] == name_of(config.model_dump())
        assert f", {config.epochs} epoch" in params["recipe"]


@pytest.mark.parametrize("item", ITEMS)
def test_recipes(item: str) -> None:
    wanted: dict[str, dict[str, Any]] = {
        "emp_ssl": {"batch_size": 100, "projector_dim": 1024, "augmentation": "emp_ssl"},
        "simclr": {"batch_size": 512, "projector_dim": 128, "augmentation": "simclr", "num_views": 2},
        "supervised": {"num_views": 1, "probe": "own_head"},
    }
    for config in configs(item):
        found = config.model_dump()
        assert wanted[config.method].items() <= found.items()
        assert config.eval_radii_255 == (4, 8, 16) and config.eval_pgd_steps == 20 and config.eval_step_255 == 2.55
        assert (config.attack_radius_255, config.attack_step_255, config.pgd_steps) == (8, 2.55, 5)
        assert (config.learning_rate, config.momentum, config.weight_decay) == (0.3, 0.9, 1e-4)
        assert config.projector_hidden_dim == 4096
        if not item.startswith("figure5") and config.method == "emp_ssl":
            assert config.num_views == 16


def test_probes() -> None:
    for item in ("table1", "table4", "table4_imagenet100", "table5", "table6"):
        assert {config.probe for config in configs(item) if config.method != "supervised"} == {"robust_central"}
    probes = [(config.probe, config.probe_views) for config in configs("table2")]
    assert probes == 2 * [("central", 32), ("n_views", 32), ("n_views", 64)]
    assert [config.probe for config in configs("table3")] == 2 * ["central", "robust_central"]
    assert {config.probe for config in configs("figure2")} == {"central"}


def test_probes_share_their_encoders() -> None:
    for item, encoders in (("table2", 2), ("table3", 2), ("figure3", 4), ("figure4", 4), ("figure5", 8)):
        assert len({config.pretraining_hash() for config in configs(item)}) == encoders


def test_table_4() -> None:
    free = [config for config in of_method("table4", "emp_ssl") if config.adversary == "free"]
    assert [(config.replays, config.epochs) for config in free] == [(3, 10), (5, 6), (5, 18), (12, 10)]
    # One pass of a view is one forward and backward pass; an update is one replay of a batch.
    assert [passes(config) / config.num_views for config in free] == [30, 30, 90, 120]
    assert [config.updates_per_batch() * config.epochs for config in free] == [30, 30, 90, 120]
    (pgd,) = (config for config in of_method("table4", "emp_ssl") if config.adversary == "pgd")
    assert (passes(pgd) / pgd.num_views, pgd.updates_per_batch() * pgd.epochs) == (180, 30)
    pgd, *free = of_method("table4", "simclr")
    # The clean view is never attacked: 2 + k passes an image.
    assert (pgd.adversary, passes(pgd)) == ("pgd", 500 * (2 + 5))
    assert [(config.replays, config.epochs) for config in free] == [(3, 167), (5, 100)]
    assert [config.updates_per_batch() * config.epochs for config in free] == [501, 500]
    supervised = of_method("table4", "supervised")
    assert [(config.replays, config.epochs, passes(config)) for config in supervised] == [(3, 300, 900), (7, 300, 2100)]


def test_the_other_tables() -> None:
    table1 = [(c.method, c.adversary, c.view_scale_min, c.epochs) for c in configs("table1")]
    assert table1 == [
        ("emp_ssl", "pgd", 0.25, 30), ("emp_ssl", "pgd", 0.08, 30), ("simclr", "pgd", 0.08, 500),
        ("simclr", "pgd", 0.25, 500), ("emp_ssl", "free", 0.25, 10), ("simclr", "free", 0.08, 167),
        ("emp_ssl", "free", 0.08, 10),
    ]  # fmt: skip
    assert {(c.method, c.adversary, c.view_scale_max, c.epochs) for c in configs("table2")} == {
        ("simclr", "none", 1.0, 500),
        ("emp_ssl", "none", 0.25, 30),
    }
    assert [(c.encoder, c.method, c.replays, c.epochs) for c in configs("table5")] == [
        ("resnet50", "emp_ssl", 7, 9), ("resnet50", "emp_ssl", 3, 10),
        ("resnet50", "simclr", 7, 150), ("resnet50", "simclr", 3, 150),
    ]  # fmt: skip
    assert {config.eval_autoattack_samples for config in configs("table6")} == {10_000}
    in_table4 = {config.pretraining_hash() for config in configs("table4")}
    assert {config.pretraining_hash() for config in configs("table6")} <= in_table4


def test_imagenet_100() -> None:
    found = configs("table4_imagenet100")
    assert {(c.dataset, c.image_size, c.encoder, c.stem) for c in found} == {("imagefolder", 224, "resnet18", "auto")}
    assert [(c.method, c.replays, c.epochs) for c in found] == [
        ("emp_ssl", 5, 6), ("emp_ssl", 5, 10), ("simclr", 3, 167), ("simclr", 5, 100),
    ]  # fmt: skip


def test_figure_5_varies_the_number_of_views_alone() -> None:
    found = {(c.view_scale_min, c.num_views, c.probe) for c in configs("figure5")}
    assert found == {(s, n, p) for s in (0.08, 0.25) for n in (4, 8, 16, 32) for p in ("central", "n_views")}
    assert {(c.method, c.adversary, c.epochs) for c in configs("figure5")} == {("emp_ssl", "pgd", 30)}


def test_view_sizes_of_the_figures() -> None:
    def scales(item: str, method: str) -> list[tuple[float, float]]:
        return list(dict.fromkeys((c.view_scale_min, c.view_scale_max) for c in of_method(item, method)))

    patches, crops = [(0.08, 1), (0.25, 0.25), (0.5, 0.5), (0.75, 0.75)], [(0.25, 0.25), (0.08, 1), (0.25, 1), (0.5, 1)]
    assert scales("figure2", "simclr") == scales("figure3", "simclr") == patches
    assert scales("figure2", "emp_ssl") == scales("figure4", "emp_ssl") == crops
