"""Configs: which are equal, which are refused and how, and how they are written and read."""

import json
import shlex
from typing import Any

import pytest
from pydantic import ValidationError

from study.settings import explain, parse_settings
from trainables.presets import AUTHORS, LAPTOP, command_line, preset_fields
from trainables.pretraining.methods import METHODS
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import EARLIER, INEFFECTIVE, TrialConfig, resolve_paths

SIMCLR = {"method": "simclr", "num_views": 2}
DEACL = {"method": "deacl", "num_views": 1, "probe_layer": "backbone"}


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({"adversary": "none"}, {"replays": 12}),
        ({"adversary": "none"}, {"attack_radius_255": 16.0}),
        ({"adversary": "none"}, {"gradient_leak": True}),
        ({"adversary": "none"}, {"attack_norm": "l2"}),
        ({"eval_autoattack_samples": 0}, {"eval_autoattack_split": "both"}),
        ({"adversary": "pgd"}, {"replays": 12}),
        ({"adversary": "pgd"}, {"fgsm_step_factor": 1.0}),
        ({"adversary": "fgsm"}, {"attack_step_255": 1.0}),
        ({"adversary": "fgsm"}, {"pgd_steps": 7}),
        ({"adversary": "pgd"}, {"perturbation": "reset"}),
        ({"adversary": "free"}, {"pgd_steps": 7}),
        ({"adversary": "free"}, {"attack_batchnorm": "eval"}),
        ({}, {"temperature": 0.5}),
        ({}, {"barlow_lambda": 0.5}),
        (SIMCLR, {"predictor_hidden_dim": 5}),
        (SIMCLR, {"invariance_weight": 1.0}),
        (SIMCLR | {"adversary": "pgd"}, {"simclr_anchor_leak": True}),
        ({"adversary": "pgd", "gradient_leak": True}, {"simclr_anchor_leak": True}),
        ({"probe": "central"}, {"probe_attack_steps": 9}),
        ({"probe": "central"}, {"probe_loss": "trades"}),
        ({"probe": "robust_central"}, {"probe_trades_beta": 1.0}),
        ({"probe": "n_views"}, {"probe_protocol": "acl"}),
        ({"probe": "full_finetuning"}, {"probe_protocol": "acl"}),
        ({"method": "supervised", "num_views": 1, "probe": "central"}, {"probe_layer": "backbone"}),
        ({"adversary": "free", "free_step": "radius"}, {"attack_step_255": 1.0}),
        ({"adversary": "free", "replays": 1}, {"lr_horizon": "batches"}),
        ({"adversary": "free", "lr_schedule": "cooldown"}, {"lr_horizon": "batches"}),
        ({}, {"cooldown_share": 0.5}),
        ({"probe": "robust_central"}, {"probe_views": 4}),
        ({"probe": "n_views"}, {"eval_eot_samples": 2}),
        ({"method": "supervised", "num_views": 1, "probe": "own_head"}, {"projector_dim": 4}),
        ({}, {"teacher_epochs": 3, "student_start": "random", "distillation_robust_weight": 1.0}),
        (DEACL | {"adversary": "none"}, {"distillation_robust_weight": 1.0, "distillation_attack_anchor": "student"}),
        (DEACL | {"adversary": "free"}, {"distillation_attack_anchor": "student"}),
        (DEACL, {"temperature": 0.5, "invariance_target": "clean"}),
        (DEACL | {"teacher_method": "simclr", "teacher_num_views": 2}, {"invariance_weight": 1.0}),
        ({}, {"augmentation_decay_period": 2}),
        ({"augmentation": "padded_crop"}, {"augmentation_decay": "linear", "view_scale_min": 0.5}),
        ({"epochs": 3}, {"augmentation_decay": "linear", "augmentation_decay_period": 3}),
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
        ({}, {"lr_schedule": "cooldown"}),
        ({"lr_schedule": "cooldown"}, {"cooldown_share": 0.5}),
        ({"adversary": "free"}, {"perturbation": "reset"}),
        ({"adversary": "pgd"}, {"pgd_steps": 7}),
        ({"adversary": "fgsm"}, {"fgsm_step_factor": 1.0}),
        ({"adversary": "fgsm"}, {"gradient_leak": True}),
        ({"adversary": "pgd"}, {"attack_batchnorm": "eval"}),
        ({"adversary": "pgd"}, {"attack_radius_255": 16.0}),
        ({"adversary": "pgd"}, {"attack_norm": "l2"}),
        (SIMCLR, {"temperature": 0.5}),
        (SIMCLR | {"adversary": "pgd", "gradient_leak": True}, {"simclr_anchor_leak": True}),
        ({"adversary": "free"}, {"perturbation": "carried_unclamped"}),
        ({}, {"invariance_weight": 1.0}),
        ({"method": "barlow_twins", "num_views": 2}, {"barlow_lambda": 0.5}),
        ({"method": "vicreg", "num_views": 2}, {"vicreg_covariance_weight": 0.5}),
        ({"method": "byol", "num_views": 2}, {"byol_momentum": 0.5}),
        ({"method": "byol", "num_views": 2}, {"predictor_hidden_dim": 5}),
        ({}, {"seed": 1}),
        ({}, {"split_seed": 1}),
        ({}, {"train_images": 1000}),
        ({"adversary": "none"}, {"adversary": "free"}),
        (DEACL, {"invariance_weight": 1.0}),
        (DEACL, {"projector_dim": 8}),
        (DEACL | {"augmentation": "padded_crop"}, {"view_scale_min": 0.5}),
        (DEACL | {"teacher_method": "simclr", "teacher_num_views": 2}, {"temperature": 0.5}),
        (DEACL, {"teacher_epochs": 3}),
        (DEACL, {"teacher_augmentation": "simclr"}),
        (DEACL | {"adversary": "pgd"}, {"distillation_attack_anchor": "student"}),
        ({}, {"augmentation_decay": "linear"}),
        ({"augmentation": "padded_crop", "probe": "n_views"}, {"view_scale_min": 0.5}),
        ({"augmentation_decay": "linear"}, {"augmentation_decay_period": 2}),
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
        {"probe": "full_finetuning"},
        {"probe_layer": "backbone"},
        {"probe_protocol": "acl"},
        {"probe_loss": "trades"},
        {"eval_knn_neighbours": 20},
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


def test_a_teacher_is_a_clean_pretraining_of_its_own() -> None:
    config = TrialConfig(
        **DEACL, teacher_method="simclr", teacher_num_views=2, teacher_epochs=7, teacher_augmentation="simclr",
        teacher_learning_rate=0.5, epochs=3, adversary="pgd", pgd_steps=2, augmentation_decay="linear", seed=4,
    )  # fmt: skip
    teacher, student = config.stages()
    assert student is config
    alone = TrialConfig(
        method="simclr", num_views=2, epochs=7, augmentation="simclr", learning_rate=0.5, adversary="none", seed=4
    )
    assert teacher.pretraining_hash() == alone.pretraining_hash()
    assert alone.stages() == (alone,)


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
            fields |= {"method": "supervised", "probe": "own_head"}
        fields |= {"probe_layer": "backbone"} if value == "deacl" else {}
        TrialConfig(**(fields | {"num_views": METHODS[fields.get("method", "emp_ssl")].num_views or 16}))
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
        ({"adversary": "cw"}, ("adversary", "'none', 'pgd', 'free' or 'fgsm'", "cw")),
        ({"epoch": 3}, ("epoch", "Extra inputs are not permitted", "3")),
        ({"method": "simclr", "num_views": 3}, ("num_views", "must be 2 for method simclr", "num_views=3")),
        (DEACL | {"teacher_method": "supervised"}, ("teacher_method must be self-supervised", "supervised")),
        (DEACL | {"teacher_method": "deacl"}, ("teacher_method must be", "of one stage", "deacl")),
        (DEACL | {"teacher_num_views": 1}, ("teacher_num_views", "at least 2 for method emp_ssl", "=1")),
        (DEACL | {"teacher_method": "simclr"}, ("teacher_num_views", "must be 2 for method simclr", "=16")),
        (DEACL | {"probe_layer": "hidden"}, ("probe_layer hidden", "does not have", "distilled_layer=backbone")),
        ({"num_views": 1}, ("num_views", "at least 2 for method emp_ssl", "num_views=1")),
        (
            {"view_scale_min": 0.5, "view_scale_max": 0.4},
            ("view_scale_min must not exceed view_scale_max", "view_scale_min=0.5", "view_scale_max=0.4"),
        ),
        ({"view_ratio_min": 2.0}, ("view_ratio_min must not exceed view_ratio_max", "view_ratio_min=2.0")),
        ({"eval_radii_255": (8.0, 4.0)}, ("eval_radii_255", "increasing", "(8.0, 4.0)")),
        ({"eval_radii_255": (4.0, 4.0)}, ("eval_radii_255", "increasing", "(4.0, 4.0)")),
        ({"eval_radii_255": ()}, ("eval_radii_255", "at least 1", "()")),
        ({"probe": "own_head"}, ("own_head belongs to method supervised", "method=emp_ssl", "probe=own_head")),
        (
            {"eval_knn_neighbours": 30, "rung_images": 20},
            ("eval_knn_neighbours must not exceed rung_images", "=30", "=20"),
        ),
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
        DEACL | {"teacher_epochs": 5, "teacher_num_views": 8, "adversary": "pgd", "augmentation": "padded_crop"},
        LAPTOP | SIMCLR | {"adversary": "none", "probe": "central", "rung_radii_255": (1.0,), "eval_samples": None},
        LAPTOP | {"dataset": "imagefolder", "data_root": "/data/it's here; $HOME", "learning_rate": 1e-3},
        {"probe_dataset": "imagefolder", "probe_data_root": "/else where", "eval_l2_radii_255": (64.0, 128.0)},
        {"probe_dataset": "cifar100", "probe_data_root": "/else where", "attack_norm": "l2"},
        LAPTOP | {"view_ratio_min": 1 / 3, "weight_decay": 0.0, "precision": "bf16", "seed": 7},
        AUTHORS | {"seed": 3},
        AUTHORS | SIMCLR | {"adversary": "pgd"},
        AUTHORS | SIMCLR | {"adversary": "pgd", "augmentation": "simclr"},
    ],
)
def test_command_line_gives_the_config_back(fields: dict[str, Any]) -> None:
    config = TrialConfig(**fields)
    words = shlex.split(command_line(config))
    assert words[:4] == ["python", "-m", "trainables.run_trial", "--preset"]
    preset, rest = words[4], words[5:]
    assert rest[::2] == ["--set"] * (len(rest) // 2)
    parsed = TrialConfig(
        **(preset_fields(preset, config.method, config.teacher_method) | parse_settings(rest[1::2], TrialConfig))
    )
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
        ({"adversary": "fgsm"}, 32, 1),
        ({"adversary": "none", "invariance_target": "clean"}, 16, 1),
        ({"adversary": "pgd", "pgd_steps": 5, "invariance_target": "clean"}, 112, 1),
        ({"adversary": "free", "replays": 3, "invariance_target": "clean"}, 96, 3),
        (SIMCLR | {"adversary": "none"}, 2, 1),
        (SIMCLR | {"adversary": "pgd", "pgd_steps": 5}, 7, 1),
        (SIMCLR | {"adversary": "free", "replays": 3}, 6, 3),
        (SIMCLR | {"adversary": "pgd", "pgd_steps": 5, "gradient_leak": True, "simclr_anchor_leak": True}, 12, 1),
        (SIMCLR | {"adversary": "pgd", "pgd_steps": 5, "simclr_anchor_leak": True}, 7, 1),
        (SIMCLR | {"adversary": "fgsm"}, 3, 1),
    ],
)
def test_passes_and_updates(fields: dict[str, Any], view_passes_per_image: int, updates_per_batch: int) -> None:
    config = TrialConfig(**fields)
    assert config.view_passes_per_image() == view_passes_per_image
    assert config.updates_per_batch() == updates_per_batch


@pytest.mark.parametrize(
    ("probe", "protocol", "recipe"),
    [("robust_central", "paper", (3e-4, 10, 256)), ("n_views", "paper", (0.03, 100, 100)),
     ("robust_central", "acl", (0.01, 25, 512)), ("n_views", "acl", (0.03, 100, 100)),
     ("full_finetuning", "paper", (0.1, 25, 128))],
)  # fmt: skip
def test_probes_have_recipes_of_their_own(probe: str, protocol: str, recipe: tuple[float, int]) -> None:
    config = TrialConfig(probe="central").replace(probe=probe, probe_protocol=protocol)
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


def test_defaults_have_the_hash_of_what_they_stand_for() -> None:
    for fields, change in (
        ({}, {"probe_epochs": 10}),
        ({}, {"probe_learning_rate": 3e-4}),
        ({"probe": "n_views"}, {"probe_epochs": 100, "probe_learning_rate": 0.03}),
        ({}, {"stem": "small"}),
        ({"image_size": 224}, {"stem": "imagenet"}),
    ):
        config = TrialConfig(**fields)  # type: ignore[arg-type]
        changed = config.replace(**change)  # type: ignore[arg-type]
        assert changed.content_hash() == config.content_hash()
        assert changed.pretraining_hash() == config.pretraining_hash()
    for fields, change in (
        ({}, {"probe_epochs": 100}),
        ({"probe": "n_views"}, {"probe_epochs": 10}),
        ({}, {"probe_learning_rate": 0.03}),
        ({}, {"stem": "imagenet"}),
        ({"image_size": 224}, {"stem": "small"}),
    ):
        config = TrialConfig(**fields)  # type: ignore[arg-type]
        assert config.replace(**change).content_hash() != config.content_hash()  # type: ignore[arg-type]


def test_hashes_are_those_of_earlier_journals() -> None:
    """A field that came later, or a default that is hashed as what it stands for, must not change them."""
    simclr = LAPTOP | SIMCLR | {"adversary": "pgd", "gradient_leak": True}
    assert set(EARLIER) <= set(TrialConfig.model_fields)
    for fields, content, pretraining in (
        ({}, "01a6a7c8dfcbd757", "0670f34da2918302"),
        (LAPTOP, "661a8af9b77b42b9", "49706fa00b2c328c"),
        (simclr, "063b13858a55498d", "997c7ef42a8e17fe"),
    ):
        config = TrialConfig(**EARLIER | fields)
        assert (config.content_hash(), config.pretraining_hash()) == (content, pretraining)


def test_preset_authors_is_that_of_the_method() -> None:
    assert preset_fields("authors", "emp_ssl", "emp_ssl") == AUTHORS
    assert preset_fields("authors", "simclr", "emp_ssl") == AUTHORS | {"augmentation": "simclr"}
    assert "num_views" not in preset_fields("laptop", "simclr", "emp_ssl")
    config = TrialConfig(**preset_fields("authors", "emp_ssl", "emp_ssl"))
    changed = {
        name for name, value in config.effective().items() if TrialConfig().model_dump(mode="json")[name] != value
    }
    assert changed == {"lr_horizon", "perturbation", "eval_losses"}, "in free training of EMP-SSL"


def test_resolve_paths_makes_the_data_root_absolute(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_paths(TrialConfig(data_root="here")).data_root == str(tmp_path / "here")
    assert resolve_paths(TrialConfig(data_root="/there")).data_root == "/there"
