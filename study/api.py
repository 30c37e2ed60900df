"""Running a study from Python, in a script or a notebook."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from study.command import prepare, run, start
from study.spec import StudySpec
from study.spec.options import StudyCommand

if TYPE_CHECKING:
    from study import StudyResult


def run_study(
    space: StudySpec | str | Path, *, output: str | Path = "runs", quiet: bool = False, **options: Any
) -> "StudyResult":
    """Runs a study, or resumes the one of the same name in ``output``, and returns its result.

    Args:
        space: a spec, a space file, or the name of a packaged space.
        output: the folder of all studies.
        quiet: print nothing.
        options: as of ``python -m study.run``, with underscores: ``trials=20``, ``seeds=[0, 1]``, ``preset="laptop"``,
            ``set={"epochs": 2}``, ``budget={"hours": 1}``, ``at_least={"val_clean": 80}``, ``concurrency=2`` (see
            ``StudyCommand``).

    Returns:
        The result (``open_study``), also if the study was interrupted.

    Raises:
        ValueError: naming what is wrong, before any work.

    A script that calls this and defines its own trainable does so under ``if __name__ == "__main__":``, because workers
    import the file.

    Example:
        >>> run_study("crops_vs_epochs", epochs=2)
        Traceback (most recent call last):
        ValueError: unknown option 'epochs'; options are space, preset, ...
        >>> result = run_study("crops_vs_epochs", trials=2, output="runs")  # doctest: +SKIP
        >>> result.front[["uid", "val_clean", "val_pgd_8"]]  # doctest: +SKIP
    """
    import study

    known = StudyCommand.__dataclass_fields__
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; options are {', '.join(known)}")
    if options.get("warm_start") is not None:
        options["warm_start"] = Path(options["warm_start"])
    for name in ("set", "budget", "at_least", "at_most"):
        given = options.get(name, {})
        options[name] = [
            f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in given.items()
        ]
    asked = space if isinstance(space, StudySpec) else Path(space)
    command = StudyCommand(space=asked, output=Path(output), **options)
    console = Console(quiet=quiet, file=sys.stdout, force_jupyter=False)  # plain lines in notebooks, too
    prepared = prepare(command, console)
    with _own_ray():
        run(start(prepared, console), console)
    return study.open_study(prepared.study_dir)


@contextlib.contextmanager
def _own_ray() -> Iterator[None]:
    """Shuts Ray down at the end, so that the next study can start it; if it already runs in this process, it stays."""
    import ray  # slow to import

    from study.workers.launch import stop_ray

    was_running = ray.is_initialized()
    try:
        yield
    finally:
        if not was_running:
            stop_ray()
