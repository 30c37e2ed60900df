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
    """Parses, prepares, runs; returns the exit code.

    0: done; 1: every trial failed, as many as ``--abort-after-failures`` says did, or Ray died; 2: bad input, no work
    done; 75: the storage failed; 130, 143, 129: interrupted by Ctrl-C, SIGTERM, SIGHUP.
    """
    parser = study_parser()
    options = vars(parser.parse_args(arguments))
    if options.pop("list_spaces"):
        for name, question in list_spaces():
            print(f"{name:28} {question}")
        return 0
    if options["space"] is None:
        parser.error("--space is required (--list-spaces names those that come with the project)")
    from study.command import planned, prepare, run, say, start
    from study.display.console import StudyConsole

    console = StudyConsole()
    is_dry_run = options.pop("dry_run")
    try:
        prepared = _told(lambda: prepare(StudyCommand(**options), console))
        if prepared is not None and is_dry_run:
            say(console, planned(prepared))
            return 0
        try:
            study = None if prepared is None else _told(lambda: start(prepared, console))
            return 2 if study is None else run(study, console)
        finally:
            if "study.workers.launch" in sys.modules:  # slow to import, only there if Ray was needed
                sys.modules["study.workers.launch"].stop_ray()
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
