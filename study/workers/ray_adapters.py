"""Ray Tune's searcher and scheduler interfaces, as thin adapters to the engine."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGINT, raise_signal
from threading import current_thread, main_thread
from typing import Any

from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from study.decisions.engine import STORAGE_CODE, Assignment, StudyEngine
from study.record.journal import FINISHED
from study.workers.worker_errors import WorkerError, error_of, kernel_kills

MAX_WORKER_DEATHS, MAX_HANGS = 2, 1  # tolerated per trial
Result = dict[str, Any]


@contextmanager
def interrupted_if_halted(engine: StudyEngine) -> Iterator[None]:
    """Has Ray Tune stop, as Ctrl-C does, if inside the engine is told to halt, as for a journal that cannot be written.

    Only the main thread is sent signals: in another one, Ray Tune ends when the trials that run have ended.
    """
    was_halted = engine.halted is not None
    try:
        yield
    except OSError:
        if engine.halted is None:
            raise
    if engine.halted is not None and not was_halted and current_thread() is main_thread():
        raise_signal(SIGINT)


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
        on_end: called with the uid of a trial when it has ended for good, in whatever state; not if it is paused.
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
        self._errors: dict[str, WorkerError] = {}  # by Ray's trial id, until the trial's end is told
        self._kernel_kills: dict[str, int] = {}  # by Ray's trial id: the kernel's count when it was given to Ray

    def suggest(self, trial_id: str) -> Result | str | None:  # type: ignore[override]
        """The next trial's config; None while no trial can start or the limit is reached; FINISHED if none is left."""
        if self._engine.halted is not None:
            return Searcher.FINISHED
        if len(self._uids) >= self._concurrency:
            return None
        with interrupted_if_halted(self._engine):
            assignment = self._engine.next_assignment()
            if assignment is None:
                return Searcher.FINISHED if self._engine.is_exhausted() else None
            self._uids[trial_id] = assignment.uid
            self._kernel_kills[trial_id] = kernel_kills()
            return self._as_ray_config(assignment)
        return Searcher.FINISHED

    def note_error(self, trial: Any) -> None:
        """Keeps why a trial of Ray's failed until ``on_trial_complete``, which Ray does not tell."""
        self._errors[trial.trial_id] = error_of(trial, kernel_kills() - self._kernel_kills[trial.trial_id])

    def on_trial_complete(self, trial_id: str, result: Result | None = None, error: bool = False) -> None:
        """Called by Ray once a trial has ended; ``error``: it raised, or its worker or the worker's node has died."""
        uid, why = self._uids.pop(trial_id), self._errors.pop(trial_id, WorkerError("the worker process died"))
        with interrupted_if_halted(self._engine):
            self._take_end(uid, why, result, error=error)

    def _take_end(self, uid: str, why: WorkerError, result: Result | None, *, error: bool) -> None:
        if self._engine.record.trials[uid].is_leaving:  # even if its worker has died meanwhile
            self._engine.stop(uid)
        elif (error and why.is_death) or (not error and "kind" not in (result or {})):
            self._lose_worker(uid, why)
        elif error or result is None:
            self._engine.fail(uid, why.reason, out_of_memory=why.out_of_memory)
        else:
            self._engine.longest_silence = max(self._engine.longest_silence, result.get("silence", 0.0))
            self._end(uid, result["kind"], json.loads(result["report"]))
        if self._engine.record.trials[uid].state in FINISHED:  # others will resume from their checkpoints
            self._on_end(uid)

    def _lose_worker(self, uid: str, why: WorkerError) -> None:
        self._num_deaths[uid] += 1
        if self._num_deaths[uid] > (MAX_HANGS if why.is_hang else MAX_WORKER_DEATHS):
            reason = f"{why.reason} ({self._num_deaths[uid]} times)"
            self._engine.fail(uid, reason, out_of_memory=why.out_of_memory, again_alone=not why.is_hang)
        else:
            self._engine.requeue(uid)

    def _end(self, uid: str, kind: str, report: Result) -> None:
        match kind:
            case "final":
                self._engine.complete(uid, report)
            case "failed" if report.get("is_storage"):
                self._engine.requeue(uid)
                self._engine.halt(f"{uid}: {report['reason']}", STORAGE_CODE)
            case "failed":
                self._engine.fail(uid, report["reason"], out_of_memory=report["out_of_memory"])

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the journal holds all state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: see ``save``."""


class EngineScheduler(WithoutState, FIFOScheduler):
    """Runs trials in order and ends the workers of those that the engine decides to stop or to pause.

    ``on_error`` gets each of Ray's trials that has failed.
    """

    def __init__(self, engine: StudyEngine, on_error: Callable[[Any], None] = lambda trial: None) -> None:
        super().__init__()
        self._engine, self._on_error = engine, on_error

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Called by Ray when a trial has failed, just before its searcher is told that it has ended."""
        self._on_error(trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Result) -> str:
        """Called by Ray for each result of a trial except its last one."""
        uid, report = trial.config["uid"], json.loads(result["report"])
        with interrupted_if_halted(self._engine):
            match result["kind"]:
                case "interim":
                    return self.CONTINUE if self._engine.report(uid, report) else self.STOP
                case "afresh":
                    self._engine.restart(uid, report["reason"])
                case _:
                    self._engine.share_done[uid] = report["share_done"]
        return self.CONTINUE
