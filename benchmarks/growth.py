"""Is the cost of a view pass independent of the numbers of views and training images, and how much memory does it take?

    python -m benchmarks.growth
    python -m benchmarks.growth --encoder resnet18 --batch-size 8 --rounds 3

Free training (m = 3), including the making of views. The numbers of views are measured in turn, as are the numbers of
images, which lie in a file that is read one batch at a time, as for an image folder. Memory is the peak of a separate
process that trains two batches.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.step import benchmark_images
from study.record.environment import git_revision
from trainables.data.stored_images import ImageFile, Images, StoredImages
from trainables.heap import freed_memory_kept
from trainables.memory import least_training_bytes
from trainables.presets import PRESETS
from trainables.pretraining.pretrain import Pretraining
from trainables.trial_config import TrialConfig

NUM_VIEWS = (2, 4, 8, 16, 32)
NUM_IMAGES = (1_000, 5_000, 20_000, 50_000)
BATCH_SIZES = (25, 50, 100)
MEBI = 2**20
CPU = torch.device("cpu")


def seconds_per_pass(trainings: dict[int, Pretraining], rounds: int) -> dict[int, float]:
    """Median seconds per view pass of each training; they take turns, one batch at a time, after a warm-up round."""
    found: dict[int, list[float]] = {key: [] for key in trainings}
    with freed_memory_kept(CPU):
        for turn in range(rounds + 1):
            for key, training in trainings.items():
                training.encoder.train()
                started = time.perf_counter()
                training.train_batch()
                if turn > 0:
                    found[key].append((time.perf_counter() - started) / training.view_passes_per_batch)
    return {key: statistics.median(seconds) for key, seconds in found.items()}


def describe(name: str, seconds: dict[int, float]) -> list[str]:
    """Rows of Markdown: microseconds per view pass, and their ratio to the mean of all."""
    mean = statistics.mean(seconds.values())
    rows = [f"| {key:,} | {1e6 * value:.0f} | {value / mean:.2f} |" for key, value in seconds.items()]
    return [f"| {name} | microseconds a view pass | of the mean |", "|---|---|---|", *rows, ""]


def peak_memory(config: TrialConfig) -> int:
    """Peak resident bytes, above what Python and PyTorch take, of a process that trains two batches of ``config``."""
    code = (
        "import sys, torch\n"
        "from benchmarks.growth import peak_of_two_batches\n"
        "from trainables.trial_config import TrialConfig\n"
        "print(peak_of_two_batches(TrialConfig.model_validate_json(sys.argv[1])))"
    )
    told = subprocess.run([sys.executable, "-c", code, config.model_dump_json()], check=True, capture_output=True)
    return int(told.stdout.split()[-1])


def peak_of_two_batches(config: TrialConfig) -> int:
    """To be called in a fresh process: trains two batches and returns by how many bytes peak memory rose."""
    images = torch.zeros(2 * config.batch_size, 3, config.image_size, config.image_size, dtype=torch.uint8)
    before = _status("VmRSS")
    training = Pretraining(config, images, CPU)
    training.encoder.train()
    with freed_memory_kept(CPU):
        for _ in range(2):
            training.train_batch()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def stored(images: np.ndarray, count: int, folder: Path) -> Images:
    """``count`` images in a file, ``images`` repeated as often as needed."""
    path = folder / f"{count}.npy"
    np.save(path, images[np.arange(count) % len(images)])
    return StoredImages(ImageFile(path), np.arange(count))


def main() -> None:
    """Command line: measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", choices=["resnet_narrow", "resnet18"], default="resnet_narrow")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    changes: dict[str, Any] = {"encoder": options.encoder, "batch_size": options.batch_size}
    if options.encoder == "resnet18":
        changes |= {"projector_hidden_dim": 4096, "projector_dim": 1024, "image_size": 32}
    config = TrialConfig(**PRESETS["laptop"] | changes)
    pixels = benchmark_images(config, 1000)
    print(f"revision {git_revision()}, torch {torch.__version__}, {options.threads} threads; {config.encoder}, batches "
          f"of {config.batch_size} images of side {config.image_size}, {options.rounds} rounds\n")  # fmt: skip
    by_views = {n: Pretraining(config.replace(num_views=n), torch.from_numpy(pixels), CPU) for n in NUM_VIEWS}
    print("\n".join(describe("views an image", seconds_per_pass(by_views, options.rounds))))
    with tempfile.TemporaryDirectory() as folder:
        by_images = {n: Pretraining(config, stored(pixels, n, Path(folder)), CPU) for n in NUM_IMAGES}
        print("\n".join(describe("training images", seconds_per_pass(by_images, options.rounds))))
    print("| views x images of a batch | lower bound, checked before training | measured peak |\n|---|---|---|")
    for batch_size in BATCH_SIZES:
        for num_views in (4, 16):
            tried = config.replace(batch_size=batch_size, num_views=num_views)
            least = least_training_bytes(by_views[2].encoder, tried)
            print(
                f"| {num_views} x {batch_size} | {least / MEBI:.0f} MiB | {peak_memory(tried) / MEBI:.0f} MiB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
