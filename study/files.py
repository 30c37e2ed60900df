"""Files that are complete or absent, even after a kill, a crash or a full disk."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE)
# What torch says when a file could not be written, without the system's reason.
STORAGE_WORDS = ("unexpected pos", "PytorchStreamWriter failed", "No space left on device", "Disk quota exceeded")


def is_storage_fault(error: BaseException) -> bool:
    """Whether the storage is to blame for ``error`` (full, over quota, failing, read-only), not what was computed.

    Example:
        >>> is_storage_fault(OSError(errno.ENOSPC, "No space left on device")), is_storage_fault(FileNotFoundError())
        (True, False)
    """
    is_told = isinstance(error, RuntimeError | OSError) and any(word in str(error) for word in STORAGE_WORDS)
    return is_told or (isinstance(error, OSError) and error.errno in STORAGE_ERRORS)


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


def make_folder(path: Path) -> None:
    """Creates a folder unless it exists; raises ``ValueError`` if it cannot be created."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the folder {path}: {error.strerror}") from None
