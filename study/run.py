"""Runs a study from a space file, or goes on with it where it was left.

    python -m study.run --space search_spaces/crops_vs_epochs.py

needs no flags, no GPU and no download. Ctrl-C ends cleanly; the same command resumes.
"""

import argparse
import sys
from pathlib import Path
from typing import get_args

from pydantic import ValidationError
from rich.console import Console

from study.command import RunningStudy, StudyCommand, prepare, run, start
from study.spec import Sampler
from trainables.trial_config import PRESETS, explain


def main(arguments: list[str] | None = None) -> int:
    """Parses, prepares, runs; returns 0 (done), 130 (interrupted) or 2 (bad input, before any work started)."""
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        study = _start(options, console)
        return run(study, console) if study is not None else 2
    except KeyboardInterrupt:
        print("Interrupted; the same command resumes.", file=sys.stderr)
        return 130


def _start(options: argparse.Namespace, console: Console) -> RunningStudy | None:
    """The study, ready to run; None where something is wrong, which is said in one line."""
    try:
        return start(prepare(StudyCommand(**vars(options)), console), console)
    except ValidationError as error:
        print(f"error: {explain(error)}", file=sys.stderr)
    except (ValueError, OSError) as error:  # no cluster to connect to and folders that cannot be written are OSErrors
        print(f"error: {str(error).strip().splitlines()[0]}", file=sys.stderr)
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m study.run",
        description="Runs a study from a space file, or goes on with it where it was left.",
    )
    add = parser.add_argument
    add("--space", type=Path, required=True, help="a file that exports STUDY, such as search_spaces/crops_vs_epochs.py")
    add(
        "--preset",
        choices=PRESETS,
        default="laptop",
        help="laptop (default): digits in minutes; paper: the recipe as published",
    )
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="set a field of the base config")
    add("--dataset", help="digits, cifar10, cifar100 or imagefolder; as --set dataset=...")
    add("--data-root", help="where the dataset's files are; as --set data_root=...")
    add("--trials", type=int, help="how many trials a search has; more than before extends a study")
    add("--sampler", choices=get_args(Sampler), help="how Optuna proposes")
    add("--no-stopping", action="store_true", help="run every trial to its end")
    add("--seed", type=int, default=0, help="of the search and of every trial; default: 0")
    add("--name", help="folder of the study in --output; default: the space's own name")
    add("--output", type=Path, default=Path("runs"), help="folder of all studies and of MLflow's store; default: runs")
    add("--device", help="cpu or cuda; default: cuda where there is one")
    add("--cpus-per-trial", type=int, help="cores and threads of a trial; default: 1")
    add("--gpus-per-trial", type=float, help="GPUs of a trial, may be a fraction; default: 1 on a GPU")
    add("--concurrency", type=int, help="trials at a time; default: as many as fit")
    add("--address", help="address of a running Ray cluster, or auto; default: Ray on this machine")
    return parser


if __name__ == "__main__":
    sys.exit(main())
