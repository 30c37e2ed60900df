"""Two processes train as one does, to the rounding of the precision that they compute in."""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from pretended_gpu import GPU, pretended_gpu
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


def begin(config: TrialConfig, images: Tensor, num_processes: int = 1, device: torch.device = CPU) -> Pretraining:
    labels = LABELS if config.method == "supervised" else None
    return Pretraining(config, images, device, labels, num_processes)


def trained(pretraining: Pretraining, group: Group) -> Pretraining:
    for _ in pretraining.run_in(group):
        pass
    return pretraining


@contextlib.contextmanager
def second(config: TrialConfig, images: Tensor, folder: Path, device: torch.device = CPU) -> Iterator[Group]:
    """While open, a second process trains; gives the group to the first, which is this one."""
    process = multiprocessing.get_context("fork").Process(
        target=_train_as_second, args=(config, images, folder, device)
    )
    process.start()
    try:
        connect(folder, 0, SIZE, CPU)
        yield Group(0, SIZE)
    finally:
        dist.destroy_process_group()
        process.join()


def _train_as_second(config: TrialConfig, images: Tensor, folder: Path, device: torch.device) -> None:
    connect(folder, 1, SIZE, CPU)
    with pretended_gpu() if device.type == "cuda" else contextlib.nullcontext():
        # Only the first has the images; the second knows how many there are, and is sent each batch.
        trained(begin(config, torch.zeros_like(images), SIZE, device), Group(1, SIZE))
    dist.destroy_process_group()


def difference(config: TrialConfig, images: Tensor, folder: Path) -> float:
    """Of what two processes train from what one does, the largest relative one, as a norm.

    Of weights (relative to how far they move), buffers, losses, and the perturbation of free training (absolute).
    """
    alone = begin(config, images)
    start = flat(alone.encoder.parameters())
    trained(alone, ALONE)
    with second(config, images, folder) as group:
        together = trained(begin(config, images, SIZE), group)
    weights, buffers = (
        [flat(part(one.encoder)) for one in (alone, together)]
        for part in (torch.nn.Module.parameters, torch.nn.Module.buffers)
    )
    losses = [torch.tensor(one.whole_mean_loss()) for one in (alone, together)]
    found = [(weights[0] - weights[1]).norm() / (weights[0] - start).norm()]
    found += [(one - two).norm() / one.norm() for one, two in (buffers, losses)]
    if alone.perturbation is not None and together.perturbation is not None:
        found.append((alone.perturbation - together.perturbation).abs().max())
    return float(max(found))


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
    without: dict[str, Callable[..., Any]] = {
        "synchronised": lambda group: contextlib.nullcontext(),
        "gathered": lambda group, own: own,
        "sum_gradients": lambda group, parameters: None,
    }
    monkeypatch.setattr(Group, omitted, without[omitted])
    assert difference(tiny(adversary="none", epochs=1), noise_images, tmp_path) > 1e-3


def test_processes_on_gpus_wait_for_nothing_but_each_other(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, tmp_path: Path
) -> None:
    """The GPUs are pretended; what they send each other goes the CPU's way."""
    config = tiny(adversary="free", replays=2, num_views=2, epochs=1, compile=False)
    alone = begin(config, noise_images)
    next(alone.run())
    with second(config, noise_images, tmp_path, GPU) as group, pretended_gpu() as gpu:
        together = begin(config, noise_images, SIZE, GPU)
        next(together.run_in(group))
        weights = flat([weight.cpu() for weight in together.encoder.parameters()])
        gpu.reset()
        with group.synchronised():
            together.train_batch()
        assert gpu.waits.total() == 0 and gpu.copies == 1
    assert torch.allclose(weights, flat(alone.encoder.parameters()), rtol=1e-3, atol=1e-3)


def test_processes_must_share_each_batch(tiny: Callable[..., TrialConfig], noise_images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"a multiple of the processes that .*: batch_size=8, processes=3$"):
        Pretraining(tiny(), noise_images, CPU, num_processes=3)


def test_processes_on_gpus_need_one_each(tiny: Callable[..., TrialConfig]) -> None:
    there = torch.cuda.device_count()
    many = 2 * (there + 1)
    with pytest.raises(ValueError, match=f"^{many} processes need a GPU each: there are {there} here$"):
        require_processes(tiny(batch_size=many), many, torch.device("cuda"))
