"""Our own searches, through the whole engine: journal, plan, sampler; only the training is looked up."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from benchmarks.searches.tables import Place, placed_table
from study.decisions.engine import Assignment, StudyEngine
from study.record.environment import git_revision
from study.record.journal import Journal
from study.spec import StudySpec
from study.trainable import Context, Final


class OwnSearch:
    """One study of a table.

    Args:
        table: its name.
        spec: the study, one of ``PlacedTable.spec``.
        seed: of the study; it also chooses the recorded repetition.
    """

    def __init__(self, table: str, spec: StudySpec, seed: int) -> None:
        self._trainable = placed_table(table)
        self._folder = tempfile.TemporaryDirectory()
        self._journal = Journal(Path(self._folder.name))
        self._journal.write("created", study="search", spec=spec.model_dump(mode="json"), environment={})
        self._engine = StudyEngine(self._journal, spec, seed, self._trainable.table.scale)
        self._running: dict[int, Assignment] = {}
        self.version = f"revision {git_revision()}"

    def __enter__(self) -> "OwnSearch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()
        self._folder.cleanup()

    def ask(self, number: int) -> Place | None:
        """What the engine wants to run next."""
        assignment = self._engine.next_assignment()
        if assignment is None:
            return None
        self._running[number] = assignment
        return {dimension.name: getattr(assignment.config, dimension.name) for dimension in self._trainable.dimensions}

    def tell(self, number: int, values: Sequence[float]) -> None:
        """Tells the engine what the trainable reports: every metric of the table, the objectives among them."""
        assignment = self._running.pop(number)
        reports = self._trainable.run(assignment.config, None, Context(folder=Path(), milestones=[]))
        result = next(report for report in reports if isinstance(report, Final))
        self._engine.complete(assignment.uid, result.metrics)
