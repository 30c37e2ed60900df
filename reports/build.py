"""Writes the report of a finished or running study: one HTML page that opens offline.

    python -m reports.build runs/tradeoff

Exit status: 0 when the page was written, 2 when the folder holds no study.
"""

import argparse
import os
import sys
from pathlib import Path

from reports.page import render_page
from reports.sections import sections_of
from reports.trials import tabulate
from study.journal import read_study

REPORT_PATH = Path("report") / "index.html"


def build_report(study_dir: Path) -> Path:
    """Writes ``<study_dir>/report/index.html`` and returns its path; the study itself is only read.

    Raises:
        ValueError: where ``study_dir`` holds no study, or a damaged one.
    """
    study = read_study(study_dir)
    if not study.name:
        raise ValueError(f"no study in {study_dir}: its journal does not say which study it is")
    table = tabulate(study)
    page = render_page(table, sections_of(table))
    path = study_dir / REPORT_PATH
    path.parent.mkdir(exist_ok=True)
    # Whole or not at all: a browser may be reading the page of a running study.
    part = path.with_suffix(".html.part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, path)
    return path


def main() -> int:
    """Parses the command line and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m reports.build", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study_dir", type=Path, help="the study's folder, runs/<study>")
    arguments = parser.parse_args()
    try:
        print(build_report(arguments.study_dir))
    except ValueError as error:
        print(f"reports.build: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
