"""Real processes that train with the first one: they begin where it is, fail with a reason, and do not outlive it."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from patience import wait_until
from torch import Tensor

from study.trainable import CHECKPOINT_NAME, ProcessLost
from trainables.data.datasets import load_data
from trainables.pretraining import processes
from trainables.pretraining.pretrain import Pretraining
from trainables.trial import FinalReport, InterimReport, Progress, run_trial
from trainables.trial_config import TrialConfig

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that have been started."""
    found: list[subprocess.Popen[bytes]] = []
    start = processes._start

    def noted(folder: Path, rank: int, size: int) -> subprocess.Popen[bytes]:
        found.append(start(folder, rank, size))
        return found[-1]

    monkeypatch.setattr(processes, "_start", noted)
    return found


def test_a_trial_of_two_processes_goes_on_where_it_was(
    tiny: Callable[..., TrialConfig], tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    config = tiny(train_images=160, batch_size=20, adversary="free", replays=2, epochs=1, probe="central")
    data, half = load_data(config), 4 * 20 * config.view_passes_per_image()

    def reports(name: str) -> Iterator[Progress | InterimReport | FinalReport]:
        path = tmp_path / name / CHECKPOINT_NAME
        return run_trial(config, data, CPU, num_processes=2, milestones=[half], checkpoint_path=path)

    whole, interrupted = list(reports("whole")), reports("interrupted")
    assert any(isinstance(report, InterimReport) for report in interrupted), "stops at the first of them"
    interrupted.close()  # type: ignore[attr-defined]
    rest = list(reports("interrupted"))
    assert [process.poll() for process in started] == [0, 0, 0], "they have ended by themselves"
    assert 2 * sum(isinstance(report, Progress) for report in rest) <= sum(isinstance(r, Progress) for r in whole)
    for one in (whole[-1], rest[-1]):
        assert isinstance(one, FinalReport) and one.metrics["hardware"].startswith("2 x ")
        one.metrics.update(train_seconds=0, evaluation_seconds=0)
    assert whole[-1].metrics == rest[-1].metrics  # type: ignore[union-attr]


@pytest.mark.parametrize("how", ["is killed", "raises", "does not begin"])
def test_the_failure_of_another_process_is_told(
    tiny: Callable[..., TrialConfig], noise_images: Tensor, started: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch, how: str,
) -> None:  # fmt: skip
    pretraining = Pretraining(tiny(epochs=1000), noise_images, CPU, num_processes=2)
    match how:
        case "is killed":
            expected, reason = ProcessLost, "^process 1 of the trial was ended by SIGKILL$"
        case "raises":
            expected, reason = RuntimeError, "^process 1 of the trial: .*[mM]emory"
        case _:
            expected, reason = RuntimeError, "^process 1 of the trial: RuntimeError: Error.s. in loading state_dict"
            start = pretraining._start_of_others()
            monkeypatch.setattr(
                pretraining, "_start_of_others", lambda: start | {"state": start["state"] | {"encoder": {}}}
            )
    with pytest.raises(expected, match=reason):
        for _ in pretraining.run():
            if how == "is killed":
                started[0].kill()
            else:
                resource.prlimit(started[0].pid, resource.RLIMIT_DATA, (0, 0))
    assert started[0].poll()
    assert not torch.distributed.is_initialized()


def test_the_others_end_with_a_first_process_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trainables.run_trial", "--processes", "2", "--set", "epochs=1000"]
    first = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)})
    try:
        wait_until(lambda: any(tmp_path.glob("*/store")))
        [other] = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        time.sleep(1)  # both train
        assert is_running(other)
    finally:
        first.kill()
        first.wait()
    wait_until(lambda: not is_running(other))


def is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""  # that of one whose parent has not asked is empty
    except (FileNotFoundError, ProcessLookupError):
        return False
