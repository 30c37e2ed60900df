"""All that is measured of an encoder: during pretraining on validation images, at the end on test images too."""

import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from torch import Tensor

from trainables.data.datasets import TrialData, missing_classes, shortened
from trainables.data.stored_images import Images
from trainables.evaluation.autoattack_adapter import correct_under_autoattack
from trainables.evaluation.check_table import check_metrics
from trainables.evaluation.corrupted_accuracy import corrupted_accuracies
from trainables.evaluation.nearest_neighbours import correct_by_neighbours
from trainables.evaluation.probe import ProbedClassifier
from trainables.evaluation.probe_training import ProbeTraining, train_probe
from trainables.evaluation.robust_accuracy import Flags, accuracies, correct_under_attack, percent_correct
from trainables.evaluation.validity import (
    AutoAttackOutcome,
    Found,
    checks_of_attack,
    checks_of_autoattack,
    feature_effective_rank,
)
from trainables.pretraining.cost import finetuning_pflop
from trainables.pretraining.encoders import Encoder
from trainables.pretraining.stages import Stages
from trainables.trial_config import ATTACK_INFIX, NORMS, TrialConfig

Metrics = dict[str, Any]
OnStep = Callable[[str, float], None]
STEPS = {"val": "evaluation on validation images", "test": "evaluation on test images"}


def evaluate_interim(stages: Stages, data: TrialData, config: TrialConfig) -> Metrics:
    """Costs, and accuracies of a short probe: ``rung_images`` training images, and as many validation images.

    A full fine-tuning is shortened, too, and is of a copy of the encoder. ``validity`` names the classes of which the
    probe saw no image, if there are any.
    """
    train, validation = data.train.tensors(config.rung_images), data.validation.tensors(config.rung_images)
    classifier = train_probe(stages.encoder, *train, data.num_classes, config, num_epochs=config.rung_probe_epochs)
    flags = correct_under_attack(classifier, *validation, config, config.rung_radii_255)
    flags |= _knn_flags(stages.encoder, train, validation, config)
    stages.encoder.requires_grad_(True)
    metrics: Metrics = stages.costs() | stages.reused_costs() | accuracies(flags, "val")
    missing = missing_classes(data.train.labels[: config.rung_images], data.class_names)
    if missing:
        metrics["validity"] = [f"rung_images={config.rung_images} leaves the probe no image of {shortened(missing)}"]
    return metrics


def evaluate_final(
    stages: Stages,
    probe: ProbeTraining,
    data: TrialData,
    config: TrialConfig,
    attacks_done: Path | None,
    on_step: OnStep = lambda what, share: None,
) -> tuple[Metrics, Flags]:
    """Accuracies, checks and costs with a trained probe.

    AutoAttack, the one part that can take hours, keeps its progress in the file ``attacks_done``, which is valid only
    for a bit-identical classifier. ``on_step`` takes what is being evaluated, in words, and the share that is done.
    """
    started = time.monotonic()
    classifier = probe.classifier
    metrics: Metrics = stages.costs()
    if probe.is_full:
        metrics["train_pflop"] += len(probe.images) * finetuning_pflop(stages.encoder, config)
        metrics["train_seconds"] += probe.seconds
    flags: Flags = {}
    checks: Found = {}
    warnings: list[str] = []
    train = data.train.tensors()
    for split, part in (("val", data.validation), ("test", data.test)):
        told = partial(on_step, STEPS[split])
        told(0.0)
        found = correct_under_attack(classifier, *part.tensors(), config, on_share=told)
        found |= _knn_flags(stages.encoder, train, part.tensors(), config)
        if config.eval_l2_radii_255:
            found |= correct_under_attack(
                classifier, *part.tensors(), config, norm="l2", on_share=partial(on_step, f"{STEPS[split]}, l2")
            )
        metrics |= accuracies(found, split)
        flags |= {f"{split}_{name}": correct for name, correct in found.items()}
    if config.autoattack_splits():
        outcome = _autoattack(classifier, data, flags, config, attacks_done, on_step)
        flags |= outcome.flags
        metrics |= {name: percent_correct(correct) for name, correct in outcome.flags.items()}
        metrics |= {f"{name.partition('_')[0]}_aa_n": len(correct) for name, correct in outcome.flags.items()}
        checks |= checks_of_autoattack(outcome, is_random=classifier.is_stochastic)
        warnings += [f"AutoAttack: {text}" for text in outcome.warnings]
    for split in config.corrupted_splits():
        on_step(f"{STEPS[split]}, corrupted", 0.0)
        metrics |= corrupted_accuracies(classifier, data, split, config)
    on_step("checks of the attack", 0.0)
    validation = data.validation.tensors()
    metrics["chance_accuracy"] = data.chance_percent
    num = len(validation[1])
    checks["effective_rank"] = feature_effective_rank(classifier, validation[0]), num
    checks["above_chance"] = metrics["val_clean"] - data.chance_percent, num
    on_validation = {name.removeprefix("val_"): correct for name, correct in flags.items() if name.startswith("val_")}
    checks |= checks_of_attack(classifier, *validation, on_validation, config)
    metrics |= check_metrics(checks, warnings)
    metrics["evaluation_seconds"] = time.monotonic() - started + (0.0 if probe.is_full else probe.seconds)
    return metrics, flags


def _knn_flags(
    encoder: Encoder, bank: tuple[Images, Tensor], queries: tuple[Images, Tensor], config: TrialConfig
) -> Flags:
    """Whether the k-NN classifier of ``config``, if it has one, is right; on the features of the pretrained encoder."""
    if config.eval_knn_neighbours is None:
        return {}
    return {"knn": correct_by_neighbours(encoder.eval(), bank, queries, config.eval_knn_neighbours, config)}


def _autoattack(
    classifier: ProbedClassifier,
    data: TrialData,
    flags: Flags,
    config: TrialConfig,
    attacks_done: Path | None,
    on_step: OnStep,
) -> AutoAttackOutcome:
    """AutoAttack in each norm on the first images of each split; those that PGD broke at the same radius are broken."""
    withstood: Flags = {}
    by_pgd: Flags = {}
    warnings: list[str] = []
    norms = [norm for norm in NORMS if config.final_radii_255(norm)]
    for split, norm in product(config.autoattack_splits(), norms):
        part = data.validation if split == "val" else data.test
        images, labels = part.tensors(config.eval_autoattack_samples)
        names = {radius: f"{split}_pgd_{ATTACK_INFIX[norm]}{radius:g}" for radius in config.final_radii_255(norm)}
        known = {radius: flags[name][: len(images)] for radius, name in names.items()}
        done = None if attacks_done is None else attacks_done.with_suffix(f".{split}_{norm}.json")
        told = partial(on_step, f"{STEPS[split]}, AutoAttack {norm}")
        told(0.0)
        found = correct_under_autoattack(classifier, images, labels, known, config, done, norm, warnings.append, told)
        withstood |= {f"{split}_{name}": correct for name, correct in found.items()}
        by_pgd |= {names[radius]: correct for radius, correct in known.items()}
    return AutoAttackOutcome(withstood, by_pgd, warnings)
