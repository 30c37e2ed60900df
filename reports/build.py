"""Writes the report of a finished or running study: one HTML page that opens offline, and its answer as plain text.

    python -m reports.build runs/tradeoff
    python -m reports.build runs/tradeoff --export
    python -m reports.build runs/paper_table4 --paper

``--export`` also writes every table as CSV, Markdown and LaTeX and every figure as HTML, and as SVG and PNG if kaleido
and Chrome are installed. ``--with NAME`` adds sections that the study's trainable offers; ``--paper``, which puts a
study beside the paper's numbers for its recipes, is short for ``--with paper``.

Exit status: 0 if the page was written, 2 if the folder holds no study or the study has no such sections.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

REPORT_FOLDER = "report"  # of a study, in its folder


def build_report(study_dir: Path, tell: Callable[[str], None] | None = None, asked: Sequence[str] = ()) -> Path:
    """Writes ``<study_dir>/report/index.html``, whose path it returns, and beside it the answer as ``answer.txt``.

    The study itself is only read.

    Args:
        study_dir: the study's folder.
        tell: if given, tables and figures are exported too, and it is called with a line for each kind of file.
        asked: names of sections that the study's trainable adds only if asked for (``Trainable.asked_sections``).

    Raises:
        ValueError: if ``study_dir`` holds no study or a damaged one, or one that has no such sections.
    """
    from reports.answer.answer import answer_of
    from reports.answer.answer_text import write_answer
    from reports.page.about import closing_sections, interrupted_note
    from reports.page.export import export_report
    from reports.page.page import render_page, write_page
    from reports.page.running import running_note, running_section
    from reports.page.sampled import sampling_note
    from reports.page.sections import sections_of, sections_of_trainable
    from study.display.pace import pause_seconds
    from study.record.trials import tabulate
    from study.status import read_status

    began = time.monotonic()
    status = read_status(study_dir)
    table = tabulate(status.record)
    sections, answer = sections_of(table, study_dir), answer_of(table)
    sections[-1:-1] = sections_of_trainable(table, study_dir, asked)
    note, reload_seconds = interrupted_note(table), None
    if status.is_at_work:
        if status.record.with_state("running"):
            sections.insert(-1, running_section(status))
        note, reload_seconds = running_note(status), pause_seconds(time.monotonic() - began)
    sections += closing_sections(table)
    path = study_dir / REPORT_FOLDER / "index.html"
    notes = [text for text in (note, sampling_note(table)) if text]
    write_page(render_page(table.study.name, answer, sections, notes, reload_seconds), path)
    write_answer(answer, study_dir)
    if tell is not None:
        for line in export_report(sections, path.parent):
            tell(line)
    return path


def main() -> int:
    """Parses the command line and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m reports.build", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study_dir", type=Path, help="the study's folder, runs/<study>")
    parser.add_argument("--export", action="store_true", help="write tables and figures as files, too")
    parser.add_argument("--with", action="append", default=[], dest="asked", metavar="NAME",
                        help="add sections of the study's trainable; may be repeated")  # fmt: skip
    parser.add_argument("--paper", action="append_const", dest="asked", const="paper",
                        help="put the study beside the paper's numbers for its recipes (--with paper)")  # fmt: skip
    arguments = parser.parse_args()
    try:
        print(build_report(arguments.study_dir, print if arguments.export else None, arguments.asked))
    except (ValueError, OSError) as error:  # OSErrors: a full or read-only disk
        print(f"reports.build: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
