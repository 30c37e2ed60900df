"""What Ray Tune is told, and what the engine learns from it. Ray itself is not started."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher

from study.decisions.engine import STORAGE_CODE, Halt, StudyEngine
from study.record.journal import Journal, read_journal
from study.spec import PausingMoAsha, Search, StudySpec
from study.workers.ray_adapters import MAX_WORKER_DEATHS, EngineScheduler, EngineSearcher

MakeSpec = Callable[..., StudySpec]
DIED = "the worker process died: it left no message, as after SIGKILL"


class Tune:
    """Calls a searcher as Ray Tune does: each time that a trial is run it is a new one to Tune."""

    def __init__(self, study_dir: Path, spec: StudySpec, concurrency: int, **of_engine: Any) -> None:
        journal = Journal(study_dir)
        journal.write("created", study="s", spec=spec.model_dump(mode="json"), environment={})
        self.engine = StudyEngine(journal, spec, 0, 1000, **of_engine)
        self.ended: list[str] = []
        self.searcher = EngineSearcher(
            self.engine, concurrency, lambda assignment: {"uid": assignment.uid}, self.ended.append
        )
        self.scheduler, self.folder = EngineScheduler(self.engine, self.searcher.note_error), study_dir
        self.num_trials = 0

    def start(self) -> tuple[str, Any]:
        """The id of Tune's trial and what the searcher suggests."""
        self.num_trials += 1
        return f"trial{self.num_trials}", self.searcher.suggest(f"trial{self.num_trials}")

    def fail(self, trial_id: str, message: str) -> None:
        """Tells the scheduler and then the searcher that a trial has failed, as Ray does."""
        error_file = self.folder / "error.txt"
        error_file.write_text(f"Failure # 1 (occurred at noon)\n{message}\n")
        trial = SimpleNamespace(trial_id=trial_id, error_file=str(error_file), config={"folder": str(self.folder)})
        self.scheduler.on_trial_error(None, trial)
        self.searcher.on_trial_complete(trial_id, error=True)

    def attempts(self, uid: str) -> int:
        return self.engine.record.trials[uid].attempts

    def state(self, uid: str) -> str:
        return self.engine.record.trials[uid].state


@pytest.fixture
def make_tune(make_spec: MakeSpec, tmp_path: Path) -> Callable[[int], Tune]:
    return lambda concurrency: Tune(tmp_path, make_spec(design=Search(trials=3, sampler="random")), concurrency)


def final(**metrics: Any) -> dict[str, Any]:
    return {"kind": "final", "report": json.dumps({"val_clean": 1.0, "val_pgd_8": 1.0, "train_pflop": 1.0} | metrics)}


def test_a_trial_whose_worker_died_goes_on_before_anything_new(make_tune: Callable[[int], Tune]) -> None:
    tune = make_tune(1)
    for death in range(1, MAX_WORKER_DEATHS + 1):
        trial, suggested = tune.start()
        assert suggested == {"uid": "t0000"} and tune.attempts("t0000") == death
        tune.searcher.on_trial_complete(trial, error=True)
        assert tune.state("t0000") == "running" and tune.ended == [], "its checkpoint stays"
    trial, _ = tune.start()
    tune.searcher.on_trial_complete(trial, final())
    assert (tune.state("t0000"), tune.ended) == ("complete", ["t0000"])


def test_the_study_is_not_finished_while_a_trial_runs(make_tune: Callable[[int], Tune]) -> None:
    """Ray never asks again where it was told so, and what runs may have to be run again."""
    tune = make_tune(4)
    started = [tune.start() for _ in range(3)]
    assert tune.start()[1] is None
    for trial, _ in started[:2]:
        tune.searcher.on_trial_complete(trial, final())
    assert tune.start()[1] is None
    tune.searcher.on_trial_complete(started[2][0], error=True)
    trial, suggested = tune.start()
    assert suggested == {"uid": "t0002"}
    tune.searcher.on_trial_complete(trial, final())
    assert tune.start()[1] == Searcher.FINISHED


def test_a_trial_whose_workers_die_again_and_again_has_failed(make_tune: Callable[[int], Tune]) -> None:
    """After as many deaths as are put up with it has one more try, alone; memory is not named without evidence."""
    tune = make_tune(1)
    for _ in range(MAX_WORKER_DEATHS + 2):
        trial, suggested = tune.start()
        assert suggested == {"uid": "t0000"}
        tune.fail(trial, "Worker exit detail: End of file. Some common causes include: the OOM killer")
    assert (tune.state("t0000"), tune.engine.record.trials["t0000"].reason) == ("failed", f"{DIED} (4 times)")
    assert tune.ended == ["t0000"]
    assert tune.start()[1] == {"uid": "t0001"}


def test_a_death_for_want_of_memory_is_called_so(make_tune: Callable[[int], Tune]) -> None:
    tune = make_tune(1)
    for _ in range(MAX_WORKER_DEATHS + 2):
        tune.fail(tune.start()[0], "1 worker(s) were killed due to the node running low on memory. Memory on the node")
    expected = "out of memory, even when run alone: Ray killed the worker, as its node ran low on memory (4 times)"
    assert tune.engine.record.trials["t0000"].reason == expected


def test_an_exception_of_a_worker_is_the_trials_failure(make_tune: Callable[[int], Tune]) -> None:
    """Raised while the worker was set up, or by CUDA: Ray passes it on, and it is not tried again."""
    tune = make_tune(1)
    trial, _ = tune.start()
    tune.fail(
        trial, "The actor died because of an error raised in its creation task, ray::T\n  File\nKeyError: 'depth'"
    )
    assert (tune.state("t0000"), tune.engine.record.trials["t0000"].reason) == ("failed", "KeyError: 'depth'")
    assert tune.start()[1] == {"uid": "t0001"}


def test_a_trial_is_not_to_blame_for_the_worker_that_it_was_given(make_tune: Callable[[int], Tune]) -> None:
    tune = make_tune(1)
    trial, _ = tune.start()
    tune.fail(trial, "ray::T.reset()\n  File\nstudy.workers.worker_errors.WorkerUnusable: CUDA error: launch failure")
    assert tune.start()[1] == {"uid": "t0000"}


def test_beside_others_it_is_given_the_machine_for_itself_first(make_tune: Callable[[int], Tune]) -> None:
    """What kills a worker again and again is most often a lack of memory."""
    tune = make_tune(2)
    _, other = tune.start()
    assert other == {"uid": "t0000"}
    for _ in range(MAX_WORKER_DEATHS + 1):
        trial, suggested = tune.start()
        assert suggested == {"uid": "t0001"}
        tune.searcher.on_trial_complete(trial, error=True)
    assert tune.state("t0001") == "proposed" and tune.engine.record.trials["t0001"].runs_alone
    assert tune.start()[1] is None, "it waits for the other one"
    tune.searcher.on_trial_complete("trial1", final())
    trial, suggested = tune.start()
    assert suggested == {"uid": "t0001"} and tune.start()[1] is None
    tune.searcher.on_trial_complete(trial, error=True)
    assert (tune.state("t0001"), tune.ended) == ("failed", ["t0000", "t0001"])


def test_an_end_without_a_result_is_a_death_too(make_tune: Callable[[int], Tune]) -> None:
    tune = make_tune(1)
    trial, _ = tune.start()
    tune.searcher.on_trial_complete(trial, None)
    assert tune.start()[1] == {"uid": "t0000"}


def test_a_trial_that_reports_its_failure_is_not_tried_again(make_tune: Callable[[int], Tune]) -> None:
    tune = make_tune(1)
    trial, _ = tune.start()
    report = json.dumps({"reason": "TrialDiverged: nan", "out_of_memory": False})
    tune.searcher.on_trial_complete(trial, {"kind": "failed", "report": report})
    assert (tune.state("t0000"), tune.ended) == ("failed", ["t0000"])


def test_the_end_of_the_study(make_tune: Callable[[int], Tune]) -> None:
    tune = make_tune(1)
    for number in range(3):
        trial, suggested = tune.start()
        assert suggested == {"uid": f"t{number:04d}"}
        assert tune.start()[1] is None, "no more at a time than can run"
        tune.searcher.on_trial_complete(trial, final())
    assert tune.start()[1] == EngineSearcher.FINISHED


def test_a_paused_trial_frees_its_place_keeps_its_checkpoint_and_comes_again(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    """Also where its worker has died since the decision: then, too, it is paused and not run again at once."""
    stopping = PausingMoAsha(first_rung=2, eta=2)
    tune = Tune(tmp_path, make_spec(design=Search(trials=3, sampler="random"), stopping=stopping), 1)

    def report(trial_id: str, uid: str, clean: float, *, dies: bool = False) -> None:
        metrics = {"milestone": 2000, "view_passes": 2000, "val_clean": clean, "val_pgd_8": clean}
        result = {"kind": "interim", "report": json.dumps(metrics)}
        answer = tune.scheduler.on_trial_result(None, SimpleNamespace(config={"uid": uid}), result)
        assert answer == EngineScheduler.STOP and tune.start()[1] is None
        if dies:
            tune.searcher.on_trial_complete(trial_id, error=True)
        else:
            tune.searcher.on_trial_complete(trial_id, result)
        assert tune.state(uid) == "paused" and tune.ended == []

    trial, suggested = tune.start()
    assert suggested == {"uid": "t0000"}
    report(trial, "t0000", 50.0, dies=True)
    trial, suggested = tune.start()
    assert suggested == {"uid": "t0001"}
    report(trial, "t0001", 40.0)
    trial, suggested = tune.start()
    assert suggested == {"uid": "t0000"} and tune.attempts("t0000") == 2
    tune.searcher.on_trial_complete(trial, final())
    assert (tune.state("t0000"), tune.ended) == ("complete", ["t0000"])


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, as in a process of its own; pytest's parallel workers ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def failed(reason: str, **more: Any) -> dict[str, Any]:
    return {"kind": "failed", "report": json.dumps({"reason": reason, "out_of_memory": False} | more)}


@pytest.mark.usefixtures("ctrl_c")
def test_a_failure_of_the_storage_is_no_result(make_tune: Callable[[int], Tune]) -> None:
    """The study is interrupted, and the trial goes on when the command is started again."""
    tune = make_tune(2)
    first, second = tune.start()[0], tune.start()[0]
    with pytest.raises(KeyboardInterrupt):  # which Ray Tune takes as Ctrl-C
        tune.searcher.on_trial_complete(first, failed("OSError: No space left on device", is_storage=True))
    assert tune.engine.halted == Halt("t0000: OSError: No space left on device", STORAGE_CODE)
    assert (tune.state("t0000"), tune.ended) == ("running", []), "its checkpoint stays"
    assert tune.start()[1] == Searcher.FINISHED
    tune.searcher.on_trial_complete(second, final())
    assert tune.state("t0001") == "complete", "what comes to its end meanwhile counts"
    tune.engine.close()
    assert read_journal(tune.folder).events[-1]["event"] == "interrupted"


@pytest.mark.usefixtures("ctrl_c")
def test_a_journal_that_cannot_be_written_is_no_failure_of_a_trial(make_tune: Callable[[int], Tune]) -> None:
    tune = make_tune(1)
    trial, _ = tune.start()
    before = tune.engine.journal.path.read_bytes()
    tune.engine.journal._file = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115 - full
    with pytest.raises(KeyboardInterrupt):
        tune.searcher.on_trial_complete(trial, final())
    assert tune.engine.halted == Halt("the journal cannot be written: No space left on device", STORAGE_CODE)
    assert tune.state("t0000") == "running" and tune.start()[1] == Searcher.FINISHED
    tune.engine.close()  # says nothing where nothing can be written
    assert tune.engine.journal.path.read_bytes() == before


@pytest.mark.usefixtures("ctrl_c")
def test_a_study_is_given_up_after_so_many_failures(make_spec: MakeSpec, tmp_path: Path) -> None:
    tune = Tune(tmp_path, make_spec(design=Search(trials=9, sampler="random")), 1, most_failures=2)
    tune.searcher.on_trial_complete(tune.start()[0], failed("ValueError: no"))
    with pytest.raises(KeyboardInterrupt):
        tune.searcher.on_trial_complete(tune.start()[0], failed("ValueError: a name, caf\udce9"))
    assert tune.engine.halted == Halt("2 trials failed (--abort-after-failures)", 1)
    assert tune.engine.record.trials["t0001"].reason == "ValueError: a name, caf\\udce9"


def test_a_trial_that_hangs_again_has_failed(make_tune: Callable[[int], Tune]) -> None:
    tune = make_tune(1)
    for _ in range(2):
        trial, suggested = tune.start()
        assert suggested == {"uid": "t0000"}
        (tune.folder / "crash.txt").write_text("Timeout (0:10:00)!\nThread 0x1\n")
        tune.fail(trial, "The actor died unexpectedly. Worker exit detail: End of file.")
    reason = "no progress for 0:10:00, so its worker was ended (crash.txt in the trial's folder says where) (2 times)"
    assert (tune.state("t0000"), tune.engine.record.trials["t0000"].reason) == ("failed", reason)


def test_a_trial_that_starts_afresh_says_so_and_why(make_tune: Callable[[int], Tune]) -> None:
    tune = make_tune(1)
    tune.start()
    result = {"kind": "afresh", "report": json.dumps({"reason": "the checkpoint is damaged"})}
    trial = SimpleNamespace(config={"uid": "t0000"})
    assert tune.scheduler.on_trial_result(None, trial, result) == EngineScheduler.CONTINUE
    event = read_journal(tune.folder).events[-1]
    assert (event["event"], event["uid"], event["reason"]) == ("restarted", "t0000", "the checkpoint is damaged")
