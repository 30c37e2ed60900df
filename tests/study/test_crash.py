"""One real study that is killed with SIGKILL five times, and after each kill gone on with by the same command.

What is killed: the driver with all that it started, the driver alone, the workers, Ray's raylet. Three kills come when
a trial that will not be stopped any more has a checkpoint, the others at random.
"""

import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from command_run import CommandRun, kill
from patience import wait_until

from study import verify
from study.record.journal import FINISHED, JOURNAL_NAME, StudyRecord, TrialRecord, has_driver, read_study
from study.trainable import CHECKPOINT_NAME
from trainables.data.datasets import load_data
from trainables.trial import FinalReport, run_trial
from trainables.trial_config import TrialConfig

pytestmark = pytest.mark.slow

NUM_TRIALS = 16
MILESTONES = [400, 1200, 3600]  # of all trials, which have 6,000 or 9,000 view passes
SPACE = f"""
from optuna.distributions import CategoricalDistribution

from study.spec import Factor, MoAsha, Search, StudySpec
from trainables.trial_config import TrialConfig

STUDY = StudySpec(
    name="crashing",
    question="Does anything get lost?",
    base=TrialConfig(
        dataset="digits", image_size=8, train_images=100, encoder="resnet_narrow", projector_hidden_dim=32,
        projector_dim=16, batch_size=50, epochs=30, adversary="none", probe="central", probe_epochs=1,
        rung_probe_epochs=1, eval_samples=40, rung_images=40, eval_pgd_steps=2, eval_radii_255=(8.0,),
    ),
    factors=(
        Factor(name="num_views", distribution=CategoricalDistribution([2, 3])),
        Factor(
            name="learning_rate",
            distribution=CategoricalDistribution([0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1e30]),
        ),
    ),
    design=Search(trials={NUM_TRIALS}, sampler="random"),
    stopping=MoAsha(first_rung=4, eta=3, audit=0.3),
)
"""
CHOSEN_KINDS = ("workers", "everything", "raylet")
RANDOM_KINDS = ("everything", "driver")
MARKER_SECONDS = 1000.0  # added to the clock in a checkpoint; no trial here trains for so long
HALF_LINE = '{"event": "finished", "time": 17'
RAY_GIVES_UP_SECONDS = 12.0  # after the death of its raylet; measured


@dataclass
class Kill:
    """What was killed, and what was there then."""

    kind: str
    run: CommandRun
    journal: str  # its whole lines, once nobody wrote any more, or half a second after the workers' death
    marked: dict[str, int] = field(default_factory=dict)  # uid -> batches done in its checkpoint
    seconds_to_end: float = 0.0  # of the driver
    disagreements: list[str] = field(default_factory=list)


class CrashedStudy:
    """A study on its way through five kills."""

    def __init__(self, folder: Path) -> None:
        self.space, self.study_dir = folder / "crashing.py", folder / "runs" / "crashing"
        self.space.write_text(SPACE)
        self.kills: list[Kill] = []
        self.runs: list[CommandRun] = []

    @property
    def journal(self) -> str:
        """The whole lines."""
        path = self.study_dir / JOURNAL_NAME
        text = path.read_text() if path.exists() else ""
        return text[: text.rfind("\n") + 1]

    @property
    def num_events(self) -> int:
        return self.journal.count("\n")

    @property
    def record(self) -> StudyRecord:
        return read_study(self.study_dir)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.splitlines()]

    def checkpoint(self, trial: TrialRecord) -> Path:
        return self.study_dir / "trials" / trial.uid / CHECKPOINT_NAME

    def start(self) -> CommandRun:
        self.runs.append(CommandRun(self.space, self.study_dir.parent))
        return self.runs[-1]

    def has_sure_trial_under_way(self) -> bool:
        """Whether a trial has a checkpoint and no rung left that could stop it: its result will tell of the kill."""
        return self.num_events > 0 and any(
            (trial.is_audited or len(trial.decisions) == len(MILESTONES)) and self.checkpoint(trial).exists()
            for trial in self.record.with_state("running")
        )

    def mark_checkpoints(self) -> dict[str, int]:
        """Puts the clock in the checkpoint of every unfinished trial forward; returns uid -> batches done in it."""
        found = {}
        for trial in self.record.trials.values():
            path = self.checkpoint(trial)
            if trial.state not in FINISHED and path.exists():
                checkpoint = torch.load(path, weights_only=True)
                checkpoint["state"]["train_seconds"] += MARKER_SECONDS
                torch.save(checkpoint, path.with_suffix(".marked"))
                os.replace(path.with_suffix(".marked"), path)
                found[trial.uid] = checkpoint["state"]["batches_done"]
        return found

    def strike(self, run: CommandRun, kind: str) -> None:
        """Kills what ``kind`` says. Of the run nothing is left but a driver whose workers were killed."""
        started = time.monotonic()
        match kind:
            case "everything":
                run.kill()
            case "driver":  # those that it has started are left to themselves
                kill(run.process.pid)
                run.wait()
            case "workers":
                run.wait_until(lambda: any([kill(pid) for pid in trial_workers(run)]))
                time.sleep(0.5)  # what they said last is written by then; new ones take longer to start
                assert has_driver(self.study_dir)
            case "raylet":
                assert any([kill(pid) for pid, command in run.living().items() if "/raylet/raylet " in command])
                run.wait()
        found = Kill(kind, run, self.journal, seconds_to_end=time.monotonic() - started)
        if kind == "raylet":
            run.kill()
        if kind != "driver":  # nor is anything marked beside those that may still be writing
            found.marked = self.mark_checkpoints()
        found.disagreements = [line for check in verify.verify(self.study_dir) for line in check.disagreements]
        self.kills.append(found)


def trial_workers(run: CommandRun) -> list[int]:
    """The processes that run trials; Ray names them after what they do."""
    return [pid for pid, command in run.living().items() if command.startswith(("ray::StudyTrial", "ray::Resource"))]


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashedStudy]:
    """The whole story: five kills, then the end."""
    study, order = CrashedStudy(tmp_path_factory.mktemp("crash")), random.Random(0)
    random_kinds = order.sample(RANDOM_KINDS, len(RANDOM_KINDS))
    try:
        run = study.start()
        for kind in CHOSEN_KINDS:
            run.wait_until(lambda run=run: study.has_sure_trial_under_way() and trial_workers(run))  # type: ignore[misc]
            study.strike(run, kind)
            run = run if kind == "workers" else study.start()
        for kind in random_kinds:
            awaited = study.num_events + order.randint(1, 12)
            run.wait_until(lambda awaited=awaited: study.num_events >= awaited)  # type: ignore[misc]
            time.sleep(order.uniform(0, 0.5))
            study.strike(run, kind)
            if kind == "everything":
                with (study.study_dir / JOURNAL_NAME).open("a") as file:
                    file.write(HALF_LINE)
            run = run if kind == "workers" else study.start()
        assert run.wait() == 0, run.log
        yield study
    finally:
        for run in study.runs:
            run.kill()


def test_the_study_comes_to_its_end(crashed: CrashedStudy) -> None:
    record = crashed.record
    assert record.ended and len(record.trials) == NUM_TRIALS
    states = Counter(trial.state for trial in record.trials.values())
    assert min(states["complete"], states["stopped"], states["failed"]) >= 1, states
    for trial in record.with_state("failed"):
        assert trial.params["learning_rate"] == 1e30, f"a kill is no failure: {trial.reason}"
    assert not list(crashed.study_dir.glob("trials/*/checkpoint*")), "nothing is left of unfinished work"


def test_every_kill_hit_a_study_at_work(crashed: CrashedStudy) -> None:
    assert Counter(found.kind for found in crashed.kills) == Counter([*CHOSEN_KINDS, *RANDOM_KINDS])
    ends = {"everything": -signal.SIGKILL, "driver": -signal.SIGKILL, "raylet": 1}
    for found in crashed.kills:
        if found.kind in ends:
            assert found.run.process.returncode == ends[found.kind]
    lengths = [found.journal.count("\n") for found in crashed.kills]
    assert lengths == sorted(lengths) and lengths[-1] < crashed.num_events


def test_what_was_written_stands(crashed: CrashedStudy) -> None:
    """Each journal begins with the one before it, so no decision changed and no finished trial was lost."""
    texts = [found.journal for found in crashed.kills] + [crashed.journal]
    for before, after in itertools.pairwise(texts):
        assert after.startswith(before)


def test_no_trial_is_lost_or_run_twice(crashed: CrashedStudy) -> None:
    events = crashed.events()
    ends = [event["uid"] for event in events if event["event"] == "finished"]
    assert sorted(ends) == [f"t{number:04d}" for number in range(NUM_TRIALS)]
    for uid in ends:
        (end,) = (i for i, event in enumerate(events) if event["event"] == "finished" and event["uid"] == uid)
        assert not [event for event in events[end + 1 :] if event.get("uid") == uid]
    restarts = sum(found.kind != "workers" for found in crashed.kills)
    assert [event["event"] for event in events].count("resumed") in (restarts - 1, restarts)  # or killed before it


def test_interrupted_trials_go_on_from_their_checkpoints(crashed: CrashedStudy) -> None:
    """The clock that a kill found in a checkpoint was put forward: it is in the result, however often that was."""
    record = crashed.record
    marked = [found for found in crashed.kills if found.marked]
    for trial in record.with_state("complete"):
        kills = [found for found in marked if trial.uid in found.marked]
        # Beside the workers that were killed another one may just have read its checkpoint; not so the first time.
        least = [found for found in kills if found.kind != "workers" or found is crashed.kills[0]]
        times_put_forward = trial.metrics["train_seconds"] // MARKER_SECONDS
        assert len(least) <= times_put_forward <= len(kills), (trial.uid, [found.kind for found in kills])
    for found in crashed.kills[: len(CHOSEN_KINDS)]:
        gone_on = [uid for uid in found.marked if record.trials[uid].state == "complete"]
        assert gone_on and all(found.marked[uid] > 0 for uid in gone_on), found


def test_interrupted_trials_get_the_numbers_of_uninterrupted_ones(crashed: CrashedStudy) -> None:
    record = crashed.record
    for found in crashed.kills[: len(CHOSEN_KINDS)]:
        trial = next(record.trials[uid] for uid in found.marked if record.trials[uid].state == "complete")
        config = TrialConfig(**trial.config)
        *_, final = run_trial(config, load_data(config), torch.device("cpu"), milestones=MILESTONES)
        assert isinstance(final, FinalReport)
        for name, value in final.metrics.items():
            if not name.endswith("_seconds"):
                assert trial.metrics[name] == value, (trial.uid, name)


def test_killed_workers_are_replaced_without_a_restart(crashed: CrashedStudy) -> None:
    for index, found in enumerate(crashed.kills):
        if found.kind == "workers":
            following = crashed.kills[index + 1].run if index + 1 < len(crashed.kills) else crashed.runs[-1]
            assert following is found.run


def test_a_dead_raylet_ends_the_driver_with_one_line(crashed: CrashedStudy) -> None:
    (found,) = (found for found in crashed.kills if found.kind == "raylet")
    # Not always the last line: on a slow machine Ray is in time to print its own log.
    said = "error: Ray's raylet has ended (killed, or out of memory); the same command resumes"
    assert found.run.log.splitlines().count(said) == 1, found.run.log
    assert found.seconds_to_end < RAY_GIVES_UP_SECONDS - 2, "Ray did not come first"
    assert "Traceback" not in found.run.log


def test_a_half_written_last_line_is_dropped_with_a_warning(crashed: CrashedStudy) -> None:
    for index, found in enumerate(crashed.kills):
        following = crashed.runs[crashed.runs.index(found.run) + 1] if found.kind != "workers" else None
        if found.kind == "everything" and index >= len(CHOSEN_KINDS):
            assert following and "warning: dropped a half-written last line of" in following.log
    assert HALF_LINE + "\n" not in crashed.journal and HALF_LINE + "{" not in crashed.journal


def test_everything_agrees_with_the_journal_after_each_kill_and_at_the_end(
    crashed: CrashedStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [found.disagreements for found in crashed.kills] == [[]] * len(crashed.kills)
    assert verify.main([str(crashed.study_dir)]) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert f"ok: MLflow: runs of {NUM_TRIALS} trials" in said and "note: " not in said
    assert "MLflow could not be written" not in crashed.runs[-1].log


def test_no_process_is_left(crashed: CrashedStudy) -> None:
    """Also of those that a driver, killed alone, has left to themselves.

    Where Ray's GCS dies before its raylet, Ray's agents look for it for a minute before they end.
    """
    wait_until(lambda: not any(run.living() for run in crashed.runs))
