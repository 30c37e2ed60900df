"""Runs a study from a space file, or resumes it.

    python -m study.run --space search_spaces/crops_vs_epochs.py

needs no further options, no GPU and no download. Ctrl-C ends cleanly; the same command resumes.
"""

import sys
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from study.settings import explain
from study.spec.load_space import list_spaces
from study.spec.options import StudyCommand, study_parser

Result = TypeVar("Result")


def main(arguments: list[str] | None = None) -> int:
    """Parses, prepares, runs; returns 0 (done), 1 (Ray died), 130 (interrupted) or 2 (bad input, no work done)."""
    parser = study_parser()
    options = vars(parser.parse_args(arguments))
    if options.pop("list_spaces"):
        for name, question in list_spaces():
            print(f"{name:28} {question}")
        return 0
    if options["space"] is None:
        parser.error("--space is required (--list-spaces names those that come with the project)")
    from rich.console import Console

    from study.command import planned, prepare, run, say, start

    console = Console()
    is_dry_run = options.pop("dry_run")
    try:
        prepared = _told(lambda: prepare(StudyCommand(**options), console))
        if prepared is not None and is_dry_run:
            say(console, planned(prepared))
            return 0
        study = None if prepared is None else _told(lambda: start(prepared, console))
        return run(study, console) if study is not None else 2
    except KeyboardInterrupt:
        print("Interrupted; the same command resumes.", file=sys.stderr)
        return 130


def _told(step: Callable[[], Result]) -> Result | None:
    """What ``step`` returns; None if something is wrong, in which case one line says what."""
    try:
        return step()
    except ValidationError as error:
        print(f"error: {explain(error)}", file=sys.stderr)
    except (ValueError, OSError) as error:  # OSErrors: no cluster to connect to, folders that cannot be written
        print(f"error: {str(error).strip().splitlines()[0]}", file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(main())
