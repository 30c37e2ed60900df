"""One trial from first to last; read this first.

views of the training images -> self-supervised (adversarial) pretraining -> linear probe on the frozen encoder ->
clean and PGD accuracy on validation and test images, with checks that the numbers can be trusted.

Test images are used only in the final evaluation; the interim evaluations that decide on early stopping use validation
images only.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch

from trainables.checkpoint import TrialCheckpoint
from trainables.data.datasets import TrialData
from trainables.evaluation.autoattack_adapter import MIN_AUTOATTACK_CLASSES, correct_under_autoattack
from trainables.evaluation.check_table import check_metrics
from trainables.evaluation.corrupted_accuracy import corrupted_accuracies, require_corrupted_images
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
from trainables.pretraining.pretrain import Pretraining
from trainables.pretraining.shared_encoder import SharedEncoder
from trainables.trial_config import ATTACK_INFIX, NORMS, TrialConfig

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
    each of the first ``eval_autoattack_samples`` images of ``eval_autoattack_split``.
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
        milestones: increasing numbers of view passes at which to evaluate; each is reported once, at the first batch
            boundary at or after it. Those not before the end of pretraining are left to the final report.
        checkpoint_path: where to keep the state; an interrupted trial resumes from it and gets the same numbers.
        checkpoint_seconds: minimum time between two checkpoints; one is always written at milestones and at the end of
            pretraining.
        encoder_path: where a finished encoder of exactly this pretraining is kept for other trials, or found. A trial
            that finds one does not pretrain, and reports no milestones because the encoders at those points no longer
            exist.

    Yields:
        ``Progress`` after batches, ``InterimReport`` at milestones, and finally one ``FinalReport``. ``train_loss`` in
        a report is the mean since the previous report.

    Raises:
        TrialDiverged: if the training loss is not finite.
        MemoryError: if the pretraining cannot fit; see ``require_memory``.
        ValueError: if config and data are incompatible, or the checkpoint is damaged or belongs to another config or to
            other images.
    """
    with freed_memory_kept(device):
        require_fitting(config, data)
        images, labels = data.pretraining.tensors()
        pretraining = Pretraining(config, images, device, labels if config.method == "supervised" else None)
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
        metrics |= {"train_loss": pretraining.mean_loss(), "is_encoder_shared": checkpoint.is_encoder_shared}
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
    pending = [milestone for milestone in milestones if passed < milestone < total]

    if not pretraining.is_finished:
        require_memory(pretraining.encoder, config, pretraining.device)

    def reports_due() -> Iterator[InterimReport]:
        if pending and pretraining.view_passes >= pending[0]:
            train_loss = pretraining.mean_loss()
            checkpoint.save(pretraining)
            metrics = evaluate_interim(pretraining, data, config) | {"train_loss": train_loss}
            while pending and pretraining.view_passes >= pending[0]:
                yield InterimReport({"milestone": pending.pop(0)} | metrics)

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
    """Raises ``ValueError`` if there are too few images or classes for ``config``, or no corrupted ones."""
    require_corrupted_images(config, data)
    num_images = len(data.pretraining.labels)
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
    """Costs, and accuracies of a short probe: ``rung_images`` training images, and as many validation images."""
    classifier = _probe(pretraining, data, config, config.rung_images, config.rung_probe_epochs)
    validation = data.validation.tensors(config.rung_images)
    flags = correct_under_attack(classifier, *validation, config, config.rung_radii_255)
    pretraining.encoder.requires_grad_(True)
    return cost_metrics(pretraining) | accuracies(flags, "val")


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
        if config.eval_l2_radii_255:
            found |= correct_under_attack(classifier, *part.tensors(), config, norm="l2")
        metrics |= accuracies(found, split)
        flags |= {f"{split}_{name}": correct for name, correct in found.items()}
    if config.autoattack_splits():
        outcome = _autoattack(classifier, data, flags, config, attacks_done)
        flags |= outcome.flags
        metrics |= {name: percent_correct(correct) for name, correct in outcome.flags.items()}
        metrics |= {f"{name.partition('_')[0]}_aa_n": len(correct) for name, correct in outcome.flags.items()}
        checks |= checks_of_autoattack(outcome, is_random=classifier.is_stochastic)
        warnings += [f"AutoAttack: {text}" for text in outcome.warnings]
    for split in config.corrupted_splits():
        metrics |= corrupted_accuracies(classifier, data, split, config)
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
    classifier: ProbedClassifier, data: TrialData, flags: Flags, config: TrialConfig, attacks_done: Path | None
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
        found = correct_under_autoattack(classifier, images, labels, known, config, done, norm, warnings.append)
        withstood |= {f"{split}_{name}": correct for name, correct in found.items()}
        by_pgd |= {names[radius]: correct for radius, correct in known.items()}
    return AutoAttackOutcome(withstood, by_pgd, warnings)


def _autoattack_progress(checkpoint_path: Path) -> Path:
    return checkpoint_path.with_suffix(".autoattack.json")
