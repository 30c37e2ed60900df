"""Starts the other processes of a data-parallel pretraining, on this machine, and ends them.

The first process runs the trial; the others (``other_process``) train with it and do nothing else, and end as soon as
it is gone. On GPUs each has one of its own.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from study.trainable import ProcessLost
from trainables.pretraining.data_parallel import ALONE, Group

START_NAME = "start.pt"
END_SECONDS = 5.0  # in which a process that has failed, or is no longer needed, ends


@contextlib.contextmanager
def joined(size: int, device: torch.device, start: Callable[[], dict[str, Any]]) -> Iterator[Group]:
    """While open, ``size - 1`` other processes train with this one, the first of the group, and share its threads.

    Args:
        size: number of processes; 1: nothing is started.
        device: of this process.
        start: makes what the others begin with, of plain values and tensors; see ``other_process``.

    Raises:
        ProcessLost: if one of the others was killed.
        RuntimeError: if one of them failed; with its reason.
    """
    if size == 1:
        yield ALONE
        return
    num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.set_num_threads(max(1, num_threads // size))
        torch.save(start() | {"device": device.type, "num_threads": torch.get_num_threads()}, folder / START_NAME)
        others = [_start(folder, rank, size) for rank in range(1, size)]
        try:
            for process in others:
                if not process.stdout.readline():  # type: ignore[union-attr]
                    raise RuntimeError("a process ended before it was ready")
            connect(folder, 0, size, device)
            yield Group(0, size, partial(_proceed, others))
        except Exception as error:
            if (reason := _reason(others, folder)) is not None:
                raise reason from error
            raise
        finally:
            if device.type == "cuda" and not any(process.poll() for process in others):
                torch.cuda.synchronize(device)  # the last batch needs the others
            _end(others)
            torch.set_num_threads(num_threads)


def connect(folder: Path, rank: int, size: int, device: torch.device) -> None:
    """Makes this process one of the default group of ``torch.distributed``, once all others have called this as well.

    Args:
        folder: an empty one that all can write to.
        rank: of this process, from 0.
        size: number of processes.
        device: of this process.
    """
    backend = "nccl" if device.type == "cuda" else "gloo"
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")  # listens here only
    dist.init_process_group(backend, init_method=f"file://{folder}/store", rank=rank, world_size=size)


def reason_path(folder: Path, rank: int) -> Path:
    """Where a process writes why it failed."""
    return folder / f"{rank}.txt"


def _start(folder: Path, rank: int, size: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "trainables.pretraining.other_process", str(folder), str(rank), str(size)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        process_group=0,  # Ctrl-C goes to the first process alone
    )


def _proceed(others: list[subprocess.Popen[bytes]]) -> None:
    for process in others:
        process.stdin.write(b".")  # type: ignore[union-attr]


def _reason(others: list[subprocess.Popen[bytes]], folder: Path) -> Exception | None:
    """Why the first of the others to fail did, after which the rest fail as well; None if none has."""
    until = time.monotonic() + END_SECONDS
    while time.monotonic() < until and not any(process.poll() for process in others):
        time.sleep(0.05)
    codes = {rank: code for rank, process in enumerate(others, start=1) if (code := process.poll())}
    for rank, code in codes.items():
        if code < 0:
            return ProcessLost(f"process {rank} of the trial was ended by {signal.Signals(-code).name}")
    told = [path for path in (reason_path(folder, rank) for rank in codes) if path.is_file()]
    if told:
        first = min(told, key=lambda path: path.stat().st_mtime_ns)
        return RuntimeError(f"process {first.stem} of the trial: {first.read_text()}")
    return RuntimeError(f"processes of the trial ended, with exit codes {codes}") if codes else None


def _end(others: list[subprocess.Popen[bytes]]) -> None:
    """Ends all processes, whatever they do: they listen to their standard input."""
    for process in others:
        process.stdin.close()  # type: ignore[union-attr]
    for process in others:
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()  # type: ignore[union-attr]
    if dist.is_initialized():
        dist.destroy_process_group()
