"""Files that are whole or not there, and known to be damaged where they are: after a kill, a crash or a full disk."""

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
    """A path to write to; in the end the file there is flushed to the disk and takes the place of ``path``.

    The folder is made where it is missing. Where writing fails ``path`` stays as it was.
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

    The checksums in the file are compared; ``torch.load`` leaves that out and takes zeros for weights.

    Raises:
        DamagedFile: where it is no such file, or other bytes than were written.
        OSError: where it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is None:
            return torch.load(path, weights_only=True, map_location="cpu")
    except (zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise DamagedFile(f"{path} is damaged: {type(error).__name__}") from None
    raise DamagedFile(f"{path} is damaged: {damaged}")
