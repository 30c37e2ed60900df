"""Real workers that fail in every way: what is the reason in the journal, and what becomes of the trials after them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS

from study.record.journal import TrialRecord, read_study

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
SPACE = """
import ctypes, os, signal, time
from pydantic import BaseModel
from study.spec import Factor, Grid, StudySpec
from study.trainable import Metric, as_trainable

class Config(BaseModel, frozen=True):
    does: str = "nothing"
    seed: int = 0

class Data:
    def __init__(self, driver):
        self.driver = driver

    def __setstate__(self, state):
        self.__dict__ = state
        if {fails_in_setup} and os.getpid() != self.driver:
            raise KeyError("depth_of_tree")

def load(config):
    return Data(os.getpid())

@as_trainable(config=Config, metrics=[Metric("score"), Metric("pid")], progress="epochs", load=load)
def fit(config, data, context):
    match config.does:
        case "raises":
            raise ValueError("too deep")
        case "cuda":
            raise RuntimeError("CUDA error: device-side assert triggered\\nCompile with TORCH_USE_CUDA_DSA")
        case "segfault":
            ctypes.string_at(0)
        case "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hangs":
            time.sleep(1000)
    yield {{"epochs": 1, "score": 1.0, "pid": os.getpid()}}

STUDY = StudySpec(
    name="failing", question="Why?", base=Config(), objectives=("score",), design=Grid(),
    factors=(Factor(name="does", levels={{name: {{"does": name}} for name in {does}}}),),
)
"""


def run_study(folder: Path, does: list[str], *options: str, fails_in_setup: bool = False) -> dict[str, TrialRecord]:
    """The trials of a study with one worker, by what they do."""
    space = folder / "space.py"
    space.write_text(SPACE.format(does=does, fails_in_setup=fails_in_setup))
    command = [sys.executable, "-m", "study.run", "--space", str(space), "--output", str(folder), "--concurrency", "1"]
    command += options
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (folder / "failing" / "journal.jsonl").is_file(), done.stderr
    return {trial.params["does"]: trial for trial in read_study(folder / "failing").trials.values()}


def test_each_failure_has_its_reason_and_those_after_it_run(tmp_path: Path) -> None:
    doings = ["nothing", "raises", "still nothing", "cuda", "nothing more", "segfault", "is killed", "hangs"]
    trials = run_study(tmp_path, [*doings, "nothing at all"], "--trial-timeout", "0.1")
    reasons = {name: trial.reason for name, trial in trials.items() if trial.state == "failed"}
    assert reasons == {
        "raises": "ValueError: too deep",
        "cuda": "RuntimeError: CUDA error: device-side assert triggered\nCompile with TORCH_USE_CUDA_DSA",
        "segfault": "the worker process died: Fatal Python error: Segmentation fault "
        "(crash.txt in the trial's folder says where) (4 times)",
        "is killed": "the worker process died: it left no message, as after SIGKILL (4 times)",
        "hangs": "no progress for 0:00:06, so its worker was ended "
        "(crash.txt in the trial's folder says where) (2 times)",
    }
    assert [trials[name].attempts for name in ("raises", "cuda", "segfault")] == [1, 1, 4]
    well = [trial for trial in trials.values() if trial.state == "complete"]
    assert len(well) == 4 and all(trial.attempts == 1 for trial in well)
    pids = [trials[name].metrics["pid"] for name in ("nothing", "still nothing", "nothing more")]
    assert pids[0] == pids[1], "an exception of the trial's own leaves the worker as it is"
    assert pids[1] != pids[2], "one of CUDA's does not"
    folders = tmp_path / "failing" / "trials"
    noted = [trials[name].uid for name in ("segfault", "hangs")]
    assert sorted(path.parent.name for path in folders.glob("*/crash.txt")) == noted
    assert "in fit" in (folders / trials["hangs"].uid / "crash.txt").read_text()
    assert "ctypes" in (folders / trials["segfault"].uid / "crash.txt").read_text()


def test_a_worker_that_cannot_be_set_up_says_why(tmp_path: Path) -> None:
    trials = run_study(tmp_path, ["nothing", "nothing else"], fails_in_setup=True)
    assert [trial.state for trial in trials.values()] == ["failed", "failed"]
    assert all(trial.reason.endswith("KeyError: 'depth_of_tree'") for trial in trials.values())
    assert all("memory" not in trial.reason and trial.attempts == 1 for trial in trials.values())
