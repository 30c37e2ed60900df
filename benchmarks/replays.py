"""Replays of studies on recorded tables: the engine proposes, decides and records; only the training is looked up.

Journals are written in the folder for temporary files: ``TMPDIR=/dev/shm`` makes replays some ten times as fast.
"""

import heapq
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study.decisions.engine import Assignment, StudyEngine
from study.record.journal import Journal
from study.spec import StudySpec
from study.trainable import Context, Final, Interim
from trainables.recorded_table import RecordedTable

COST, EVALUATION = "train_pflop", "evaluation_pflop"


@dataclass(frozen=True)
class Ended:
    """A trial that ran to its end, and the compute in all by then, unfinished parts of trials included.

    Args:
        params: of the trial.
        metrics: its result.
        trained: compute of all training, PFLOP.
        evaluated: compute of all evaluations, PFLOP; 0 if the table does not say.
    """

    params: dict[str, Any]
    metrics: dict[str, Any]
    trained: float
    evaluated: float


@dataclass
class Replay:
    """What a study found and spent.

    Args:
        complete: the trials that ran to their ends, in this order.
        trained, evaluated: as in ``Ended``, of the whole study.
    """

    complete: list[Ended] = field(default_factory=list)
    trained: float = 0.0
    evaluated: float = 0.0


def replay(
    table: RecordedTable,
    spec: StudySpec,
    seed: int,
    workers: int,
    *,
    stopper: Any = None,
    is_over: Callable[[Replay], bool] = lambda found: False,
) -> Replay:
    """Runs the whole engine over a table, ``workers`` trials at a time, against a clock that counts their training.

    Trials that were stopped or are paused count with what they trained; a paused one goes on from where it was.

    Args:
        table: that the base config of ``spec`` belongs to.
        spec: the study.
        seed: of the search.
        workers: trials at a time.
        stopper: replaces the engine's rule of early stopping.
        is_over: asked after each complete trial, whether that suffices.
    """
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        journal.write("created", study="replay", spec=spec.model_dump(mode="json"), environment={})
        engine = StudyEngine(journal, spec, seed, table.table.scale)
        if stopper is not None:
            engine._stopping = stopper
        found = _simulate(table, engine, workers, is_over)
        journal.close()
    return found


def _simulate(table: RecordedTable, engine: StudyEngine, workers: int, is_over: Callable[[Replay], bool]) -> Replay:
    found = Replay()
    at_work: list[tuple[float, int, Assignment, list[dict[str, Any]]]] = []  # by when their next reports are due
    paid: dict[str, float] = {}  # uid -> what its training has cost by its last report
    clock = 0.0

    def go_on(assignment: Assignment, reports: list[dict[str, Any]]) -> None:
        due = clock + reports[0][COST] - paid.get(assignment.uid, 0.0)
        heapq.heappush(at_work, (due, int(assignment.uid[1:]), assignment, reports))

    while True:
        while len(at_work) < workers and (assignment := engine.next_assignment()) is not None:
            go_on(assignment, _reports(table, assignment))
        if not at_work:
            return found
        clock, _, assignment, (report, *later) = heapq.heappop(at_work)
        uid = assignment.uid
        is_evaluated = report[COST] > paid.get(uid, 0.0)  # several rungs between two reports look once
        found.trained += report[COST] - paid.get(uid, 0.0)
        found.evaluated += report.get(EVALUATION, 0.0) if is_evaluated else 0.0
        paid[uid] = report[COST]
        if "milestone" not in report:
            begun = sum(next_[COST] - paid.get(one.uid, 0.0) - (due - clock) for due, _, one, (next_, *_) in at_work)
            params = engine.record.trials[uid].params
            found.complete.append(Ended(params, report, found.trained + begun, found.evaluated))
            engine.complete(uid, report)
            if is_over(found):
                return found
        elif engine.report(uid, report):
            go_on(assignment, later)
        else:
            engine.stop(uid)


def _reports(table: RecordedTable, assignment: Assignment) -> list[dict[str, Any]]:
    context = Context(folder=Path(), milestones=assignment.milestones)
    reports = table.run(assignment.config, None, context)
    return [report.metrics for report in reports if isinstance(report, Interim | Final)]
