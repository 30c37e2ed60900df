"""One free-training replay and one PGD-5 update of EMP-SSL: this project's against plain PyTorch's, on this machine.

    python -m benchmarks.step                      # ResNet-18, 16 images x 16 views of 32 x 32
    python -m benchmarks.step --net laptop         # the laptop preset's
    python -m benchmarks.step --batch-size 100 --device cuda

Both sides take turns, each in its own process, on real images: CIFAR-10 if --data-root is an image folder of it, else
enlarged digits. A replay includes its share of the views of its batch. The loss is then timed alone, at 100 images.
"""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.plain_baseline import PlainPretraining, Stopwatch, emp_ssl_loss, view_loader
from benchmarks.sides import Jobs, format_seconds, side, take_turns
from study.record.environment import git_revision
from trainables.data.datasets import load_data
from trainables.heap import freed_memory_kept
from trainables.presets import PRESETS
from trainables.pretraining.cost import count_pass_cost, train_pflop_per_batch
from trainables.pretraining.encoders import build_encoder
from trainables.pretraining.pretrain import Pretraining
from trainables.pretraining.ssl_losses import ssl_loss
from trainables.trial_config import TrialConfig

PARTS = ("views", "forward", "loss", "backward", "optimiser", "perturbation")
LOSS_SHAPE = (16, 100, 1024)  # views, images, projected features
MATMUL_SIDE = {"cuda": 8192, "cpu": 2048}


class WatchedPretraining(Pretraining):
    """This project's pretraining with a stopwatch on its parts; the remaining time is the perturbation's."""

    def __init__(self, config: TrialConfig, images: Tensor, device: torch.device) -> None:
        super().__init__(config, images, device)
        self.watch = Stopwatch(device)
        self.encoder.train()

    def train_batch(self) -> None:
        """As inherited, but starts over after the last batch."""
        if self.batches_done >= self.num_batches:
            self.batches_done = 0
        before = sum(self.watch.seconds.values())
        started = time.perf_counter()
        with self._backward_watched():
            super().train_batch()
        self._synchronise()
        parts = sum(self.watch.seconds.values()) - before
        self.watch.seconds["perturbation"] += time.perf_counter() - started - parts

    def _next_batch(self) -> tuple[Tensor, Tensor | None]:
        with self.watch.part("views"):
            return super()._next_batch()

    def _project(self, views: Tensor) -> Tensor:
        with self.watch.part("forward"):
            return super()._project(views)

    def _loss(self, *arguments: Any, **options: Any) -> Tensor:
        with self.watch.part("loss"):
            return super()._loss(*arguments, **options)

    def _step(self, loss: Tensor, replay: int = 0) -> None:
        with self.watch.part("optimiser"):
            super()._step(loss, replay)

    @contextlib.contextmanager
    def _backward_watched(self) -> Iterator[None]:
        backward, grad = Tensor.backward, torch.autograd.grad

        def watched(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                with self.watch.part("backward"):
                    return function(*args, **kwargs)

            return call

        with (
            mock.patch.object(Tensor, "backward", watched(backward)),
            mock.patch.object(torch.autograd, "grad", watched(grad)),
        ):
            yield


@contextlib.contextmanager
def our_batches(config: TrialConfig, images: np.ndarray, device: torch.device) -> Iterator[Jobs]:
    """Trains as trials do."""
    with freed_memory_kept(device):
        ours = WatchedPretraining(config, torch.from_numpy(images), device)
        yield {"batch": ours.train_batch, "seconds": lambda: dict(ours.watch.seconds)}


@contextlib.contextmanager
def plain_batches(config: TrialConfig, images: np.ndarray, device: torch.device) -> Iterator[Jobs]:
    """Trains in plain PyTorch."""
    num_batches = config.epochs * (len(images) // config.batch_size)
    plain = PlainPretraining(config, build_encoder(config, seed=0), device, num_batches)
    loader = _Endless(view_loader(images, config, num_workers=torch.get_num_threads()))
    train = plain.free_updates if config.adversary == "free" else plain.pgd_update

    def train_batch() -> None:
        with plain.watch.part("views"):
            batch = loader.next()
        train(batch)

    yield {"batch": train_batch, "seconds": lambda: dict(plain.watch.seconds)}


def compare_steps(config: TrialConfig, images: np.ndarray, device: torch.device, repeats: int) -> list[str]:
    """Times whole batches of ``config`` on both sides and reports them as lines of Markdown.

    Args:
        config: adversary free or pgd.
        images: (N, 3, S, S) uint8, at least one batch.
        device: where to train.
        repeats: batches per side.
    """
    given = config, images, device
    with side(our_batches, *given) as ours, side(plain_batches, *given) as plain:
        for one in (ours, plain):  # warm-up, which includes compilation
            one.do("batch")
        before = [one.do("seconds") for one in (ours, plain)]
        compared = take_turns(lambda: ours.do("batch"), lambda: plain.do("batch"), repeats, warm_up=False)
        parts = [
            part_seconds(one.do("seconds"), earlier, repeats)
            for one, earlier in zip((ours, plain), before, strict=True)
        ]
    updates = config.updates_per_batch()
    what = f"free, a replay of {updates}" if config.adversary == "free" else f"PGD-{config.pgd_steps}, an update"
    lines = [f"**{what}**: {compared.per(updates).describe()}", "", "| part | ours | plain |", "|---|---|---|"]
    for part in PARTS:
        shares = [format_seconds(seconds.get(part, 0.0) / updates) for seconds in parts]
        lines.append(f"| {part} | {shares[0]} | {shares[1]} |")
    pflop = train_pflop_per_batch(config, count_pass_cost(build_encoder(config, seed=0), config), config.batch_size)
    lines += ["", _rate(device, 1000 * pflop / float(np.median(compared.ours)))]
    return lines


def part_seconds(watched: dict[str, float], before: dict[str, float], repeats: int) -> dict[str, float]:
    """Seconds of each part of a batch, from what a stopwatch showed after and before ``repeats`` batches."""
    return {part: (seconds - before.get(part, 0.0)) / repeats for part, seconds in watched.items()}


class _Endless:
    """Iterates over a loader endlessly."""

    def __init__(self, loader: DataLoader[Tensor]) -> None:
        self._loader, self._walk = loader, iter(loader)

    def next(self) -> Tensor:
        batch = next(self._walk, None)
        if batch is None:
            self._walk = iter(self._loader)
            batch = next(self._walk)
        return batch


def compare_losses(config: TrialConfig, device: torch.device, repeats: int) -> str:
    """Times loss and gradient at 16 views of 100 images on both sides."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(LOSS_SHAPE, generator=generator).to(device)

    def run(loss: Callable[[Tensor, TrialConfig], Tensor]) -> None:
        z = torch.nn.functional.normalize(inputs, dim=2).requires_grad_()
        loss(z, config).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return take_turns(lambda: run(ssl_loss), lambda: run(emp_ssl_loss), repeats).describe()


def _rate(device: torch.device, tflops: float) -> str:
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    peak = dense_tflops(device, dtype)
    of_peak = f"{100 * tflops / peak:.0f}% of the {peak:.3g} of dense {str(dtype).removeprefix('torch.')} products"
    return f"Ours computes at {tflops:.3g} TFLOP/s, {of_peak}."


def dense_tflops(device: torch.device, dtype: torch.dtype, repeats: int = 10) -> float:
    """TFLOP/s of square matrix products of ``dtype`` on ``device``."""
    side = MATMUL_SIDE[device.type]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(repeats + 3):
        started = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / float(np.median(seconds[3:])) / 1e12


def benchmark_images(config: TrialConfig, count: int) -> np.ndarray:
    """The first ``count`` training images (count, 3, S, S) of the config's data set, uint8."""
    images, _ = load_data(config).train.tensors(count)
    rows = images[torch.arange(len(images))]
    return rows.numpy() if isinstance(rows, Tensor) else np.asarray(rows)


def configs(net: str, data_root: Path | None, batch_size: int | None, precision: str) -> Sequence[TrialConfig]:
    """Free and PGD training of the requested net."""
    changes: dict[str, Any] = dict(PRESETS["laptop"]) if net == "laptop" else {"batch_size": 16, "dataset": "digits"}
    if data_root is not None:
        changes |= {"dataset": "imagefolder", "data_root": str(data_root), "image_size": 32, "train_images": 2000}
    if batch_size is not None:
        changes["batch_size"] = batch_size
    config = TrialConfig(**changes | {"precision": precision})
    return config.replace(adversary="free"), config.replace(adversary="pgd")


def main() -> None:
    """Command line: measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=["resnet18", "laptop"], default="resnet18")
    parser.add_argument("--data-root", type=Path, help="an image folder of CIFAR-10; none: digits")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of our side; plain is fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    free, pgd = configs(options.net, options.data_root, options.batch_size, options.precision)
    images = benchmark_images(free, max(200, 4 * free.batch_size))
    print(f"revision {git_revision()}, torch {torch.__version__}, {device}, {options.threads} threads; {free.encoder}, "
          f"{free.batch_size} images x {free.num_views} views of {free.image_size} x {free.image_size}, ours in "
          f"{free.precision}; {options.repeats} turns\n")  # fmt: skip
    for config in (free, pgd):
        print("\n".join(compare_steps(config, images, device, options.repeats)) + "\n", flush=True)
    shape = f"{LOSS_SHAPE[0]} views of {LOSS_SHAPE[1]} images, {LOSS_SHAPE[2]} features"
    print(f"**loss and its gradient** ({shape}): {compare_losses(TrialConfig(), device, options.repeats)}")


if __name__ == "__main__":
    main()
