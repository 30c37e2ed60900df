"""What stopping and pausing at rungs cost and save, on a recorded table: every configuration is begun, in random order.

    python -m benchmarks.pausing --table benchmarks/data/tradeoff_digits.json --seeds 10

The engine decides, the training is looked up (see ``benchmarks.search_efficiency``). For each rule: the share of the
table's front whose members did not run to their end, and the share of the table's compute that was not spent. A paused
trial goes on from its checkpoint, so that no part of it is paid for twice.
"""

import argparse
import heapq
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search_efficiency import Table, load_table
from study.decisions.engine import Assignment, StudyEngine
from study.record.environment import git_revision
from study.record.front import nondominated
from study.record.journal import Journal, StudyRecord
from study.spec import MoAsha, NoStopping, PausingMoAsha, Search
from study.spec.stopping import Stopping
from study.trainable import Context, Final, Interim

COST = "train_pflop"


@dataclass(frozen=True)
class Outcome:
    """One study of a whole table.

    Args:
        lost: of the members of the table's front, the share that did not run to the end, in [0, 1].
        saved: of the compute of the whole table, the share that was not spent.
        paused: trials that were paused at the end.
        hypervolume: of what ran to its end, as a share of the table's.
    """

    lost: float
    saved: float
    paused: int
    hypervolume: float


def rules(first_rung: int, eta: int) -> dict[str, Stopping]:
    """The rules that are compared, at equal rungs."""
    return {
        "none": NoStopping(),
        "MO-ASHA, stopping": MoAsha(first_rung=first_rung, eta=eta),
        "MO-ASHA, pausing": PausingMoAsha(first_rung=first_rung, eta=eta),
    }


def outcome(table: Table, stopping: Stopping, seed: int, workers: int) -> Outcome:
    """Runs a study of all configurations of ``table``, ``workers`` trials at a time, on a clock that counts compute."""
    design = Search(trials=len(table.results), sampler="random")
    spec = table.spec.replace(design=design, stopping=stopping, references=())
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        journal.write("created", study="replay", spec=spec.model_dump(mode="json"), environment={})
        engine = StudyEngine(journal, spec, seed, table.trainable.table.scale)
        spent = _simulate(table, engine, workers)
        journal.close()
        return _judged(table, engine.record, spent)


def _judged(table: Table, record: StudyRecord, spent: float) -> Outcome:
    points = np.array([table.objectives(metrics) for metrics in table.results])
    members = {tuple(point) for point in points[nondominated(points, [True] * points.shape[1])]}
    complete = [table.objectives(trial.metrics) for trial in record.with_state("complete")]
    lost = members - {tuple(point) for point in complete}
    whole = sum(metrics[COST] for metrics in table.results)
    found = table.hypervolume(complete) / table.total_hypervolume
    return Outcome(len(lost) / len(members), 1 - spent / whole, len(record.with_state("paused")), found)


def _simulate(table: Table, engine: StudyEngine, workers: int) -> float:
    """The compute that all trials have cost."""
    at_work: list[tuple[float, int, Assignment, list[dict[str, Any]]]] = []
    done: dict[str, float] = {}  # uid -> what the trial has cost
    clock = 0.0

    def go_on(assignment: Assignment, reports: list[dict[str, Any]]) -> None:
        ends_at = clock + reports[0][COST] - done.get(assignment.uid, 0.0)
        heapq.heappush(at_work, (ends_at, int(assignment.uid[1:]), assignment, reports))

    while True:
        while len(at_work) < workers and (assignment := engine.next_assignment()) is not None:
            go_on(assignment, _reports(table, assignment))
        if not at_work:
            return sum(done.values())
        clock, _, assignment, (report, *later) = heapq.heappop(at_work)
        done[assignment.uid] = report[COST]
        if "milestone" not in report:
            engine.complete(assignment.uid, report)
        elif engine.report(assignment.uid, report):
            go_on(assignment, later)
        else:
            engine.stop(assignment.uid)


def _reports(table: Table, assignment: Assignment) -> list[dict[str, Any]]:
    context = Context(folder=Path(), milestones=assignment.milestones)
    reports = table.trainable.run(assignment.config, None, context)
    return [report.metrics for report in reports if isinstance(report, Interim | Final)]


def as_markdown(found: dict[tuple[str, int], list[Outcome]]) -> str:
    """Means over seeds with their standard deviations."""
    lines = ["| rule | eta | front members not completed | compute saved | hypervolume found | paused at the end |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for (name, eta), outcomes in found.items():
        shares = [100 * np.array([getattr(one, what) for one in outcomes]) for what in ("lost", "saved", "hypervolume")]
        cells = [f"{abs(values.mean().round(1)):.1f}% ± {values.std(ddof=1):.1f}" for values in shares]
        paused = float(np.mean([one.paused for one in outcomes]))
        lines.append(f"| {name} | {eta if name != 'none' else '–'} | {' | '.join(cells)} | {paused:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Replays a table under each rule and prints what it lost and saved."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pausing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=4, help="trials at a time")
    parser.add_argument("--etas", type=int, nargs="+", default=[2, 3])
    options = parser.parse_args()
    table = load_table(options.table)
    assert isinstance(table.spec.stopping, MoAsha)
    found: dict[tuple[str, int], list[Outcome]] = {}
    for eta in options.etas:
        for name, stopping in rules(table.spec.stopping.first_rung, eta).items():
            if name != "none" or eta == options.etas[0]:
                seeds = range(options.seeds)
                found[name, eta] = [outcome(table, stopping, seed, options.workers) for seed in seeds]
    print(f"revision {git_revision()}, {len(table.results)} configurations, {options.seeds} seeds, "
          f"{options.workers} trials at a time; means and standard deviations over seeds\n")  # fmt: skip
    print(as_markdown(found))


if __name__ == "__main__":
    main()
