"""Runs a study from a space file, or resumes it.

    python -m study.run --space search_spaces/crops_vs_epochs.py

needs no further options, no GPU and no download. Ctrl-C ends cleanly; the same command resumes.
"""

import sys
from typing import TYPE_CHECKING

from pydantic import ValidationError

from study.settings import explain
from study.spec.load_space import list_spaces
from study.spec.options import StudyCommand, study_parser

if TYPE_CHECKING:
    from rich.console import Console

    from study.command import RunningStudy


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

    from study.command import run

    console = Console()
    try:
        study = _start(StudyCommand(**options), console)
        return run(study, console) if study is not None else 2
    except KeyboardInterrupt:
        print("Interrupted; the same command resumes.", file=sys.stderr)
        return 130


def _start(command: StudyCommand, console: "Console") -> "RunningStudy | None":
    """The study, ready to run; None if something is wrong, in which case one line says what."""
    from study.command import prepare, start

    try:
        return start(prepare(command, console), console)
    except ValidationError as error:
        print(f"error: {explain(error)}", file=sys.stderr)
    except (ValueError, OSError) as error:  # OSErrors: no cluster to connect to, folders that cannot be written
        print(f"error: {str(error).strip().splitlines()[0]}", file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(main())
