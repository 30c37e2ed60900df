"""Configs: which are equal, which are refused and how, and how they are written and read."""

import json
import shlex
from typing import Any

import pytest
from pydantic import ValidationError

from study.settings import explain, parse_settings
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import (
    INEFFECTIVE,
    LAPTOP,
    PRESETS,
    TrialConfig,
    command_line,
    resolve_paths,
)

SIMCLR = {"method": "simclr", "num_views": 2}


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({"adversary": "none"}, {"replays": 12}),
        ({"adversary": "none"}, {"attack_radius_255": 16.0}),
        ({"adversary": "none"}, {"gradient_leak": True}),
        ({"adversary": "none"}, {"attack_norm": "l2"}),
        ({"eval_autoattack_samples": 0}, {"eval_autoattack_split": "both"}),
        ({"adversary": "pgd"}, {"replays": 12}),
        ({"adversary": "pgd"}, {"perturbation": "reset"}),
        ({"adversary": "free"}, {"pgd_steps": 7}),
        ({"adversary": "free"}, {"attack_batchnorm": "eval"}),
        ({}, {"temperature": 0.5}),
        (SIMCLR, {"invariance_weight": 1.0}),
        ({"probe": "central"}, {"probe_attack_steps": 9}),
        ({"adversary": "free", "free_step": "radius"}, {"attack_step_255": 1.0}),
        ({"adversary": "free", "replays": 1}, {"lr_horizon": "batches"}),
        ({"probe": "robust_central"}, {"probe_views": 4}),
        ({"probe": "n_views"}, {"eval_eot_samples": 2}),
        ({"method": "supervised", "num_views": 1, "probe": "own_head"}, {"projector_dim": 4}),
        ({"dataset": "digits"}, {"data_root": "elsewhere"}),
        ({"dataset": "cifar10"}, {"data_root": "elsewhere"}),
    ],
)
def test_hash_ignores_what_has_no_effect(base: dict[str, Any], change: dict[str, Any]) -> None:
    config = TrialConfig(**base)
    changed = config.replace(**change)
    assert changed != config
    assert changed.content_hash() == config.content_hash()
    assert changed.pretraining_hash() == config.pretraining_hash()


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({"adversary": "free"}, {"replays": 12}),
        ({"adversary": "free"}, {"attack_step_255": 1.0}),
        ({"adversary": "free"}, {"lr_horizon": "batches"}),
        ({"adversary": "free"}, {"perturbation": "reset"}),
        ({"adversary": "pgd"}, {"pgd_steps": 7}),
        ({"adversary": "pgd"}, {"attack_batchnorm": "eval"}),
        ({"adversary": "pgd"}, {"attack_radius_255": 16.0}),
        ({"adversary": "pgd"}, {"attack_norm": "l2"}),
        (SIMCLR, {"temperature": 0.5}),
        ({}, {"invariance_weight": 1.0}),
        ({}, {"seed": 1}),
        ({}, {"split_seed": 1}),
        ({}, {"train_images": 1000}),
        ({"adversary": "none"}, {"adversary": "free"}),
        ({"dataset": "imagefolder"}, {"data_root": "elsewhere"}),
    ],
)
def test_hash_counts_what_has_an_effect(base: dict[str, Any], change: dict[str, Any]) -> None:
    config = TrialConfig(**base)
    changed = config.replace(**change)
    assert changed.content_hash() != config.content_hash()
    assert changed.pretraining_hash() != config.pretraining_hash()


@pytest.mark.parametrize(
    "change",
    [
        {"probe": "central"},
        {"probe_layer": "backbone"},
        {"probe_attack_steps": 9},
        {"eval_radii_255": (2.0,)},
        {"eval_samples": 100},
        {"eval_autoattack_samples": 10},
        {"rung_images": 100},
        {"rung_radii_255": (4.0,)},
        {"probe_attack_norm": "l2"},
        {"eval_l2_radii_255": (128.0,)},
        {"eval_corruptions": "generated"},
        {"probe_dataset": "cifar100"},
    ],
)
def test_pretraining_hash_ignores_probe_and_evaluation(change: dict[str, Any]) -> None:
    config = TrialConfig()
    assert config.replace(**change).pretraining_hash() == config.pretraining_hash()
    assert config.replace(**change).content_hash() != config.content_hash()


EARLIER_HASHES = {"paper": "01a6a7c8dfcbd757", "laptop": "661a8af9b77b42b9"}  # before there were losses to choose


@pytest.mark.parametrize("preset", PRESETS)
def test_a_config_of_an_earlier_version_has_the_hash_that_it_had(preset: str) -> None:
    config = TrialConfig(**PRESETS[preset], eval_losses=("cross_entropy",))
    assert config.content_hash() == EARLIER_HASHES[preset]
    later = {"eval_losses": ("margin",), "eval_checks": "all"}
    hashes = {config.replace(**{name: value}).content_hash() for name, value in later.items()}
    assert len(hashes | {config.content_hash(), TrialConfig(**PRESETS[preset]).content_hash()}) == 4


def test_a_config_recorded_without_a_field_means_what_was_done_then() -> None:
    plain = TrialConfig().model_dump(mode="json")
    assert ROBUST_SSL.recorded(plain) == TrialConfig()
    earlier = {name: value for name, value in plain.items() if name not in ("eval_losses", "eval_checks")}
    assert ROBUST_SSL.recorded(earlier) == TrialConfig(eval_losses=("cross_entropy",))
    assert {metric.label for metric in ROBUST_SSL.metrics(ROBUST_SSL.recorded(earlier)) if metric.is_headline} == {
        f"robust accuracy, PGD-20 (cross-entropy) at {radius}/255" for radius in (4, 8, 16)
    }


def test_losses_must_be_different_and_there() -> None:
    with pytest.raises(ValidationError, match=r"eval_losses must be different: eval_losses=\('margin', 'margin'\)"):
        TrialConfig(eval_losses=("margin", "margin"))
    with pytest.raises(ValidationError, match="eval_losses"):
        TrialConfig(eval_losses=())


def test_hash_is_of_values_and_not_of_how_they_were_given() -> None:
    given = TrialConfig(attack_radius_255=8, eval_radii_255=[4, 8, 16], num_views=16)  # type: ignore[arg-type]
    assert given.content_hash() == TrialConfig().content_hash()


def test_ineffective_table_names_real_fields() -> None:
    for (switch, value), ineffective in INEFFECTIVE.items():
        assert switch not in ineffective
        fields: dict[str, Any] = {switch: value}
        if value in ("supervised", "own_head"):
            fields |= {"method": "supervised", "probe": "own_head", "num_views": 1}
        TrialConfig(**(fields | ({"num_views": 2} if value == "simclr" else {})))
        assert set(ineffective) <= set(TrialConfig.model_fields)


def test_ineffective_settings_are_those_set_away_from_their_default() -> None:
    config = TrialConfig(adversary="none", replays=12, pgd_steps=5, temperature=0.5, attack_radius_255=8.0, epochs=3)
    assert config.ineffective_settings() == ["replays", "temperature"]
    assert TrialConfig(adversary="free", replays=12).ineffective_settings() == []
    assert TrialConfig(dataset="digits", data_root="here").ineffective_settings() == ["data_root"]
    assert TrialConfig(dataset="cifar10", data_root="here").ineffective_settings() == []


@pytest.mark.parametrize(
    ("fields", "in_message"),
    [
        ({"epochs": 0}, ("epochs", "greater than or equal to 1", "0")),
        ({"momentum": 1.0}, ("momentum", "less than 1", "1.0")),
        ({"learning_rate": float("nan")}, ("learning_rate", "finite", "nan")),
        ({"adversary": "fgsm"}, ("adversary", "'none', 'pgd' or 'free'", "fgsm")),
        ({"epoch": 3}, ("epoch", "Extra inputs are not permitted", "3")),
        ({"method": "simclr", "num_views": 3}, ("num_views", "must be 2 for method simclr", "num_views=3")),
        ({"num_views": 1}, ("num_views", "at least 2 for method emp_ssl", "num_views=1")),
        (
            {"view_scale_min": 0.5, "view_scale_max": 0.4},
            ("view_scale_min must not exceed view_scale_max", "view_scale_min=0.5", "view_scale_max=0.4"),
        ),
        ({"view_ratio_min": 2.0}, ("view_ratio_min must not exceed view_ratio_max", "view_ratio_min=2.0")),
        ({"eval_radii_255": (8.0, 4.0)}, ("eval_radii_255", "increasing", "(8.0, 4.0)")),
        ({"eval_radii_255": (4.0, 4.0)}, ("eval_radii_255", "increasing", "(4.0, 4.0)")),
        ({"eval_radii_255": ()}, ("eval_radii_255", "at least 1", "()")),
        (
            {"eval_l2_radii_255": (128.0, 64.0)},
            ("eval_l2_radii_255", "increasing and within (0, inf]", "(128.0, 64.0)"),
        ),
        ({"attack_radius_255": 300.0}, ("attack_radius_255", "not exceed 255 for attack_norm linf", "300.0")),
        ({"eval_corruptions": "generated", "image_size": 224}, ("at most 64", "image_size=224")),
        ({"eval_corruptions": "files", "dataset": "stl10"}, ("eval_corruptions files", "cifar10 or cifar100", "stl10")),
        ({"rung_radii_255": (0.0, 4.0)}, ("rung_radii_255", "within (0, 255]", "(0.0, 4.0)")),
    ],
)
def test_validation_names_field_rule_and_value(fields: dict[str, Any], in_message: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        TrialConfig(**fields)
    message = explain(caught.value)
    assert all(part in message for part in in_message), message
    assert "\n" not in message


def test_explain_names_every_error() -> None:
    with pytest.raises(ValidationError) as caught:
        TrialConfig(epochs=0, batch_size=1)
    assert "epochs" in explain(caught.value) and "batch_size" in explain(caught.value)


def test_replace_validates() -> None:
    with pytest.raises(ValidationError, match="num_views"):
        TrialConfig().replace(method="simclr")


def test_configs_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrialConfig().epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("num_views=16", "num_views", 16),
        ("learning_rate=3e-1", "learning_rate", 0.3),
        ("adversary=free", "adversary", "free"),
        ("adversary=none", "adversary", "none"),
        ("augmentation=none", "augmentation", "none"),
        ("train_images=none", "train_images", None),
        ("train_images=None", "train_images", None),
        ("train_images=null", "train_images", None),
        ("gradient_leak=True", "gradient_leak", True),
        ("gradient_leak=false", "gradient_leak", False),
        ("eval_radii_255=[2, 4.5]", "eval_radii_255", [2, 4.5]),
        ("data_root=a=b", "data_root", "a=b"),
        ("data_root=2024", "data_root", "2024"),
        ("data_root=true", "data_root", "true"),
    ],
)
def test_settings_are_parsed(setting: str, field: str, value: object) -> None:
    assert parse_settings([setting], TrialConfig) == {field: value}
    TrialConfig(**parse_settings([setting], TrialConfig))


def test_the_last_setting_of_a_field_counts() -> None:
    assert parse_settings(["epochs=1", "seed=2", "epochs=3"], TrialConfig) == {"epochs": 3, "seed": 2}


def test_unknown_field_is_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match=r"unknown field 'num_view'; did you mean num_views"):
        parse_settings(["num_view=4"], TrialConfig)
    with pytest.raises(ValueError, match=r"unknown field 'xyzzy'$"):
        parse_settings(["xyzzy=4"], TrialConfig)


def test_setting_without_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"FIELD=VALUE, not 'num_views'"):
        parse_settings(["num_views"], TrialConfig)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        LAPTOP,
        {"adversary": "none", "replays": 12},
        {"adversary": "pgd", "gradient_leak": True, "train_images": 1000, "eval_radii_255": (2.5, 8.0)},
        SIMCLR | {"temperature": 0.5, "augmentation": "none"},
        LAPTOP | SIMCLR | {"adversary": "none", "probe": "central", "rung_radii_255": (1.0,), "eval_samples": None},
        LAPTOP | {"dataset": "imagefolder", "data_root": "/data/it's here; $HOME", "learning_rate": 1e-3},
        {"probe_dataset": "imagefolder", "probe_data_root": "/else where", "eval_l2_radii_255": (64.0, 128.0)},
        {"probe_dataset": "cifar100", "probe_data_root": "/else where", "attack_norm": "l2"},
        LAPTOP | {"view_ratio_min": 1 / 3, "weight_decay": 0.0, "precision": "bf16", "seed": 7},
    ],
)
def test_command_line_gives_the_config_back(fields: dict[str, Any]) -> None:
    config = TrialConfig(**fields)
    words = shlex.split(command_line(config))
    assert words[:4] == ["python", "-m", "trainables.run_trial", "--preset"]
    preset, rest = words[4], words[5:]
    assert rest[::2] == ["--set"] * (len(rest) // 2)
    parsed = TrialConfig(**(PRESETS[preset] | parse_settings(rest[1::2], TrialConfig)))
    assert parsed.content_hash() == config.content_hash()
    assert parsed.data_root == config.data_root


def test_command_line_starts_from_the_closest_preset() -> None:
    assert command_line(TrialConfig()) == "python -m trainables.run_trial --preset paper"
    assert command_line(TrialConfig(**LAPTOP)) == "python -m trainables.run_trial --preset laptop"
    assert command_line(TrialConfig(**LAPTOP | {"seed": 3})).endswith("--preset laptop --set seed=3")


def test_json_gives_the_config_back() -> None:
    config = TrialConfig(**LAPTOP | {"train_images": 300})
    assert TrialConfig(**json.loads(json.dumps(config.model_dump(mode="json")))) == config


@pytest.mark.parametrize(
    ("fields", "view_passes_per_image", "updates_per_batch"),
    [
        ({"adversary": "none"}, 16, 1),
        ({"adversary": "pgd", "pgd_steps": 5}, 96, 1),
        ({"adversary": "free", "replays": 3}, 48, 3),
        ({"adversary": "none", "invariance_target": "clean"}, 16, 1),
        ({"adversary": "pgd", "pgd_steps": 5, "invariance_target": "clean"}, 112, 1),
        ({"adversary": "free", "replays": 3, "invariance_target": "clean"}, 96, 3),
        (SIMCLR | {"adversary": "none"}, 2, 1),
        (SIMCLR | {"adversary": "pgd", "pgd_steps": 5}, 7, 1),
        (SIMCLR | {"adversary": "free", "replays": 3}, 6, 3),
    ],
)
def test_passes_and_updates(fields: dict[str, Any], view_passes_per_image: int, updates_per_batch: int) -> None:
    config = TrialConfig(**fields)
    assert config.view_passes_per_image() == view_passes_per_image
    assert config.updates_per_batch() == updates_per_batch


@pytest.mark.parametrize(("probe", "recipe"), [("robust_central", (3e-4, 10, 256)), ("n_views", (0.03, 100, 100))])
def test_probes_have_recipes_of_their_own(probe: str, recipe: tuple[float, int]) -> None:
    config = TrialConfig(probe="central").replace(probe=probe)
    assert config.probe_recipe() == recipe
    given = config.replace(probe_learning_rate=0.5, probe_epochs=7, probe_batch_size=30)
    assert given.probe_recipe() == (0.5, 7, 30)


def test_a_default_batch_of_the_probe_has_the_hash_of_its_size() -> None:
    assert TrialConfig().content_hash() == TrialConfig(probe_batch_size=256).content_hash()
    by_views = TrialConfig(probe="n_views")
    assert by_views.content_hash() == by_views.replace(probe_batch_size=100).content_hash()
    assert by_views.content_hash() != by_views.replace(probe_batch_size=256).content_hash()
    assert command_line(by_views.replace(probe_batch_size=256)).endswith(
        "--set probe=n_views --set probe_batch_size=256"
    )


def test_resolve_paths_makes_the_data_root_absolute(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_paths(TrialConfig(data_root="here")).data_root == str(tmp_path / "here")
    assert resolve_paths(TrialConfig(data_root="/there")).data_root == "/there"
