"""Compares two trials, or one configuration from each of two studies: configs, accuracies example by example, cost.

    python -m reports.compare runs/tradeoff/trials/t0003 runs/tradeoff/trials/t0011
    python -m reports.compare runs/tradeoff runs/scale_ranges --choose best --html compared.html

Prints Markdown. A study is represented by the knee of its front, or with ``--choose best`` by the front's best member
in the metric that the study is mainly about, such as a robust accuracy.

Exit status: 0 if the two were compared, 2 if a folder holds neither a trial nor a study.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from study.record.journal import JOURNAL_NAME

if TYPE_CHECKING:
    from reports.page.page import Section

RULES = ("knee", "best")


def compare(first: Path, second: Path, rule: str = "knee") -> "list[Section]":
    """The sections of a comparison of two folders, each of a trial or of a study.

    Raises:
        ValueError: if a folder holds neither, or is damaged.
    """
    from reports.compare.compared_trials import read_trial

    folders, chosen = {"A": first, "B": second}, {}
    studies = [letter for letter, folder in folders.items() if (folder / JOURNAL_NAME).is_file()]
    if studies:
        from reports.compare.compared_studies import chosen_configuration, common_seed

        chosen = {letter: chosen_configuration(folders[letter], rule) for letter in studies}
        seed = common_seed(chosen["A"], chosen["B"]) if len(chosen) == 2 else None
        folders |= {letter: choice.trial_folder(seed) for letter, choice in chosen.items()}
    one, other = (read_trial(folder) for folder in folders.values())
    from reports.compare.comparison_sections import study_section, trial_sections  # not to refuse a wrong folder

    return [*([study_section(chosen)] if chosen else []), *trial_sections(one, other)]


def as_markdown(sections: "list[Section]") -> str:
    """The sections as Markdown."""
    from reports.page.table_formats import to_markdown

    parts = [
        [f"## {section.title}", section.caption, *(to_markdown(table).strip() for table in section.tables)]
        for section in sections
    ]
    return "\n\n".join(text for part in parts for text in part if text)


def as_page(sections: "list[Section]", first: Path, second: Path) -> str:
    """The sections as an HTML page."""
    import html

    from reports.page.page import whole_page

    title = f"{first.name} against {second.name}"
    return whole_page(title, f"<header><h1>{html.escape(title)}</h1></header>", sections)


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line, prints the comparison and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m reports.compare", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("first", type=Path, help="A: runs/<study>/trials/<trial>, or runs/<study>")
    parser.add_argument("second", type=Path, help="B, likewise")
    parser.add_argument("--choose", choices=RULES, default="knee", help="what of a study is compared (default: knee)")
    parser.add_argument("--html", type=Path, metavar="PATH", help="also write a page")
    options = parser.parse_args(arguments)
    try:
        sections = compare(options.first, options.second, options.choose)
        if options.html is not None:
            options.html.write_text(as_page(sections, options.first, options.second), encoding="utf-8")
    except (ValueError, OSError) as error:
        print(f"reports.compare: {error}", file=sys.stderr)
        return 2
    try:
        print(as_markdown(sections), flush=True)
    except BrokenPipeError:  # such as | head; what is left in the buffer must not be written at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
