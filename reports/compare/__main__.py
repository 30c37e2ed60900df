"""Compares two trials, or one configuration from each of two studies: configs, accuracies example by example, cost.

    python -m reports.compare runs/tradeoff/trials/t0003 runs/tradeoff/trials/t0011
    python -m reports.compare runs/tradeoff runs/scale_ranges --choose knee --html compared.html

Prints the verdict in a few lines and writes a page with all figures and tables (``--html``, by default
``<A>_against_<B>.html`` here); ``--markdown`` writes the tables for a text. A study is represented by the best member
of its front in the metric that it is mainly about, such as a robust accuracy, or with ``--choose knee`` by its knee.

Exit status: 0 if the two were compared, 2 if a folder holds neither a trial nor a study.
"""

import argparse
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from study.record.journal import JOURNAL_NAME

if TYPE_CHECKING:
    from reports.page.page import Section

RULES = ("best", "knee")
WIDTH = 100  # of a terminal


def compare(first: Path, second: Path, rule: str = "best") -> "list[Section]":
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
    from reports.compare.comparison_sections import study_section, trial_sections, verdict_section

    studies_section = [study_section(chosen)] if chosen else []
    return [verdict_section(one, other, chosen), *studies_section, *trial_sections(one, other)]


def as_text(sections: "list[Section]", path: Path) -> str:
    """What a terminal shows: the verdict, what was compared, and where the rest is."""
    words = [sections[0].caption]
    words += [
        f"{row['study']}: {row['configuration']}, {row['chosen as']}"
        + ("" if row["hypervolume (%)"] == "–" else f"; its front fills {row['hypervolume (%)']}% of the common box")
        for section in sections
        for table in section.tables
        if table.name == "compared_studies"
        for row in table.text.to_dict("records")
    ]
    lines = [line for text in words for line in textwrap.wrap(text, WIDTH)]
    return "\n".join([*lines, f"All figures and tables: {path}"])


def as_markdown(sections: "list[Section]") -> str:
    """The sections as Markdown."""
    from reports.page.table_formats import to_markdown

    parts = [
        [
            f"## {section.title}",
            section.caption,
            section.method,
            *(to_markdown(table).strip() for table in section.tables),
        ]
        for section in sections
    ]
    return "\n\n".join(text for part in parts for text in part if text)


def as_page(sections: "list[Section]", first: Path, second: Path) -> str:
    """The sections as an HTML page."""
    import html

    from reports.page.page import whole_page

    title = f"{first.resolve().name} against {second.resolve().name}"
    return whole_page(title, f"<header><h1>{html.escape(title)}</h1></header>", sections)


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line, prints the verdict and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m reports.compare", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("first", type=Path, help="A: runs/<study>/trials/<trial>, or runs/<study>")
    parser.add_argument("second", type=Path, help="B, likewise")
    parser.add_argument("--choose", choices=RULES, default="best", help="what of a study is compared (default: best)")
    parser.add_argument("--html", type=Path, metavar="PATH", help="the page (default: <A>_against_<B>.html)")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="also write the tables as Markdown")
    options = parser.parse_args(arguments)
    names = [folder.resolve().name for folder in (options.first, options.second)]
    path = options.html or Path(f"{names[0]}_against_{names[1]}.html")
    try:
        sections = compare(options.first, options.second, options.choose)
        path.write_text(as_page(sections, options.first, options.second), encoding="utf-8")
        if options.markdown is not None:
            options.markdown.write_text(as_markdown(sections) + "\n", encoding="utf-8")
    except (ValueError, OSError) as error:
        print(f"reports.compare: {error}", file=sys.stderr)
        return 2
    try:
        print(as_text(sections, path), flush=True)
    except BrokenPipeError:  # such as | head; what is left in the buffer must not be written at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
