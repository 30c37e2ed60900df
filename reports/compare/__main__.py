"""Compares two trials, or one configuration from each of two studies: configs, accuracies image by image, cost.

    python -m reports.compare runs/tradeoff/trials/t0003 runs/tradeoff/trials/t0011
    python -m reports.compare runs/tradeoff runs/scale_ranges --choose robust --html compared.html

Prints Markdown. A study is represented by the knee of its front, or with ``--choose robust`` by the front's most robust
member.

Exit status: 0 if the two were compared, 2 if a folder holds neither a trial nor a study.
"""

import argparse
import html
import sys
from pathlib import Path

from reports.compare.compared_studies import RULES, ChosenConfiguration, chosen_configuration, common_seed, is_study
from reports.compare.compared_trials import read_trial
from reports.compare.comparison_sections import study_section, trial_sections
from reports.page.page import Section, whole_page
from reports.page.table_formats import to_markdown


def compare(first: Path, second: Path, rule: str = "knee") -> list[Section]:
    """The sections of a comparison of two folders, each of a trial or of a study.

    Raises:
        ValueError: if a folder holds neither, or is damaged.
    """
    chosen = [chosen_configuration(folder, rule) if is_study(folder) else None for folder in (first, second)]
    seed = common_seed(chosen[0], chosen[1]) if chosen[0] and chosen[1] else None
    trials = [
        read_trial(choice.trial_folder(seed) if choice else folder)
        for choice, folder in zip(chosen, (first, second), strict=True)
    ]
    found: dict[str, ChosenConfiguration] = {
        letter: choice for letter, choice in zip("AB", chosen, strict=True) if choice is not None
    }
    return ([study_section(found)] if found else []) + trial_sections(trials[0], trials[1])


def as_markdown(sections: list[Section]) -> str:
    """The sections as Markdown."""
    parts = [
        "\n\n".join([f"## {section.title}", section.caption, *(to_markdown(table).strip() for table in section.tables)])
        for section in sections
    ]
    return "\n\n".join(parts)


def as_page(sections: list[Section], first: Path, second: Path) -> str:
    """The sections as an HTML page."""
    title = f"{first.name} against {second.name}"
    header = f"<header><h1>{html.escape(title)}</h1></header>"
    return whole_page(title, header, sections)


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
    print(as_markdown(sections))
    return 0


if __name__ == "__main__":
    sys.exit(main())
