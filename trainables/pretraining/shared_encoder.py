"""Finished encoders, shared by trials with equal pretraining, even when several request one at the same time."""

import fcntl
import functools
import hashlib
from pathlib import Path
from typing import IO, Any

import torch

from study.files import replacing
from trainables.trial_config import TrialConfig
from trainables.whole_files import DamagedFile, load_state


def encoder_name(config: TrialConfig, data_checksum: str, device_type: str) -> str:
    """The file name of the encoder of ``config``: equal if pretraining, device type, images and versions are equal."""
    return f"{config.pretraining_hash()}-{circumstances_digest(data_checksum, device_type)}.pt"


def circumstances_digest(data_checksum: str, device_type: str) -> str:
    """16 hex digits that are equal if device type, images and versions are."""
    circumstances = f"{torch.__version__} {device_type} {data_checksum} {_code_digest()}"
    return hashlib.sha256(circumstances.encode()).hexdigest()[:16]


@functools.cache
def _code_digest() -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


class SharedEncoder:
    """One file with the state of a finished pretraining, and the exclusive right to produce it; a context manager.

    Args:
        path: the file, from ``encoder_name``; its folder is created if missing. None: nothing is shared.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> "SharedEncoder":
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exception: object) -> None:
        """Releases the right to train: if this trial stopped before the end, another can train the encoder."""
        if self._path is not None and self._lock is not None:
            # Another trial may have opened the file that is removed here; then two train, which only costs time.
            self._path.with_suffix(".lock").unlink(missing_ok=True)
            self._lock.close()

    def load(self) -> dict[str, Any] | None:
        """The state, or None if no trial has finished it yet; a damaged file is removed and the encoder retrained."""
        if self._path is None:
            return None
        try:
            state: dict[str, Any] = load_state(self._path)
        except FileNotFoundError:
            return None
        except DamagedFile:
            # Another trial may have replaced the file in between; retraining its encoder only costs time.
            self._path.unlink(missing_ok=True)
            return None
        return state

    def take_over(self) -> bool:
        """Whether the caller is the one to train; this right ends with the context, or with the process."""
        if self._path is None or self._lock is not None:
            return True
        file = self._path.with_suffix(".lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        except OSError:
            pass  # a file system without locks: every trial trains
        self._lock = file
        return True

    def save(self, state: dict[str, Any]) -> None:
        """Saves the state of a finished pretraining, atomically."""
        if self._path is not None and not self._path.exists():
            with replacing(self._path) as unfinished:
                torch.save(state, unfinished)
