"""All that a trial computes, on a pretended GPU: on one device, to the CPU's numbers, without waiting for it."""

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from pretended_gpu import PretendedGpu, pretended_gpu
from torch import Tensor, nn

from trainables.data.datasets import load_data
from trainables.evaluation import autoattack_adapter
from trainables.evaluation.probe_training import ProbeTraining
from trainables.evaluation.robust_accuracy import attacked_by_pgd
from trainables.pretraining.encoders import build_encoder
from trainables.pretraining.methods import METHODS
from trainables.pretraining.pretrain import Pretraining
from trainables.trial import FinalReport, run_trial
from trainables.trial_config import NORMS, Norm, TrialConfig

CPU, GPU = torch.device("cpu"), torch.device("cuda")
LABELS = torch.arange(20) % 4
CLOCKED = ("train_seconds", "evaluation_seconds", "hardware", "reused_train_seconds")


@pytest.fixture
def gpu() -> Iterator[PretendedGpu]:
    torch.set_num_threads(1)
    with pretended_gpu() as gpu:
        yield gpu


def test_tensors_of_two_devices_do_not_meet(gpu: PretendedGpu) -> None:
    here, there = torch.ones(3), torch.ones(3, device=GPU)
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(RuntimeError, match="same device"):
        nn.Linear(3, 1).to(GPU)(here)
    assert torch.equal((there + torch.tensor(1.0)).cpu(), here + 1)


def test_what_lets_the_host_wait_is_counted(gpu: PretendedGpu) -> None:
    there, rows = torch.arange(4.0, device=GPU), torch.tensor([1, 2])
    for wait in (
        lambda: there.sum().item(), lambda: bool(there[0] > 0), there.nonzero, there.cpu, there.tolist,
        lambda: there[there > 1], lambda: there[rows], lambda: rows.to(GPU), lambda: rows.to(GPU, non_blocking=True),
        lambda: torch.cuda.synchronize(GPU),
    ):  # fmt: skip
        gpu.reset()
        wait()
        assert gpu.waits.total() == 1, gpu.waits
    gpu.reset()
    there[rows.pin_memory().to(GPU, non_blocking=True)].mul_(2)
    assert gpu.waits.total() == 0 and gpu.copies == 1


@pytest.mark.parametrize(
    ("method", "adversary"),
    [*itertools.product(METHODS, ("free", "pgd")), ("emp_ssl", "none"), ("emp_ssl", "fgsm")],
)
def test_pretraining_waits_for_nothing_and_copies_once_a_batch(
    tiny_of: Callable[..., TrialConfig], noise_images: Tensor, gpu: PretendedGpu, method: Any, adversary: str
) -> None:
    config = tiny_of(method, adversary=adversary, compile=False, replays=2, pgd_steps=2)
    losses = []
    for device in (CPU, GPU):
        training = Pretraining(config, noise_images, device, LABELS)
        batches = training.run()
        next(batches)
        gpu.reset()
        next(batches)
        if device == GPU:
            end_of_epoch = {"synchronize": 1, "_local_scalar_dense": 1}  # for its seconds and its loss
            assert (gpu.waits, gpu.copies) == (end_of_epoch, 1)
        losses.append(training.whole_mean_loss())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("probe", ["central", "robust_central", "full_finetuning"])
def test_probes_wait_for_nothing_and_copy_nothing(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, gpu: PretendedGpu, probe: Any
) -> None:
    config = tiny(probe=probe, probe_batch_size=8, probe_attack_steps=2)
    training = ProbeTraining(build_encoder(config, 0).to(GPU), noise_images, LABELS, 4, config, num_epochs=1)  # type: ignore[call-overload]
    batches = training.run()
    next(batches)
    gpu.reset()
    next(batches)
    # A full fine-tuning copies where its crops are, and the starts of its attack.
    assert (gpu.waits.total(), gpu.copies) == (0, 2 if probe == "full_finetuning" else 0)


@pytest.mark.parametrize("norm", NORMS)
def test_a_step_of_an_attack_waits_for_nothing(
    tiny: Callable[..., TrialConfig], sign_classifier: Callable[..., Any], gpu: PretendedGpu, norm: Norm
) -> None:
    here = sign_classifier(4)
    images = here.images(LABELS, torch.linspace(-5, 15, 20)) / 255
    found = {}
    for device, num_steps in [(CPU, 5), (GPU, 5), (GPU, 1)]:
        config = tiny(eval_pgd_steps=num_steps, eval_losses=("cross_entropy",))
        given = copy.deepcopy(here).to(device), images.to(device), LABELS.to(device), 0.03, config, None, norm
        gpu.reset()
        attacked, broken = attacked_by_pgd(*given)
        found[device, num_steps] = attacked.cpu(), broken.cpu(), gpu.waits.total()
    looks = 2 + 1  # which images are left, once before the first step and at each look; whether logits are finite
    assert found[GPU, 5][2] - 2 == found[GPU, 1][2] - 2 <= looks
    assert all(torch.equal(one, other) for one, other in zip(found[CPU, 5][:2], found[GPU, 5][:2], strict=True))


@pytest.mark.parametrize("norm", ["linf", pytest.param("l2", marks=pytest.mark.slow)])
def test_autoattack_stays_on_the_device(
    tiny: Callable[..., TrialConfig], sign_classifier: Callable[..., Any], gpu: PretendedGpu, norm: Norm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    build = autoattack_adapter._build_attack

    def short(*given: Any) -> Any:
        attack = build(*given)
        for part in (attack.apgd, attack.apgd_targeted, attack.fab):
            part.n_iter = 3
        attack.square.n_queries = 5
        return attack

    monkeypatch.setattr(autoattack_adapter, "_build_attack", short)
    config = tiny(eval_radii_255=(1.0,), eval_l2_radii_255=(10.0,))
    here = sign_classifier(4)
    labels = torch.tensor([0, 1, 2])
    images = here.images(labels, torch.tensor([30.0, 6.0, 20.0]))
    known = {config.final_radii_255(norm)[0]: np.ones(3, dtype=bool)}
    found = [
        autoattack_adapter.correct_under_autoattack(
            copy.deepcopy(here).to(device), images, labels, known, config, norm=norm
        )
        for device in (CPU, GPU)
    ]
    assert all(np.array_equal(found[0][name], flags) for name, flags in found[1].items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"eval_knn_neighbours": 3, "eval_l2_radii_255": (64.0,), "eval_restarts": 2, "eval_corruptions": "generated"},
        {"probe": "n_views", "probe_views": 2, "probe_epochs": 1},
        {"probe": "n_views", "probe_views": 2, "probe_epochs": 1, "probe_view_draw": "redrawn", "eval_eot_samples": 2},
        {"probe": "full_finetuning", "probe_loss": "trades", "probe_epochs": 1, "method": "deacl", "teacher_epochs": 1,
         "teacher_num_views": 2, "probe_layer": "backbone"},
        {"probe_protocol": "acl", "probe_epochs": 1, "augmentation": "simclr", "method": "simclr", "num_views": 2},
        {"probe": "own_head", "method": "supervised", "num_views": 1},
    ],
    ids=lambda changes: "-".join(str(value) for value in changes.values())[:30],
)  # fmt: skip
def test_a_whole_trial_gives_the_numbers_of_the_cpu(
    tiny: Callable[..., TrialConfig], gpu: PretendedGpu, changes: dict[str, Any]
) -> None:
    config = tiny(**{"compile": False, "epochs": 1, "train_images": 40, "eval_samples": 20, "rung_images": 20,
                     "eval_radii_255": (2.0, 8.0), "eval_pgd_steps": 6} | changes)  # fmt: skip
    data = load_data(config)
    found = []
    for device in (CPU, GPU):
        *_, last = run_trial(config, data, device, milestones=(1,))
        assert isinstance(last, FinalReport)
        found.append({name: value for name, value in last.metrics.items() if name not in CLOCKED})
    assert found[0] == found[1]
