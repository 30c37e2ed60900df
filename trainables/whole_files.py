"""Files that are complete or absent, and whose damage is detected, even after a kill, a crash or a full disk."""

import os
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


class DamagedFile(ValueError):
    """A file that does not hold what was written to it."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to; on success, the file there is flushed to the disk and replaces ``path``.

    The folder is created if missing. If writing fails, ``path`` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())  # else the name may reach the disk before the bytes do
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def load_state(path: Path) -> Any:
    """What ``torch.save`` wrote to ``path``, on the CPU.

    The checksums in the file are verified; ``torch.load`` does not do so and accepts zeros as weights.

    Raises:
        DamagedFile: if it is not such a file, or its bytes are not those that were written.
        OSError: if it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is None:
            return torch.load(path, weights_only=True, map_location="cpu")
    except (zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise DamagedFile(f"{path} is damaged: {type(error).__name__}") from None
    raise DamagedFile(f"{path} is damaged: {damaged}")
