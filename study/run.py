"""Runs a study from a space file, or resumes it.

    python -m study.run --space search_spaces/crops_vs_epochs.py

needs no further options, no GPU and no download. Ctrl-C ends cleanly; the same command resumes.
"""

import argparse
import sys

from pydantic import ValidationError
from rich.console import Console

from study.command import RunningStudy, prepare, run, start
from study.spec.options import StudyCommand, study_parser
from trainables.trial_config import explain


def main(arguments: list[str] | None = None) -> int:
    """Parses, prepares, runs; returns 0 (done), 1 (Ray died), 130 (interrupted) or 2 (bad input, no work done)."""
    options = study_parser().parse_args(arguments)
    console = Console()
    try:
        study = _start(options, console)
        return run(study, console) if study is not None else 2
    except KeyboardInterrupt:
        print("Interrupted; the same command resumes.", file=sys.stderr)
        return 130


def _start(options: argparse.Namespace, console: Console) -> RunningStudy | None:
    """The study, ready to run; None if something is wrong, in which case one line says what."""
    try:
        return start(prepare(StudyCommand(**vars(options)), console), console)
    except ValidationError as error:
        print(f"error: {explain(error)}", file=sys.stderr)
    except (ValueError, OSError) as error:  # OSErrors: no cluster to connect to, folders that cannot be written
        print(f"error: {str(error).strip().splitlines()[0]}", file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(main())
