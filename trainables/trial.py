"""One trial from first to last; read this first.

views of the training images -> self-supervised (adversarial) pretraining -> linear probe on the frozen encoder ->
clean and PGD accuracy on validation and test images, with checks that the numbers can be trusted.

Test images are used only in the final evaluation; the interim evaluations that decide on early stopping use validation
images only.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from trainables.checkpoint import TrialCheckpoint
from trainables.data.datasets import ImageSet, TrialData, missing_classes, shortened
from trainables.evaluation.autoattack_adapter import MIN_AUTOATTACK_CLASSES, correct_under_autoattack
from trainables.evaluation.check_table import check_metrics
from trainables.evaluation.probe import ProbedClassifier, frozen_classifier, train_probe
from trainables.evaluation.robust_accuracy import Flags, accuracies, correct_under_attack, percent_correct
from trainables.evaluation.validity import (
    AutoAttackOutcome,
    Found,
    checks_of_attack,
    checks_of_autoattack,
    feature_effective_rank,
)
from trainables.heap import freed_memory_kept
from trainables.memory import require_memory
from trainables.pretraining.methods import METHODS
from trainables.pretraining.pretrain import Pretraining
from trainables.pretraining.shared_encoder import SharedEncoder
from trainables.trial_config import TrialConfig

SECONDS_BETWEEN_LOOKS = 1.0  # between checks for an encoder that another trial is training
Metrics = dict[str, Any]


@dataclass(frozen=True)
class InterimReport:
    """An evaluation on validation images during pretraining, at a milestone of ``view_passes``."""

    metrics: Metrics


@dataclass(frozen=True)
class FinalReport:
    """The full evaluation of a completed pretraining.

    ``flags`` holds, for each attack, whether each validation and test image was classified correctly; under AutoAttack,
    each of the first ``eval_autoattack_samples`` test images.
    """

    metrics: Metrics
    flags: Flags
    classifier: ProbedClassifier = field(repr=False)


@dataclass(frozen=True)
class Progress:
    """A heartbeat, after every batch and while waiting for another trial's encoder.

    ``share_done`` is the completed fraction of the pretraining, in [0, 1].
    """

    view_passes: int
    share_done: float


def run_trial(
    config: TrialConfig,
    data: TrialData,
    device: torch.device,
    *,
    milestones: Sequence[int] = (),
    checkpoint_path: Path | None = None,
    checkpoint_seconds: float = 30.0,
    encoder_path: Path | None = None,
) -> Iterator[Progress | InterimReport | FinalReport]:
    """Runs one trial and yields its reports as they become available; nothing is logged, and no global seed is set.

    Args:
        config: the trial.
        data: its images, from ``load_data(config)``.
        device: where to compute.
        milestones: numbers of view passes at which to evaluate; each is reported once, at the first batch boundary at
            or after it, and again only by a trial that was interrupted before its next report was asked for. Those not
            before the end of pretraining are left to the final report.
        checkpoint_path: where to keep the state; an interrupted trial resumes from it and gets the same numbers.
        checkpoint_seconds: minimum time between two checkpoints; one is always written at milestones and at the end of
            pretraining.
        encoder_path: where a finished encoder of exactly this pretraining is kept for other trials, or found. A trial
            that finds one does not pretrain, and reports no milestones because the encoders at those points no longer
            exist.

    Yields:
        ``Progress`` after batches, ``InterimReport`` at milestones, and finally one ``FinalReport``. ``train_loss`` in
        an interim report is the mean since the previous one, in the final report that of the whole pretraining.
        ``hardware`` in the final report is what ``train_seconds`` were clocked on, elsewhere if the encoder is shared.

    Raises:
        TrialDiverged: if the training loss, the features, the probe or its logits are not finite.
        MemoryError: if the pretraining cannot fit; see ``require_memory``.
        ValueError: if config and data are incompatible, or the checkpoint is damaged or belongs to another config or to
            other images.
    """
    with freed_memory_kept(device):
        require_fitting(config, data)
        images, labels = data.train.tensors()
        pretraining = Pretraining(config, images, device, labels if METHODS[config.method].needs_labels else None)
        checkpoint = TrialCheckpoint(checkpoint_path, config, data.checksum)
        with SharedEncoder(encoder_path) as shared:
            if not checkpoint.load(pretraining):
                while not (is_shared := _load_shared(shared, pretraining)) and not shared.take_over():
                    yield Progress(0, 0.0)
                    time.sleep(SECONDS_BETWEEN_LOOKS)
                # If this trial took over, another may have finished the encoder between the two checks.
                checkpoint.is_encoder_shared = is_shared or _load_shared(shared, pretraining)
            yield from _pretrain(pretraining, data, config, milestones, checkpoint, checkpoint_seconds)
            if not checkpoint.is_encoder_shared:
                shared.save(pretraining.finished_state())
        attacks_done = None if checkpoint_path is None else _autoattack_progress(checkpoint_path)
        metrics, flags, classifier = evaluate_final(pretraining, data, config, checkpoint, attacks_done)
        metrics |= {"train_loss": pretraining.whole_mean_loss(), "is_encoder_shared": checkpoint.is_encoder_shared}
        metrics["hardware"] = ", then ".join(pretraining.hardware)
        yield FinalReport(metrics, flags, classifier)


def _load_shared(shared: SharedEncoder, pretraining: Pretraining) -> bool:
    """Whether another trial has finished this pretraining; if so, its state is loaded."""
    state = shared.load()
    if state is not None:
        pretraining.load_state_dict(state)
    return state is not None


def _pretrain(
    pretraining: Pretraining,
    data: TrialData,
    config: TrialConfig,
    milestones: Sequence[int],
    checkpoint: TrialCheckpoint,
    checkpoint_seconds: float,
) -> Iterator[Progress | InterimReport]:
    """Pretrains to the end, reporting at milestones and keeping checkpoints."""
    total = pretraining.num_batches * pretraining.view_passes_per_batch
    # Milestones passed before the last batch are skipped: their encoders no longer exist.
    passed = pretraining.view_passes - pretraining.view_passes_per_batch
    pending = [m for m in sorted(set(milestones)) if passed < m < total and m not in checkpoint.reported]

    if not pretraining.is_finished:
        require_memory(pretraining.encoder, config, pretraining.device)

    def reports_due() -> Iterator[InterimReport]:
        if pending and pretraining.view_passes >= pending[0]:
            train_loss = pretraining.mean_loss()
            checkpoint.save(pretraining)
            metrics = evaluate_interim(pretraining, data, config) | {"train_loss": train_loss}
            while pending and pretraining.view_passes >= pending[0]:
                yield InterimReport({"milestone": pending[0]} | metrics)
                checkpoint.reported.append(pending.pop(0))
            checkpoint.save(pretraining)

    yield from reports_due()  # for a checkpoint that was written just before its report was lost
    saved_at = time.monotonic()
    for _ in pretraining.run():
        yield Progress(pretraining.view_passes, pretraining.batches_done / pretraining.num_batches)
        yield from reports_due()
        if time.monotonic() - saved_at > checkpoint_seconds:
            pretraining.check_finite()
            checkpoint.save(pretraining)
            saved_at = time.monotonic()
    pretraining.check_finite()
    checkpoint.save(pretraining)


def require_fitting(config: TrialConfig, data: TrialData) -> None:
    """Raises ``ValueError`` if there are too few images for ``config`` or too few classes for AutoAttack."""
    num_images = len(data.train.labels)
    if num_images < config.batch_size:
        raise ValueError(
            f"batch_size must not exceed the training images: batch_size={config.batch_size}, images={num_images}"
        )
    if config.eval_autoattack_samples > 0 and data.num_classes < MIN_AUTOATTACK_CLASSES:
        raise ValueError(
            f"AutoAttack needs at least {MIN_AUTOATTACK_CLASSES} classes; eval_autoattack_samples must be 0: "
            f"classes={data.num_classes}"
        )


def evaluate_interim(pretraining: Pretraining, data: TrialData, config: TrialConfig) -> Metrics:
    """Costs, and accuracies of a short probe: ``rung_images`` training images, and as many validation images.

    ``validity`` names the classes of which the probe saw no image, if there are any.
    """
    classifier = _probe(pretraining, data, config, config.rung_images, config.rung_probe_epochs)
    validation = data.validation.tensors(config.rung_images)
    flags = correct_under_attack(classifier, *validation, config, config.rung_radii_255)
    pretraining.encoder.requires_grad_(True)
    metrics = cost_metrics(pretraining) | accuracies(flags, "val")
    missing = missing_classes(data.train.labels[: config.rung_images], data.class_names)
    if missing:
        metrics["validity"] = [f"rung_images={config.rung_images} leaves the probe no image of {shortened(missing)}"]
    return metrics


def evaluate_final(
    pretraining: Pretraining,
    data: TrialData,
    config: TrialConfig,
    checkpoint: TrialCheckpoint,
    attacks_done: Path | None,
) -> tuple[Metrics, Flags, ProbedClassifier]:
    """Accuracies, checks and costs with the probe of ``config``, trained on all training images.

    The probe's head is taken from ``checkpoint`` if it is there, and otherwise trained and saved to it. AutoAttack, the
    one part that can take hours, keeps its progress in the file ``attacks_done``, which is valid only for a
    bit-identical head.
    """
    started = time.monotonic()
    if checkpoint.head is not None:
        classifier = frozen_classifier(pretraining.encoder, checkpoint.head, config)
    else:
        classifier = _probe(pretraining, data, config, None, config.probe_recipe().epochs)
        checkpoint.head = classifier.head.state_dict()
        checkpoint.save(pretraining)
    metrics: Metrics = cost_metrics(pretraining)
    flags: Flags = {}
    checks: Found = {}
    warnings: list[str] = []
    for split, part in (("val", data.validation), ("test", data.test)):
        found = correct_under_attack(classifier, *part.tensors(), config)
        metrics |= accuracies(found, split)
        flags |= {f"{split}_{name}": correct for name, correct in found.items()}
    if config.eval_autoattack_samples > 0:
        outcome = _autoattack(classifier, data.test, flags, config, attacks_done)
        found = {f"test_{name}": correct for name, correct in outcome.flags.items()}
        flags |= found
        metrics |= {name: percent_correct(correct) for name, correct in found.items()}
        metrics["test_aa_n"] = len(next(iter(found.values())))
        checks |= checks_of_autoattack(outcome, is_random=classifier.is_stochastic)
        warnings += [f"AutoAttack: {text}" for text in outcome.warnings]
    validation = data.validation.tensors()
    metrics["chance_accuracy"] = data.chance_percent
    num = len(validation[1])
    checks["effective_rank"] = feature_effective_rank(classifier, validation[0]), num
    checks["above_chance"] = metrics["val_clean"] - data.chance_percent, num
    on_validation = {name.removeprefix("val_"): correct for name, correct in flags.items() if name.startswith("val_")}
    checks |= checks_of_attack(classifier, *validation, on_validation, config)
    metrics |= check_metrics(checks, warnings)
    metrics["evaluation_seconds"] = time.monotonic() - started
    return metrics, flags, classifier


def cost_metrics(pretraining: Pretraining) -> Metrics:
    """What the pretraining has cost so far: ``view_passes``, ``train_pflop`` (1e15 operations), ``train_seconds``.

    The seconds cover training batches only. They exclude torch.compile, which the first trial of a process runs for all
    later trials of equal shapes.
    """
    return {
        "view_passes": pretraining.view_passes,
        "train_pflop": pretraining.train_pflop,
        "train_seconds": pretraining.train_seconds,
    }


def _probe(
    pretraining: Pretraining, data: TrialData, config: TrialConfig, cap: int | None, num_epochs: int
) -> ProbedClassifier:
    images, labels = data.train.tensors(cap)
    return train_probe(pretraining.encoder, images, labels, data.num_classes, config, num_epochs=num_epochs)


def _autoattack(
    classifier: ProbedClassifier, test: ImageSet, flags: Flags, config: TrialConfig, attacks_done: Path | None
) -> AutoAttackOutcome:
    """AutoAttack on the first test images; images that PGD already broke at the same radius count as broken."""
    images, labels = test.tensors(config.eval_autoattack_samples)
    known = {r: flags[f"test_pgd_{r:g}"][: len(images)] for r in config.eval_radii_255}
    warnings: list[str] = []
    found = correct_under_autoattack(classifier, images, labels, known, config, attacks_done, warnings.append)
    return AutoAttackOutcome(found, {f"pgd_{radius:g}": correct for radius, correct in known.items()}, warnings)


def _autoattack_progress(checkpoint_path: Path) -> Path:
    return checkpoint_path.with_suffix(".autoattack.json")
