"""What the machine does to a study, with real signals and a real full device; each time the same command resumes.

One story of four starts, told in the order of the tests' assertions, because each start of Ray takes its time.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_run import CommandRun

from study import verify
from study.decisions.engine import STORAGE_CODE
from study.record.journal import Event, StudyRecord, read_journal, read_study

pytestmark = pytest.mark.slow

SPACE = """
import subprocess
import time
from pathlib import Path

from pydantic import BaseModel

from study.spec import Factor, Grid, StudySpec
from study.trainable import DamagedCheckpoint, Metric, as_trainable

OUTSIDE = Path({outside!r})  # what the trials write to, and whether they may fail

class Config(BaseModel, frozen=True):
    does: str = "waits"
    seed: int = 0

@as_trainable(config=Config, metrics=[Metric("score"), Metric("began_at")], progress="epochs")
def fit(config, context):
    helper = subprocess.Popen(["sleep", "900"])
    helper.terminate()
    assert helper.wait(timeout=300) == -15, "a trial may end what it has started"
    path, began = context.checkpoint_path, 0
    if path.is_file():
        if not path.read_text().isdigit():
            raise DamagedCheckpoint(f"the checkpoint {{path}} is damaged: no number")
        began = int(path.read_text())
    if config.does == "fails" and not (OUTSIDE / "mended").exists():
        raise ValueError("not mended")
    for epoch in range(began, 600):
        path.write_text(str(epoch))
        if config.does == "writes":
            with (OUTSIDE / "disk").open("w") as file:
                file.write("x" * 9000)
        time.sleep(0.5)
        if (OUTSIDE / "hurry").exists():
            break
        yield {{"epochs": epoch, "score": 1.0, "began_at": began}}
    yield {{"epochs": 600, "score": 1.0, "began_at": began}}

STUDY = StudySpec(
    name="faulty", question="What does a fault of the machine do?", base=Config(), objectives=("score",), design=Grid(),
    factors=(Factor(name="does", levels={{name: {{"does": name}} for name in ("fails", "waits", "writes")}}),),
)
"""
LIMIT_SECONDS = 30.0  # between SIGTERM and SIGKILL, by default, of Kubernetes and Slurm


class Story:
    """The study, its folder, and what happens to it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.study_dir = folder, folder / "runs" / "faulty"
        self.space = folder / "faulty.py"
        self.space.write_text(SPACE.format(outside=str(folder)))
        self.runs: list[CommandRun] = []

    def start(self, *options: str) -> CommandRun:
        self.runs.append(CommandRun(self.space, self.study_dir.parent, "--preset=", "--concurrency", "2", *options))
        return self.runs[-1]

    @property
    def record(self) -> StudyRecord:
        return read_study(self.study_dir)

    @property
    def events(self) -> list[Event]:
        return read_journal(self.study_dir).events

    def checkpoint(self, does: str) -> Path:
        uid = next(trial.uid for trial in self.record.trials.values() if trial.params["does"] == does)
        return self.study_dir / "trials" / uid / "checkpoint.pt"

    def wait_until_at_work(self, run: CommandRun) -> None:
        """Until both trials that do not fail have trained for a few more epochs than when the run began."""
        paths = [self.checkpoint(does) for does in ("waits", "writes")]  # not there if halted before they began

        def epochs() -> list[int]:
            return [int(path.read_text() or 0) if path.is_file() else 0 for path in paths]

        before = epochs()
        run.wait_until(lambda: all(now >= then + 2 for now, then in zip(epochs(), before, strict=True)))

    def end_by(self, run: CommandRun, number: signal.Signals, *pids: int) -> None:
        """Sends a signal and checks how the driver ends."""
        sent_at = time.monotonic()
        for pid in pids:
            os.kill(pid, number)
        assert run.wait() == 128 + number, run.log
        assert time.monotonic() - sent_at < LIMIT_SECONDS
        assert f"Interrupted: {number.name} was received; the same command resumes." in run.log, run.log
        assert "Traceback" not in run.log and "Stack" not in run.log and "***" not in run.log, run.log
        last = self.events[-1]
        assert (last["event"], last["reason"]) == ("interrupted", f"{number.name} was received")


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    story = Story(tmp_path)
    yield story
    for run in story.runs:
        run.kill()


def test_a_study_outlives_what_machines_do(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    disk = story.folder / "disk"
    disk.symlink_to("/dev/full")
    run = story.start()
    assert run.wait() == STORAGE_CODE, run.log
    why = "OSError: [Errno 28] No space left on device"
    assert f": {why}; the same command resumes." in run.log and "Traceback" not in run.log, run.log
    (failed,) = story.record.with_state("failed", "complete")
    assert failed.params["does"] == "fails", "the full device is nobody's result"
    assert story.events[-1]["event"] == "interrupted" and why in story.events[-1]["reason"]

    disk.unlink()
    run = story.start()
    story.wait_until_at_work(run)
    story.end_by(run, signal.SIGTERM, *run.living())  # as Slurm does: to all processes, Ray's too

    run = story.start()
    story.wait_until_at_work(run)
    story.end_by(run, signal.SIGHUP, run.process.pid)

    story.checkpoint("waits").write_text("flipped")
    (story.folder / "hurry").touch()
    (story.folder / "mended").touch()
    run = story.start("--retry-failed")
    assert run.wait() == 0, run.log
    assert story.record.ended and len(story.record.with_state("complete")) == 3
    metrics = {trial.params["does"]: trial.metrics for trial in story.record.trials.values()}
    assert metrics["waits"]["began_at"] == 0 and metrics["writes"]["began_at"] > 0
    assert "starts afresh: the checkpoint " in run.log and "is damaged" in run.log, run.log
    assert [event["state"] for event in story.events if event["event"] == "finished"].count("failed") == 1
    assert verify.main([str(story.study_dir)]) == 0, capsys.readouterr().out
