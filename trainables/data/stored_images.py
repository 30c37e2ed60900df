"""Images that stay in their file: only the requested rows are read, whatever the size of the data set.

Rows are read at their position in the file, not through a memory map. Cold pages of a map are faulted in piece by piece
(two to three times slower in random order), count as memory of the process, and kill it with a bus error if the file is
truncated; a read raises an exception instead.
"""

import hashlib
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor


class ImageFile:
    """An .npy file of uint8 images (N, 3, S, S) whose pixels have been verified by their SHA-256.

    Pickles as path and digest, without pixels, and is opened again at the next read. A verified file is not verified
    again as long as it is the same file (inode, size, time); any other file, such as one of that name on another
    machine, is.

    Args:
        path: the file.
        sha256: of its pixels; None accepts the file as it is.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not such a file, or holds other pixels.
    """

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        self.path, self.sha256 = path, sha256 or ""
        self.shape: tuple[int, ...] = ()
        self._start = 0  # of the pixels, in bytes
        self._verified: tuple[int, int, int] | None = None
        self._descriptor: int | None = None
        self.open()

    def open(self) -> int:
        """The descriptor of the verified file; raises like the constructor."""
        if self._descriptor is None:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = status.st_ino, status.st_size, status.st_mtime_ns
                self.shape, self._start = _read_header(file), file.tell()
                if identity != self._verified:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
                    if self.sha256 not in ("", found):
                        raise ValueError(f"the pixels in {self.path} are not those that were written")
                    self.sha256, self._verified = found, identity
                self._descriptor = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._descriptor)
        return self._descriptor

    def move(self, path: Path) -> None:
        """Moves the file to ``path``, replacing any file there; it stays verified."""
        os.replace(self.path, path)
        self.path = path

    def is_here(self) -> bool:
        """Whether the file can be read on this machine and holds what was verified."""
        try:
            self.open()
        except (OSError, ValueError):
            return False
        return True

    def read(self, rows: np.ndarray) -> Tensor:
        """The images of ``rows`` (n,), in that order, as a new tensor (n, 3, S, S), uint8."""
        descriptor = self.open()
        images = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        for image, row in zip(images, rows.tolist(), strict=True):
            if not 0 <= row < self.shape[0]:
                raise IndexError(f"{self.path} has no row {row}: it holds {self.shape[0]} images")
            if os.preadv(descriptor, [image.data], self._start + row * image.nbytes) != image.nbytes:
                raise OSError(f"{self.path} has become shorter while it was read")
        return torch.from_numpy(images)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_descriptor": None}


@dataclass(frozen=True, eq=False)
class StoredImages:
    """Some rows of an ``ImageFile``, used like a tensor of images (N, 3, S, S), uint8, in CPU memory.

    Indexing and splitting read the images and return tensors; ``narrowed`` does not read.
    """

    file: ImageFile
    rows: np.ndarray  # (N,) int64

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: slice | Tensor) -> Tensor:
        """The images of a slice, or of indices (n,), read into a new tensor."""
        return self.file.read(self.rows[chosen if isinstance(chosen, slice) else chosen.numpy()])

    def split(self, size: int) -> Iterator[Tensor]:
        """Reads ``size`` images at a time; the last part holds the remainder."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def narrowed(self, indices: np.ndarray | slice) -> "StoredImages":
        """The images at ``indices``, in that order, left in the file."""
        return StoredImages(self.file, self.rows[indices])


Images = Tensor | StoredImages


def write_header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    """Begins an .npy file of uint8 pixels of ``shape`` in C order; returns the offset at which the pixels start."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.tell()


def _read_header(file: BinaryIO) -> tuple[int, ...]:
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not an .npy file of format 1.0")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if is_fortran or dtype != np.uint8 or len(shape) != 4:
        raise ValueError(f"not an .npy file of images: {dtype=}, {shape=}")
    return shape
