"""Loads a space file by its path."""

import runpy
import traceback
from pathlib import Path

from pydantic import ValidationError

from study.spec import StudySpec
from trainables.trial_config import explain


def load_space(path: Path) -> StudySpec:
    """Runs the space file and returns its ``STUDY``.

    Raises:
        ValueError: with one line that names the file and, if it is broken, the line number.
    """
    if not path.is_file():
        raise ValueError(f"no space file at {path}")
    try:
        namespace = runpy.run_path(str(path))
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        message = explain(error) if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
        if isinstance(error, ValueError) and not isinstance(error, ValidationError):
            message = str(error)
        raise ValueError(f"{path}, line {_line_in(path, error)}: {message}") from None
    if not isinstance(namespace.get("STUDY"), StudySpec):
        raise ValueError(f"{path} must define STUDY = StudySpec(...)")
    spec: StudySpec = namespace["STUDY"]
    return spec


def _line_in(path: Path, error: Exception) -> int | str:
    """The number of the innermost line of ``path`` in the traceback of ``error``, or ``?``."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return frames[-1].lineno or "?" if frames else "?"
