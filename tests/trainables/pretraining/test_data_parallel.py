"""Two processes train as one does, to the rounding of the precision that they compute in."""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from trainables.pretraining.data_parallel import ALONE, Group, require_processes
from trainables.pretraining.methods import MethodName
from trainables.pretraining.pretrain import Pretraining
from trainables.pretraining.processes import connect
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")
SIZE = 2
LABELS = torch.arange(20) % 4
CASES: list[tuple[MethodName, dict[str, Any]]] = [
    ("emp_ssl", {"adversary": "free"}),
    ("emp_ssl", {"adversary": "pgd", "gradient_leak": True, "invariance_target": "clean"}),
    ("simclr", {"adversary": "pgd", "attack_batchnorm": "eval"}),
    ("barlow_twins", {"adversary": "none"}),
    ("vicreg", {"adversary": "fgsm", "attack_norm": "l2", "activation_checkpointing": True}),
    ("byol", {"adversary": "free", "perturbation": "reset", "replays": 2}),
    ("deacl", {"adversary": "free", "replays": 2}),
    ("supervised", {"adversary": "pgd"}),
]


@pytest.fixture
def double_precision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has everything computed in float64: in float32, sign(gradient) would let rounding grow from batch to batch."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trained(pretraining: Pretraining, group: Group) -> Pretraining:
    for _ in pretraining.run_in(group):
        pass
    return pretraining


def begin(config: TrialConfig, images: Tensor, num_processes: int = 1) -> Pretraining:
    return Pretraining(config, images, CPU, LABELS if config.method == "supervised" else None, num_processes)


def _train_as_second(config: TrialConfig, images: Tensor, folder: Path) -> None:
    connect(folder, 1, SIZE, CPU)
    # Only the first has the images; the other knows how many there are, and is sent each batch.
    trained(begin(config, torch.zeros_like(images), SIZE), Group(1, SIZE))
    dist.destroy_process_group()


def difference(config: TrialConfig, images: Tensor, folder: Path) -> float:
    """Of what two processes train from what one does, the largest relative one, as a norm.

    Of weights (relative to how far they move), buffers, losses, and the perturbation of free training.
    """
    alone = begin(config, images)
    start = flat(alone.encoder.parameters())
    trained(alone, ALONE)
    other = multiprocessing.get_context("fork").Process(target=_train_as_second, args=(config, images, folder))
    other.start()
    try:
        connect(folder, 0, SIZE, CPU)
        together = trained(begin(config, images, SIZE), Group(0, SIZE))
    finally:
        dist.destroy_process_group()
        other.join()
    weights, buffers, losses, perturbations = (
        [flat(part(one)) for one in (alone, together)]
        for part in (
            lambda one: one.encoder.parameters(),
            lambda one: one.encoder.buffers(),
            lambda one: [torch.tensor(one.whole_mean_loss())],
            lambda one: [torch.zeros(1) if one.perturbation is None else one.perturbation],
        )
    )
    relative = [(weights[0] - weights[1]).norm() / (weights[0] - start).norm()]
    relative += [(one - two).norm() / one.norm() for one, two in (buffers, losses)]
    return float(max(*relative, (perturbations[0] - perturbations[1]).abs().max()))


def flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten().double() for tensor in tensors])


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(("method", "changes"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_two_processes_train_as_one(
    tiny_of: Callable[..., TrialConfig], noise_images: Tensor, tmp_path: Path, method: MethodName,
    changes: dict[str, Any],
) -> None:  # fmt: skip
    assert difference(tiny_of(method, epochs=1, **changes), noise_images, tmp_path) < 1e-11


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("omitted", ["synchronised", "gathered", "sum_gradients"])
def test_it_takes_common_statistics_losses_and_gradients(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    omitted: str,
) -> None:  # fmt: skip
    without: dict[str, Any] = {
        "synchronised": lambda group: contextlib.nullcontext(),
        "gathered": lambda group, own: own,
    }
    monkeypatch.setattr(Group, omitted, without.get(omitted, lambda group, parameters: None))
    assert difference(tiny(adversary="none", epochs=1), noise_images, tmp_path) > 1e-3


def test_processes_must_share_each_batch(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    with pytest.raises(ValueError, match="batch_size must be a multiple of the processes.*: batch_size=8, processes=3"):
        Pretraining(tiny(), noise_images, CPU, num_processes=3)


def test_processes_on_gpus_need_one_each(tiny: Callable[..., TrialConfig]) -> None:
    many = torch.cuda.device_count() + 1
    with pytest.raises(ValueError, match=f"^{2 * many} processes need a GPU each: there are {many - 1} here"):
        require_processes(tiny(batch_size=2 * many), 2 * many, torch.device("cuda"))
