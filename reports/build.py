"""Writes the report of a finished or running study: one HTML page that opens offline.

    python -m reports.build runs/tradeoff
    python -m reports.build runs/tradeoff --export
    python -m reports.build runs/paper_table4 --paper

``--export`` also writes every table as CSV, Markdown and LaTeX and every figure as HTML, and as SVG and PNG if kaleido
and Chrome are installed. ``--paper`` compares a study of ``search_spaces/paper`` with the paper's numbers.

Exit status: 0 if the page was written, 2 if the folder holds no study.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from reports.attack.attack_links import REPORT_FOLDER, attack_links
from reports.page.export import export_report
from reports.page.page import render_page, write_page
from reports.page.running import pause_seconds, running_note, running_section
from reports.page.sections import sections_of
from study.record.trials import tabulate
from study.status import read_status

REPORT_PATH = Path(REPORT_FOLDER) / "index.html"


def build_report(study_dir: Path, tell: Callable[[str], None] | None = None, *, beside_paper: bool = False) -> Path:
    """Writes ``<study_dir>/report/index.html`` and returns its path; the study itself is only read.

    Args:
        study_dir: the study's folder.
        tell: if given, tables and figures are exported too, and it is called with a line for each kind of file.
        beside_paper: compare the study with the table of the paper that it reproduces.

    Raises:
        ValueError: if ``study_dir`` holds no study or a damaged one, or, with ``beside_paper``, one that reproduces
            nothing in the paper.
    """
    began = time.monotonic()
    status = read_status(study_dir)
    table = tabulate(status.record)
    sections = sections_of(table)
    if beside_paper:
        from reports.paper.paper_table import paper_section  # uses the study's code, which imports torch

        sections.insert(1, paper_section(table))
    sections[-1:-1] = attack_links(study_dir, status.record)
    note, reload_seconds = "", None
    if status.is_at_work:
        if status.record.with_state("running"):
            sections.insert(-1, running_section(status))
        note, reload_seconds = running_note(status), pause_seconds(time.monotonic() - began)
    page = render_page(table, sections, note, reload_seconds)
    path = study_dir / REPORT_PATH
    write_page(page, path)
    if tell is not None:
        for line in export_report(sections, path.parent):
            tell(line)
    return path


def main() -> int:
    """Parses the command line and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m reports.build", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study_dir", type=Path, help="the study's folder, runs/<study>")
    parser.add_argument("--export", action="store_true", help="write tables and figures as files, too")
    parser.add_argument("--paper", action="store_true", help="put the study beside the paper's table that it repeats")
    arguments = parser.parse_args()
    try:
        tell = print if arguments.export else None
        print(build_report(arguments.study_dir, tell, beside_paper=arguments.paper))
    except ValueError as error:
        print(f"reports.build: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
