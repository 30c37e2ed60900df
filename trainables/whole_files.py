"""Saved tensors whose damage is detected."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch


class DamagedFile(ValueError):
    """A file that does not hold what was written to it."""


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
