"""What a folder of studies says: one line of Markdown for each comparison, with verdict, differences and cost.

    python -m benchmarks.claims runs

Differences are those of the studies' reports, on test data, paired by seed, with Student's t 95% intervals.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

from reports.answer.answer import answer_of
from reports.answer.comparisons import compared_in, reported_objectives, short_names
from study.record.journal import JOURNAL_NAME, read_study
from study.record.measures import difference_text
from study.record.trials import TrialTable, tabulate


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
        yield [str(table.study.spec["question"]), sides, statement.lead, str(one.difference.pairs), *texts]


def main(arguments: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="the folder of the studies")
    studies = sorted(path.parent for path in parser.parse_args(arguments).output.glob(f"*/{JOURNAL_NAME}"))
    tables = [table for study in studies if compared_in(table := tabulate(read_study(study)))]
    if not tables:
        parser.error("no study in it has a comparison")
    names = [short_names(tables[0])[metric] for metric in reported_objectives(tables[0])]
    header = ["question", "sides", "answer", "pairs", *names]
    for row in [header, ["---"] * len(header), *(row for table in tables for row in rows_of(table))]:
        print(f"| {' | '.join(row)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
