"""Projection of the journal into MLflow: one experiment per study, with a parent run and a child run per trial.

A separate thread writes to MLflow, so that neither a slow database nor a server that is away delays a trial.
Everything it shows follows from the journal, so after a lost connection it starts over, and writes what is missing.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from study.record.journal import Event, StudyRecord
from study.tracking.machine import SECONDS, Machine
from study.tracking.models import log_models
from study.tracking.stores import tracking_uri, without_password
from study.tracking.study_runs import StudyRuns

REPORT_WRITTEN: Event = {"event": "report written"}  # only used in the queue, not an event of the journal
TICK: Event = {"event": "tick"}  # as well
MOST_REFUSALS = 3  # in a row: MLflow answers, but does not take what it is given
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between attempts
PATIENCE_SECONDS = 20.0  # at the end of a study, with a server that is away
FEW = 10  # trials that are written without a word
FIRST_WORD, WORD_SECONDS = 10.0, 30.0  # after the end of a study, what is still being waited for


class MlflowProjection:
    """Keeps MLflow in step with a study; a context manager that, on exit, waits until everything is written.

    If MLflow is away, it tries again for as long as the study runs, and on exit for ``patience`` more seconds.

    Args:
        record: the live record of the study; read after each event.
        study_dir: absolute; its report becomes an artifact of the parent run, at the end and on each ``on_report``.
        dataset: name and checksum of the data, recorded as the input of every trial; None if they have no name.
        uri: where to; by default the store beside the study.
        say: called, from another thread, with a line when MLflow goes away, comes back, or is slow.
        registered_name: as which model those of the front are registered, if at all.
        is_live: whether trials run meanwhile, so that the load of the machine is of interest.

    Attributes:
        error: what went wrong last, if not everything could be written.
        page: the part of the address of the study's runs that follows the server's; '' if it is not known.
    """

    def __init__(
        self,
        record: StudyRecord,
        study_dir: Path,
        dataset: tuple[str, str] | None,
        uri: str | None = None,
        *,
        say: Callable[[str], None] = lambda text: None,
        registered_name: str | None = None,
        is_live: bool = False,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.uri = uri or tracking_uri(study_dir.parent)
        self._record, self._study_dir, self._dataset = record, study_dir, dataset
        self._say, self._registered_name, self._is_live, self._patience = say, registered_name, is_live, patience
        self._queue: queue.Queue[Event | None] = queue.Queue()
        self._is_closing, self._is_abandoned = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._runs: StudyRuns | None = None
        self._away_since: float | None = None
        self._num_left = 0  # trials that are known to be behind
        self.error: Exception | None = None
        self.page = ""

    def __enter__(self) -> "MlflowProjection":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_closing.set()
        self._queue.put(None)
        closed_at = time.monotonic()
        word_at = closed_at + FIRST_WORD
        while self._thread.is_alive():
            self._thread.join(0.1)
            if time.monotonic() > word_at:
                word_at += WORD_SECONDS
                what = f"{self._num_left:,} trials are still to be written there" if self._num_left else "not done yet"
                self._say(f"Waiting for MLflow: {what} (Ctrl-C leaves the rest to the next start)")
            away_since = self._away_since
            if away_since is not None and time.monotonic() - max(away_since, closed_at) > self._patience:
                self._is_abandoned.set()
                return

    def on_event(self, event: Event) -> None:
        """Queues an event of the journal; returns at once."""
        self._queue.put(event)

    def on_report(self) -> None:
        """Queues the report for logging after it has been written; returns at once."""
        self._queue.put(REPORT_WRITTEN)

    def problem(self) -> str | None:
        """After the exit, one line on what is not in MLflow and how it gets there; None if everything is."""
        if self.error is None:
            return None
        first = str(self.error).strip().partition("\n")[0]
        missing, trials = len(self._missing()), len(self._record.trials)
        return (
            f"MLflow could not be written: {type(self.error).__name__}: {first[:300]} "
            f"({missing} of {trials} trials are not complete there; the same command brings them)"
        )

    def _missing(self) -> list[str]:
        return self._runs.missing() if self._runs else list(self._record.trials)

    def _work(self) -> None:
        self._num_refusals, self._pause = 0, FIRST_PAUSE
        while not self._is_abandoned.is_set():
            try:
                self._follow()
                return
            except Exception as error:
                if self.error is None and not self._is_closing.is_set():
                    where = without_password(self.uri)
                    self._say(f"warning: MLflow at {where} could not be written, the study goes on and tries again")
                # What fails at the end although MLflow answers fails again: it must not keep the study from ending.
                is_refused = not _is_away(error) or (self._is_closing.is_set() and self._away_since is None)
                self.error, self._away_since = error, self._away_since or time.monotonic()
                self._num_refusals = self._num_refusals + 1 if is_refused else 0
                if self._num_refusals == MOST_REFUSALS:
                    return
                self._is_closing.wait(self._pause) and self._is_abandoned.wait(FIRST_PAUSE)
                self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _follow(self) -> None:
        """Connects, writes what is missing, then what happens, and the end."""
        runs = self._runs = StudyRuns(self._record, self._study_dir, self._dataset, self.uri)
        self.page, self._away_since = runs.page, None
        missing = runs.missing()
        if len(missing) > FEW:
            self._say(
                f"MLflow: {len(missing):,} of {len(self._record.trials):,} trials are not there yet; writing them"
            )
        runs.grow()
        self._write(missing)
        runs.grow()
        if self.error is not None and self._num_refusals == 0:
            self._say("MLflow could be written again; nothing is missing there")
        self.error = None
        if not self._is_closing.is_set():
            self._num_refusals, self._pause = 0, FIRST_PAUSE
        machine = Machine() if self._is_live else None
        while events := self._next_events():
            self._write(list(dict.fromkeys(event["uid"] for event in events if "uid" in event)))
            if any(event["event"] == "finished" for event in events):
                runs.grow()
            if REPORT_WRITTEN in events:
                runs.log_report()
            if machine is not None:
                runs.log_machine(machine.sample(runs.began_at))
        runs.close()
        if self._record.ended:
            log_models(runs, self._registered_name, self._say)

    def _write(self, uids: Sequence[str]) -> None:
        assert self._runs is not None
        for number, uid in enumerate(uids):
            self._num_left = len(uids) - number
            self._runs.write(self._record.trials[uid])
        self._num_left = 0

    def _next_events(self) -> list[Event]:
        """Those since the last call, or a tick if there are none for some time; empty at the end of the study."""
        events: list[Event] = []
        while not (self._is_closing.is_set() and self._queue.empty()):
            try:
                event = self._queue.get(timeout=0 if events else SECONDS)
            except queue.Empty:
                return events or [TICK]
            if event is not None:
                events.append(event)
        return events


def _is_away(error: Exception) -> bool:
    """Whether it may go by itself: no answer, an answer of something in between, or a database that is busy."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    if isinstance(error, RequestException):
        return error.response is None or error.response.status_code >= 500
    return isinstance(error, MlflowException) and error.get_http_status_code() >= 500
