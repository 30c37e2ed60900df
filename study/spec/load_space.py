"""Loads a space file by its path, or one of those that come with the project by its name."""

import importlib.util
import traceback
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from study.settings import explain
from study.spec.study_spec import StudySpec
from study.trainable import load_file

PACKAGED = "search_spaces"  # the package of the spaces that come with the project


def load_space(path: Path) -> StudySpec:
    """Runs the space file and returns its ``STUDY``.

    Args:
        path: of a file, or the name of a packaged space: ``crops_vs_epochs``, ``paper/table4``.

    Raises:
        ValueError: with one line that names the file and, if it is broken, the line number.
    """
    if not path.is_file():
        packaged = packaged_spaces()
        if str(path) not in packaged:
            raise ValueError(f"no space file at {path}, and no packaged space of that name (--list-spaces names them)")
        path = packaged[str(path)]
    try:
        module = load_file(path, again=True)
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also SystemExit: a space file must not end the command as if all were well
        message = explain(error) if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
        if isinstance(error, ValueError) and not isinstance(error, ValidationError):
            message = str(error)
        raise ValueError(f"{path}, line {_line_in(path, error)}: {message}") from None
    spec = getattr(module, "STUDY", None)
    if not isinstance(spec, StudySpec):
        raise ValueError(f"{path} must define STUDY = StudySpec(...)")
    return spec


def packaged_spaces() -> dict[str, Path]:
    """Name -> file of the spaces that come with the project."""
    package = importlib.util.find_spec(PACKAGED)
    folders = [Path(folder) for folder in (package.submodule_search_locations or []) if package] if package else []
    files = [(path.relative_to(folder), path) for folder in folders for path in sorted(folder.rglob("[!_]*.py"))]
    return {name.with_suffix("").as_posix(): path for name, path in files}


def list_spaces() -> Iterator[tuple[str, str]]:
    """Name and question of each packaged space, or what it lacks here, such as an optional package."""
    for name, path in packaged_spaces().items():
        try:
            yield name, load_space(path).question
        except ValueError as error:
            yield name, f"not available: {error}"


def _line_in(path: Path, error: BaseException) -> int | str:
    """The number of the innermost line of ``path`` in the traceback of ``error``, or ``?``."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path.absolute()]
    return frames[-1].lineno or "?" if frames else "?"
