"""What a folder of studies says: one line of Markdown for each comparison, with verdict, differences and cost.

    python -m benchmarks.claims runs
    python -m benchmarks.claims runs --keep docs/results/mini

Differences are those of the studies' reports, on test data, paired by seed, with Student's t 95% intervals; ``paper:``
is the difference between the numbers that the paper prints for the two recipes, at its own scale. ``--keep``
copies what the reports are made of: the journals, and of each trial its result, its curve and its per-image flags.
"""

import argparse
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

from reports.answer.answer import answer_of
from reports.answer.comparisons import compared_in, comparison_of, reported_objectives, short_names
from reports.paper.paper_comparison import pairs_of_any
from study.record.journal import JOURNAL_NAME, read_study
from study.record.journal_chain import sealed
from study.record.measures import difference_text
from study.record.trials import TrialTable, tabulate

PRINTED = ("pgd_8", "clean")
KEPT = ("result.json", "curve.csv", "flags.npz")


def rows_of(table: TrialTable) -> Iterator[list[str]]:
    """Question, sides, verdict, pairs, and the difference of each reported measure of every comparison of a study."""
    for one, statement in zip(compared_in(table), answer_of(table).statements, strict=True):
        found = {one.metric: one.difference} | dict(one.others)
        differences = [(metric, found.get(metric)) for metric in reported_objectives(table)]
        texts = [
            "–" if d is None or math.isnan(d.mean) else difference_text(metric, d.mean, d.low, d.high)
            for metric, d in differences
        ]
        sides = f"{one.second} against {one.first}"
        printed = [f"{p:+.1f}" if math.isfinite(p) else "–" for p in printed_differences(table, one.first, one.second)]
        yield [str(table.study.spec["question"]), sides, statement.lead, str(one.difference.pairs), *texts, *printed]


def printed_differences(table: TrialTable, first: str, second: str) -> list[float]:
    """The second arm's number less the first's in the paper, for each of ``PRINTED``; NaN where it prints none."""
    comparison = comparison_of(table)
    arms = comparison.choices() if comparison else {}
    pairs = pairs_of_any(table)[1]
    old, new = (next((one.printed for one in pairs if one.params == arms.get(side)), None) for side in (first, second))
    if old is None or new is None or old is new:
        return [math.nan] * len(PRINTED)
    return [new.values.get(name, math.nan) - old.values.get(name, math.nan) for name in PRINTED]


def keep(study_dir: Path, folder: Path) -> None:
    """Copies a study without weights; the folder of its images is named ``data`` there, and lines are sealed anew."""
    target, last = folder / study_dir.name, b""
    lines = (study_dir / JOURNAL_NAME).read_bytes().splitlines()
    root = json.loads(lines[0])["spec"]["base"]["data_root"]
    for source in sorted(study_dir.glob("trials/*/*")):
        if source.name in KEPT:
            copy = target / source.relative_to(study_dir)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            if source.suffix == ".json":
                copy.write_text(source.read_text().replace(json.dumps(root), '"data"'))
    with (target / JOURNAL_NAME).open("wb") as file:
        for line in lines:
            event = json.loads(line.replace(json.dumps(root).encode(), b'"data"'))
            event.pop("check", None)
            last = sealed(json.dumps(event).encode(), last)
            file.write(last + b"\n")


def main(arguments: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="the folder of the studies")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy the studies, without weights, to it")
    given = parser.parse_args(arguments)
    studies = sorted(path.parent for path in given.output.glob(f"*/{JOURNAL_NAME}"))
    tables = [table for study in studies if compared_in(table := tabulate(read_study(study)))]
    if not tables:
        parser.error("no study in it has a comparison")
    for study_dir in studies if given.keep else []:  # all have been read, so none is damaged
        keep(study_dir, given.keep)
    names = [short_names(tables[0])[metric] for metric in reported_objectives(tables[0])]
    header = ["question", "sides", "answer", "pairs", *names, *(f"paper: {name}" for name in PRINTED)]
    for row in [header, ["---"] * len(header), *(row for table in tables for row in rows_of(table))]:
        print(f"| {' | '.join(row)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
