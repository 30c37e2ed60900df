"""One trial from first to last; read this first.

views of the training images -> self-supervised (adversarial) pretraining, in one or two stages -> linear probe on the
frozen encoder, or adversarial fine-tuning of a copy of it -> clean and PGD accuracy on validation and test images, with
checks that the numbers can be trusted.

Test images are used only in the final evaluation; the interim evaluations that decide on early stopping use validation
images only.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from trainables.checkpoint import TrialCheckpoint
from trainables.data.datasets import TrialData
from trainables.evaluation.autoattack_adapter import MIN_AUTOATTACK_CLASSES
from trainables.evaluation.corrupted_accuracy import require_corrupted_images
from trainables.evaluation.evaluate import Metrics, OnStep, evaluate_final, evaluate_interim
from trainables.evaluation.probe import ProbedClassifier
from trainables.evaluation.probe_training import ProbeTraining
from trainables.evaluation.robust_accuracy import Flags
from trainables.heap import freed_memory_kept
from trainables.memory import require_memory
from trainables.pretraining.cost import finetuning_pflop
from trainables.pretraining.shared_encoder import SharedEncoder, encoder_name
from trainables.pretraining.shared_trunk import SharedTrunk
from trainables.pretraining.stages import Stages
from trainables.trial_config import TrialConfig
from trainables.trial_curve import OnMeasured, TrialCurve

SECONDS_BETWEEN_LOOKS = 1.0  # between checks for an encoder that another trial is training


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

    ``share_done`` is the completed fraction, in [0, 1], of the pretraining and, if there is one, the full fine-tuning.
    """

    view_passes: int
    share_done: float


def run_trial(
    config: TrialConfig,
    data: TrialData,
    device: torch.device,
    *,
    num_processes: int = 1,
    milestones: Sequence[int] = (),
    checkpoint_path: Path | None = None,
    checkpoint_seconds: float = 30.0,
    encoder_path: Path | None = None,
    on_measured: OnMeasured = lambda row: None,
    on_step: OnStep = lambda what, share: None,
) -> Iterator[Progress | InterimReport | FinalReport]:
    """Runs one trial and yields its reports as they become available; nothing is logged, and no global seed is set.

    Args:
        config: the trial.
        data: its images, from ``load_data(config)``.
        device: where to compute.
        num_processes: that pretrain together, on CUDA each on a GPU of its own; an update is that of one process up to
            rounding. Probe, fine-tuning and evaluations are this process's alone, and the other GPUs wait for them.
        milestones: numbers of view passes at which to evaluate; each is reported once, at the first batch boundary at
            or after it, and again only by a trial that was interrupted before its next report was asked for. Those not
            before the end of pretraining are left to the final report.
        checkpoint_path: where to keep the state; an interrupted trial resumes from it and gets the same numbers.
        checkpoint_seconds: minimum time between two checkpoints; one is always written at milestones and at the end of
            pretraining and of the probe.
        encoder_path: where a finished encoder of exactly this pretraining is kept for other trials, or found; a
            teacher's is beside it. A trial that finds one does not pretrain, and reports no milestones because the
            encoders at those points no longer exist; where it is the teacher's, this holds for that stage, and where it
            is a trunk (``SharedTrunk``), for that part.
        on_measured: takes each row of the trial's curve (``TrialCurve``); of an encoder that is shared, its training's.
        on_step: takes what follows the pretraining, such as the probe or the evaluation, in words, and the share of it
            that is done.

    Yields:
        ``Progress`` after batches, ``InterimReport`` at milestones, and finally one ``FinalReport``. ``train_loss`` in
        an interim report is the mean since the previous one, in the final report that of the whole pretraining.
        ``hardware`` in the final report is what ``train_seconds`` were clocked on, elsewhere if the encoder is shared.

    Raises:
        TrialDiverged: if the training loss, the features, the probe or its logits are not finite.
        MemoryError: if the pretraining cannot fit; see ``require_memory``.
        ProcessLost: if another process was killed.
        ValueError: if config, data and processes are incompatible, or the checkpoint is damaged or belongs to another
            config or to other images.
    """
    with freed_memory_kept(device):
        require_fitting(config, data)
        images, labels = data.pretraining.tensors()
        stages = Stages(config, images, labels, device, num_processes)
        checkpoint = TrialCheckpoint(checkpoint_path, config, data.checksum)
        curve = TrialCurve(stages, checkpoint, on_measured)
        trunk = SharedTrunk(encoder_path, config, stages, data.pretraining_checksum)
        pretrained = partial(_pretrain, stages, data, config, milestones, checkpoint, checkpoint_seconds, curve, trunk)
        with SharedEncoder(encoder_path) as shared:
            if not checkpoint.load(stages):
                checkpoint.is_encoder_shared = yield from _is_found(shared, stages)
                if not checkpoint.is_encoder_shared:
                    trunk.go_on()
            while not stages.is_last:
                yield from _pretrain_teacher(stages, checkpoint, pretrained, _beside(encoder_path, stages, data))
            yield from pretrained()
            if not checkpoint.is_encoder_shared:
                shared.save(stages.finished_state())
        probe = _final_probe(stages, data, config)
        share = _share_of_pretraining(stages, data, config)
        for done in _train_probe(probe, stages, checkpoint, checkpoint_seconds, curve):
            on_step("full fine-tuning" if probe.is_full else "probe", done)
            if share < 1:
                yield Progress(stages.view_passes, share + (1 - share) * done)
        attacks_done = None if checkpoint_path is None else _autoattack_progress(checkpoint_path)
        metrics, flags = evaluate_final(stages, probe, data, config, attacks_done, on_step)
        metrics |= {"train_loss": stages.current.whole_mean_loss(), "is_encoder_shared": checkpoint.is_encoder_shared}
        metrics |= stages.reused_costs(is_current_shared=checkpoint.is_encoder_shared)
        metrics["hardware"] = ", then ".join(stages.hardware())
        yield FinalReport(metrics, flags, probe.classifier)


def _is_found(shared: SharedEncoder, stages: Stages) -> Generator[Progress, None, bool]:
    """Whether another trial has finished a pretraining; its state is then loaded. Waits while another is training it.

    Otherwise the caller is the one to train.
    """
    while not (is_found := _load_shared(shared, stages)) and not shared.take_over():
        yield Progress(0, 0.0)
        time.sleep(SECONDS_BETWEEN_LOOKS)
    # If this trial took over, another may have finished the encoder between the two checks.
    return is_found or _load_shared(shared, stages)


def _load_shared(shared: SharedEncoder, stages: Stages) -> bool:
    """Whether there was a finished encoder to load."""
    state = shared.load()
    if state is not None:
        stages.load_state_dict(state)
    return state is not None


def _beside(encoder_path: Path | None, stages: Stages, data: TrialData) -> Path | None:
    """Where a trial of the current stage alone keeps its encoder."""
    if encoder_path is None:
        return None
    stage = stages.current
    return encoder_path.with_name(encoder_name(stage.config, data.pretraining_checksum, stage.device.type))


def _pretrain_teacher(
    stages: Stages,
    checkpoint: TrialCheckpoint,
    pretrained: Callable[[], Iterator[Progress | InterimReport]],
    encoder_path: Path | None,
) -> Iterator[Progress | InterimReport]:
    """Pretrains the current stage or finds it pretrained, and goes on to the next one."""
    with SharedEncoder(encoder_path) as shared:
        if stages.current.batches_done == 0:
            checkpoint.is_encoder_shared = yield from _is_found(shared, stages)
        yield from pretrained()
        if not checkpoint.is_encoder_shared:
            shared.save(stages.finished_state())
    stages.advance(checkpoint.is_encoder_shared)
    checkpoint.is_encoder_shared = False


def _pretrain(
    stages: Stages,
    data: TrialData,
    config: TrialConfig,
    milestones: Sequence[int],
    checkpoint: TrialCheckpoint,
    checkpoint_seconds: float,
    curve: TrialCurve,
    trunk: SharedTrunk,
) -> Iterator[Progress | InterimReport]:
    """Pretrains to the end of the current stage, reporting at milestones and keeping checkpoints and the trunk."""
    pretraining, total = stages.current, stages.total_view_passes
    # Milestones passed before the last batch, or by another trial, are skipped: their encoders no longer exist.
    passed = stages.view_passes - (pretraining.view_passes_per_batch if pretraining.batches_done else 0)
    passed = max(passed, int(stages.trunk_costs.get("view_passes", 0)))
    pending = [m for m in sorted(set(milestones)) if passed < m < total and m not in checkpoint.reported]
    if checkpoint.is_encoder_shared:
        pending = []
    share = _share_of_pretraining(stages, data, config)

    if not pretraining.is_finished:
        require_memory(pretraining.encoder, pretraining.config, pretraining.device, pretraining.num_processes)

    def reports_due() -> Iterator[InterimReport]:
        if pending and stages.view_passes >= pending[0]:
            train_loss = pretraining.mean_loss()
            checkpoint.save(stages)
            metrics = evaluate_interim(stages, data, config) | {"train_loss": train_loss}
            curve.tell_accuracies(metrics)
            while pending and stages.view_passes >= pending[0]:
                yield InterimReport({"milestone": pending[0]} | metrics)
                checkpoint.reported.append(pending.pop(0))
            checkpoint.save(stages)

    curve.tell()
    yield from reports_due()  # for a checkpoint that was written just before its report was lost
    saved_at = time.monotonic()
    for _ in pretraining.run():
        if pretraining.batches_done % pretraining.batches_per_epoch == 0:
            curve.tell()
        if trunk.is_due:
            checkpoint.save(stages)  # first, as a trial that is killed must not find its own trunk as another's
            trunk.keep()
        yield Progress(stages.view_passes, share * stages.view_passes / total)
        yield from reports_due()
        if time.monotonic() - saved_at > checkpoint_seconds:
            pretraining.check_finite()
            checkpoint.save(stages)
            saved_at = time.monotonic()
    pretraining.check_finite()
    checkpoint.save(stages)


def _final_probe(stages: Stages, data: TrialData, config: TrialConfig) -> ProbeTraining:
    """The training of the probe of ``config`` on all training images, at its start."""
    num_epochs = config.probe_recipe().epochs
    return ProbeTraining(stages.encoder, *data.train.tensors(), data.num_classes, config, num_epochs)


def _train_probe(
    probe: ProbeTraining, stages: Stages, checkpoint: TrialCheckpoint, checkpoint_seconds: float, curve: TrialCurve
) -> Iterator[float]:
    """Trains a probe to the end, from where ``checkpoint`` has it, if it has; yields the share that is done."""
    if checkpoint.probe is not None:
        probe.load_state_dict(checkpoint.probe)
    curve.tell(probe)
    saved_at = time.monotonic()
    for _ in probe.run():
        if probe.batches_done % probe.batches_per_epoch == 0:
            curve.tell(probe)
        yield probe.batches_done / probe.num_batches
        if probe.is_finished or time.monotonic() - saved_at > checkpoint_seconds:
            checkpoint.probe = probe.state_dict()
            checkpoint.save(stages)
            saved_at = time.monotonic()


def _share_of_pretraining(stages: Stages, data: TrialData, config: TrialConfig) -> float:
    """The share of the compute that is pretraining's and not that of a full fine-tuning."""
    finetuning = len(data.train.labels) * finetuning_pflop(stages.encoder, config)
    return stages.total_pflop / (stages.total_pflop + finetuning)


def require_fitting(config: TrialConfig, data: TrialData) -> None:
    """Raises ``ValueError`` if there are too few images or classes for ``config``, or no corrupted ones."""
    require_corrupted_images(config, data)
    num_images = len(data.pretraining.labels)
    if num_images < config.batch_size:
        raise ValueError(
            f"batch_size must not exceed the training images: batch_size={config.batch_size}, images={num_images}"
        )
    num_images = len(data.train.labels)
    if config.eval_knn_neighbours is not None and config.eval_knn_neighbours > num_images:
        raise ValueError(
            "eval_knn_neighbours must not exceed the training images of the probe: "
            f"eval_knn_neighbours={config.eval_knn_neighbours}, images={num_images}"
        )
    if config.eval_autoattack_samples > 0 and data.num_classes < MIN_AUTOATTACK_CLASSES:
        raise ValueError(
            f"AutoAttack needs at least {MIN_AUTOATTACK_CLASSES} classes; eval_autoattack_samples must be 0: "
            f"classes={data.num_classes}"
        )


def _autoattack_progress(checkpoint_path: Path) -> Path:
    return checkpoint_path.with_suffix(".autoattack.json")
