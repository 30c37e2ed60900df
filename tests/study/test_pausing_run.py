"""A real study that pauses trials: killed with -9 where it hurts, gone on with by the same command, moved, finished.

Killed between the decision to pause a trial and its pause, and when a promoted trial had just been launched, of which
the journal then knows no more than the promotion. Trials are tiny functions that write down each epoch they train.
"""

import json
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_run import CommandRun

from study import open_study, verify
from study.record.configurations import spent
from study.record.journal import JOURNAL_NAME, StudyRecord, read_study
from study.trainable import CHECKPOINT_NAME

pytestmark = pytest.mark.slow

NUM_TRIALS = 12
EPOCHS = 7
RUNGS = [1, 2, 4]  # whatever the order of reports, at least 12 // 2 // 2 // 2 trials are promoted from the last one
SPACE = """
import json, os, time

from optuna.distributions import FloatDistribution
from pydantic import BaseModel

from study import Factor, Metric, PausingMoAsha, Search, StudySpec, as_trainable


class Config(BaseModel, frozen=True):
    rate: float = 0.5
    epochs: int = 7
    seed: int = 0


METRICS = [Metric("good"), Metric("quick"), Metric("core_hours", "minimize", kind="cost")]


@as_trainable(config=Config, metrics=METRICS, progress="epochs", total="epochs")
def train(config, context):
    path = context.checkpoint_path
    done = json.loads(path.read_text())["done"] if path.exists() else 0
    for epoch in range(done + 1, config.epochs + 1):
        time.sleep(0.15)
        with (context.folder / "trained.txt").open("a") as file:
            file.write(f"{epoch}\\n")
        path.with_suffix(".new").write_text(json.dumps({"done": epoch}))
        os.replace(path.with_suffix(".new"), path)
        good = epoch * (1 - (config.rate - 0.3) ** 2)
        yield {"epochs": epoch, "good": good, "quick": 1 - config.rate, "core_hours": float(epoch)}


STUDY = StudySpec(
    name="pausing",
    question="Is anything lost?",
    base=Config(),
    factors=(Factor(name="rate", distribution=FloatDistribution(0, 1)),),
    objectives=("good", "quick"),
    design=Search(trials=12, sampler="random"),
    stopping=PausingMoAsha(first_rung=1, eta=2),
)
"""


class PausingStudy:
    """The study, its runs and what was there at each kill."""

    def __init__(self, folder: Path) -> None:
        self.space, self.study_dir = folder / "pausing.py", folder / "runs" / "pausing"
        self.space.write_text(SPACE)
        self.kept: list[tuple[str, str]] = []  # why it was killed, and the journal's whole lines then
        self.runs: list[CommandRun] = []

    @property
    def journal(self) -> str:
        path = self.study_dir / JOURNAL_NAME
        text = path.read_text() if path.exists() else ""
        return text[: text.rfind("\n") + 1]

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.splitlines()]

    @property
    def record(self) -> StudyRecord:
        return read_study(self.study_dir)

    def start(self, *options: str) -> CommandRun:
        command = CommandRun(self.space, self.study_dir.parent, "--concurrency", "2", "--preset=", *options)
        self.runs.append(command)
        return command

    def kill_after(self, kind: str, *, behind: str = "", **fields: Any) -> None:
        """Kills a run soon after an event of ``kind``, of a trial that has had an event of kind ``behind`` if given."""
        known = len(self.events())
        run = self.start()
        wanted = fields.items()

        def has_come() -> bool:
            uids = set()
            for e in self.events()[known:]:
                if e["event"] == kind and wanted <= e.items() and (not behind or e["uid"] in uids):
                    return True
                if e["event"] == behind:
                    uids.add(e["uid"])
            return False

        run.wait_until(has_come)
        run.kill()
        assert run.process.returncode == -signal.SIGKILL
        self.kept.append((kind, self.journal))

    def cut_behind(self, kind: str, **fields: Any) -> str:
        """Cuts the journal behind its last event of ``kind``, as if the kill had come right after it; the uid."""
        lines = self.journal.splitlines(keepends=True)
        events = self.events()
        last = max(n for n, e in enumerate(events) if e["event"] == kind and fields.items() <= e.items())
        uid = str(events[last]["uid"])
        (self.study_dir / JOURNAL_NAME).write_text("".join(lines[: last + 1]))
        self.kept[-1] = (self.kept[-1][0], self.journal)
        return uid

    def trained(self, uid: str) -> list[int]:
        return [int(line) for line in (self.study_dir / "trials" / uid / "trained.txt").read_text().split()]

    def disagreements(self) -> list[str]:
        return [line for check in verify.verify(self.study_dir) for line in check.disagreements]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PausingStudy]:
    """Two kills, then the end."""
    study = PausingStudy(tmp_path_factory.mktemp("pausing"))
    try:
        study.kill_after("decided", decision="pause")
        study.cut_behind("decided", decision="pause")
        assert study.disagreements() == []
        study.kill_after("launched", behind="promoted")
        study.cut_behind("promoted")
        assert study.disagreements() == []
        run = study.start()
        assert run.wait() == 0, run.log
        yield study
    finally:
        for run in study.runs:
            run.kill()


def test_every_decision_stands_and_nothing_is_lost(study: PausingStudy) -> None:
    record = study.record
    assert record.ended and len(record.trials) == NUM_TRIALS
    for _, journal in study.kept:
        assert study.journal.startswith(journal)
    states = Counter(trial.state for trial in record.trials.values())
    assert states["paused"] > 0 and states["complete"] > 0 and set(states) == {"paused", "complete"}, states
    num_paused = {
        trial.uid: [decision["decision"] for decision in trial.decisions].count("pause")
        for trial in record.trials.values()
    }
    assert any(num_paused[trial.uid] > (trial.state == "paused") for trial in record.trials.values()), "one went on"
    assert study.disagreements() == []
    for trial in record.trials.values():
        milestones = [report["milestone"] for report in trial.reports]
        assert milestones == RUNGS[: len(milestones)] and len(trial.decisions) == len(milestones)
    assert "are paused: more --trials may continue them, --finish-paused runs them to their end." in study.runs[-1].log


def test_promoted_trials_went_on_from_their_checkpoints(study: PausingStudy) -> None:
    """But for epochs that a kill cut off from their checkpoint, no epoch was trained twice."""
    num_repeated = 0
    for trial in study.record.trials.values():
        epochs = study.trained(trial.uid)
        assert set(epochs) == set(range(1, max(epochs) + 1))
        num_repeated += len(epochs) - len(set(epochs))
        assert trial.repeated == [] and spent(trial, "core_hours", "") <= max(epochs)
        if trial.state == "complete":
            assert max(epochs) == EPOCHS and trial.metrics["core_hours"] == EPOCHS
    assert num_repeated <= 2 * len(study.kept), "a kill hits two trials, each in one epoch"


def test_checkpoints_of_paused_trials_are_there(study: PausingStudy) -> None:
    paused = {trial.uid for trial in study.record.with_state("paused")}
    assert {path.parent.name for path in study.study_dir.glob(f"trials/*/{CHECKPOINT_NAME}")} == paused
    table = open_study(study.study_dir).trials.set_index("uid")
    assert set(table.index[table["state"] == "paused"]) == paused


def test_a_moved_study_finishes_what_is_paused(study: PausingStudy, tmp_path: Path) -> None:
    """From its checkpoint, and no epoch twice; where that is lost, afresh, and the ledger says so."""
    moved = PausingStudy(tmp_path)
    shutil.copytree(study.study_dir.parent, moved.study_dir.parent)
    paused = {trial.uid: trial.reports[-1]["milestone"] for trial in moved.record.with_state("paused")}
    afresh = min(paused)
    (moved.study_dir / "trials" / afresh / CHECKPOINT_NAME).unlink()
    run = moved.start("--finish-paused")
    try:
        assert run.wait() == 0, run.log
    finally:
        run.kill()
    record = moved.record
    assert record.ended and {t.state for t in record.trials.values()} == {"complete"}
    assert moved.journal.startswith(study.journal) and moved.disagreements() == []
    for uid, milestone in paused.items():
        new = moved.trained(uid)[len(study.trained(uid)) :]
        assert new == list(range(1 if uid == afresh else milestone + 1, EPOCHS + 1))
        assert record.trials[uid].metrics["core_hours"] == EPOCHS
        assert bool(record.trials[uid].repeated) == (uid == afresh)
    assert spent(record.trials[afresh], "core_hours", "") == EPOCHS + paused[afresh]
    assert len({report["milestone"] for report in record.trials[afresh].reports}) == len(record.trials[afresh].reports)
    assert not list(moved.study_dir.glob(f"trials/*/{CHECKPOINT_NAME}"))
