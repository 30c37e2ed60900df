"""How well does a look at an unfinished training rank trials? Rank correlations on a table of learning curves.

    python -m benchmarks.curve_correlations --table benchmarks/data/digits_curves.csv.gz

For the trials of each length, and each epoch after which they were evaluated: Spearman's correlation of what the short
probe of a rung found there with the results at their ends, on validation and on other images. Intervals are of 2,000
bootstrap samples of trials.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from study.record.environment import git_revision
from trainables.recorded_table import RecordedTable, recorded_table

Pairs = dict[tuple[int, int], list[tuple[dict[str, Any], dict[str, Any]]]]


def looks(trainable: RecordedTable) -> Pairs:
    """(length, epoch) -> for each trial of that length, the report after that epoch and the result.

    Raises:
        ValueError: if the table has no epochs, or an evaluation that is not at the end of one.
    """
    table = trainable.table
    if "epochs" not in table.choices or table.progress is None:
        raise ValueError(f"the table {table.name} has no epochs, or no learning curves")
    found: Pairs = {}
    for key in table.keys():  # noqa: SIM118, it is no dict
        length = dict(zip(table.choices, key, strict=True))["epochs"]
        for *reports, result in table.repetitions(key):
            for report in reports:
                epoch = report[table.progress] / result[table.progress] * length
                if abs(epoch - round(epoch)) > 1e-6:
                    raise ValueError(f"the table {table.name} has an evaluation after {epoch:g} epochs")
                found.setdefault((length, round(epoch)), []).append((report, result))
    return dict(sorted(found.items()))


def correlation(pairs: Sequence[tuple[float, float]], seed: int = 0) -> tuple[float, float, float]:
    """Spearman's correlation and its 95% bootstrap interval.

    Example:
        >>> correlation([(1, 10), (2, 20), (3, 30), (4, 40)])
        (1.0, 1.0, 1.0)
    """
    values = np.array(pairs, dtype=float)
    draws = np.random.default_rng(seed).integers(len(values), size=(2000, len(values)))
    drawn = [_spearman(values[draw]) for draw in draws]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return _spearman(values), float(low), float(high)


def _spearman(values: np.ndarray) -> float:
    if (np.ptp(values, axis=0) == 0).any():  # a sample of a single trial has no order
        return float("nan")
    return float(spearmanr(values[:, 0], values[:, 1]).statistic)


def as_markdown(found: Pairs, accuracies: Sequence[str]) -> str:
    """A line for each length and epoch."""
    heads = [f"{name} -> {of}" for name in accuracies for of in (name, name.replace("val_", "test_"))]
    lines = ["| epochs of the trial | after epoch | trials | " + " | ".join(heads) + " |"]
    lines.append("|---|---|---|" + "---|" * len(heads))
    for (length, epoch), pairs in found.items():
        cells = []
        for head in heads:
            seen, final = head.split(" -> ")
            middle, low, high = correlation([(report[seen], result[final]) for report, result in pairs])
            cells.append(f"{middle:.2f} [{low:.2f}, {high:.2f}]")
        lines.append(f"| {length} | {epoch} | {len(pairs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the correlations of a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.curve_correlations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--table", type=Path, required=True)
    options = parser.parse_args()
    trainable = recorded_table(options.table)
    robust = next(metric.name for metric in trainable.table.metrics if metric.is_headline)
    print(f"revision {git_revision()}\n")
    print(as_markdown(looks(trainable), ("val_clean", robust)))


if __name__ == "__main__":
    main()
