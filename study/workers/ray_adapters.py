"""Ray Tune's searcher and scheduler interfaces, as thin adapters to the engine."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from study.decisions.engine import Assignment, StudyEngine
from study.record.journal import FINISHED

MAX_WORKER_DEATHS = 2  # tolerated per trial
Result = dict[str, Any]


class WithoutState:
    """Pickled without state: Ray pickles searchers and schedulers to restore them; here the journal does that."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class EngineSearcher(WithoutState, Searcher):
    """Hands the engine's assignments to Ray, no more at a time than can run.

    Args:
        engine: decides what runs.
        concurrency: the number of trials at a time.
        as_ray_config: converts an assignment to the plain config of a ``StudyTrial``.
        on_end: called with the uid of a trial when it has ended for good, in whatever state.
    """

    def __init__(
        self,
        engine: StudyEngine,
        concurrency: int,
        as_ray_config: Callable[[Assignment], Result],
        on_end: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._on_end = on_end
        self._engine, self._concurrency, self._as_ray_config = engine, concurrency, as_ray_config
        self._uids: dict[str, str] = {}  # Ray's trial id -> our uid, for trials given to Ray that have not ended
        self._num_deaths: Counter[str] = Counter()  # uid -> number of workers that died running that trial

    def suggest(self, trial_id: str) -> Result | str | None:  # type: ignore[override]
        """The next trial's config; None while no trial can start or the limit is reached; FINISHED if none is left."""
        if len(self._uids) >= self._concurrency:
            return None
        assignment = self._engine.next_assignment()
        if assignment is None:
            return Searcher.FINISHED if self._engine.is_exhausted() else None
        self._uids[trial_id] = assignment.uid
        return self._as_ray_config(assignment)

    def on_trial_complete(self, trial_id: str, result: Result | None = None, error: bool = False) -> None:
        """Called by Ray once a trial has ended; ``error``: its worker, or the worker's node, has died."""
        uid = self._uids.pop(trial_id)
        if error or result is None or "kind" not in result:
            self._lose_worker(uid)
        else:
            self._end(uid, result["kind"], json.loads(result["report"]))
        if self._engine.record.trials[uid].state in FINISHED:  # others will resume from their checkpoints
            self._on_end(uid)

    def _lose_worker(self, uid: str) -> None:
        self._num_deaths[uid] += 1
        if self._num_deaths[uid] > MAX_WORKER_DEATHS:
            reason = "the worker process died repeatedly (out of memory, or killed)"
            self._engine.fail(uid, reason, out_of_memory=True)
        else:
            self._engine.requeue(uid)

    def _end(self, uid: str, kind: str, report: Result) -> None:
        match kind:
            case "final":
                self._engine.complete(uid, report)
            case "failed":
                self._engine.fail(uid, report["reason"], out_of_memory=report["out_of_memory"])
            case "interim":
                self._engine.stop(uid)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the journal holds all state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: see ``save``."""


class EngineScheduler(WithoutState, FIFOScheduler):
    """Runs trials in order and stops those that the engine decides to stop."""

    def __init__(self, engine: StudyEngine) -> None:
        super().__init__()
        self._engine = engine

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Result) -> str:
        """Called by Ray for each result of a trial except its last one."""
        uid, report = trial.config["uid"], json.loads(result["report"])
        if result["kind"] == "interim":
            return self.CONTINUE if self._engine.report(uid, report) else self.STOP
        self._engine.share_done[uid] = report["share_done"]
        return self.CONTINUE
