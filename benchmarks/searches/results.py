"""The file of runs: one line for each search, table and seed, with the rows that it tried in the order of the starts.

Everything else follows from those rows and the table: when trials began and ended, what they cost and found. The file
is rewritten as a whole, sorted, under a lock: several processes can add to it, and a kill leaves no part of a run.
"""

import csv
import fcntl
import gzip
import io
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "data" / "searches.csv.gz"
COLUMNS = ("search", "table", "seed", "trials", "version", "proposing_seconds", "rows")


@dataclass(frozen=True, order=True)
class Run:
    """One search of one table.

    Args:
        search: its name.
        table: that of the table.
        seed: of the search; modulo the number of repetitions, it also says which of them was looked up.
        trials: how many it might have started.
        version: of the package that searched.
        proposing_seconds: wall time of all proposals and reports together.
        rows: what it tried.
    """

    search: str
    table: str
    seed: int
    trials: int
    version: str
    proposing_seconds: float
    rows: tuple[int, ...]

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies it."""
        return self.search, self.table, self.seed


def read_runs(path: Path) -> list[Run]:
    """The runs in a file, plain or ``.gz``; none if there is no file."""
    if not path.exists():
        return []
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return [
        Run(
            line["search"],
            line["table"],
            int(line["seed"]),
            int(line["trials"]),
            line["version"],
            float(line["proposing_seconds"]),
            tuple(int(row) for row in line["rows"].split()),
        )
        for line in csv.DictReader(io.StringIO(text))
    ]


def add_runs(path: Path, runs: Iterable[Run], without: Collection[str] = ()) -> None:
    """Adds runs to a file, without those of the searches ``without``; one that is there already stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        kept = [run for run in read_runs(path) if run.search not in without]
        by_key = {run.key: run for run in [*runs, *kept]}
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(COLUMNS)
        for run in sorted(by_key.values()):
            lines.writerow(
                [*run.key, run.trials, run.version, f"{run.proposing_seconds:.1f}", " ".join(map(str, run.rows))]
            )
        content = text.getvalue().encode()
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
        os.replace(part, path)
    finally:
        os.close(folder)
