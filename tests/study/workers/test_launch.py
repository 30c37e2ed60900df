"""How many trials fit on what Ray has."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from patience import PATIENCE_SECONDS

from study.workers.launch import OWNER, num_fitting, plan_resources, start_ray, take_over


@pytest.fixture(scope="module", autouse=True)
def three_cpus() -> Iterator[None]:
    ray.init("local", num_cpus=3, _memory=5 * 2**30, num_gpus=0, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_as_many_trials_as_fit_at_a_time() -> None:
    assert plan_resources(None, None, None, None).describe() == {
        "device": "cpu", "cpus_per_trial": 1, "gpus_per_trial": 0.0, "concurrency": 3,
        "processes_per_trial": 1, "gib_per_trial": None,
    }  # fmt: skip
    assert plan_resources("cpu", 2, None, None).concurrency == 1
    assert plan_resources("cpu", None, None, 2).concurrency == 2
    assert plan_resources("cpu", None, None, 9).concurrency == 3


def test_trials_that_only_wait_are_not_limited_by_cores() -> None:
    assert plan_resources(None, None, None, None, only_waits=True).describe() == {
        "device": "cpu", "cpus_per_trial": 0, "gpus_per_trial": 0.0, "concurrency": 3,
        "processes_per_trial": 1, "gib_per_trial": None,
    }  # fmt: skip
    assert plan_resources(None, None, None, 9, only_waits=True).concurrency == 9
    assert plan_resources(None, 2, None, 9, only_waits=True).concurrency == 1, "asked for cores"


def test_memory_limits_how_many_trials_run_at_a_time() -> None:
    resources = plan_resources("cpu", None, None, None, gib_per_trial=2.0)
    assert resources.concurrency == 2
    assert (resources.memory(alone=False), resources.memory(alone=True)) == (2 * 2**30, 4 * 2**30)
    with pytest.raises(ValueError, match=r"no trial fits: it needs 1 CPU\(s\), 0 GPU\(s\), 6 GiB, .* 5.0 GiB"):
        plan_resources("cpu", None, None, None, gib_per_trial=6.0)


@pytest.mark.parametrize(("device", "cpus"), [("cpu", 4), ("cuda", 1)])
def test_a_trial_that_fits_nowhere_is_refused(device: str, cpus: int) -> None:
    with pytest.raises(ValueError, match="no trial fits"):
        plan_resources(device, cpus, None, None)


@pytest.mark.parametrize("device", [None, "cpu"])
def test_a_share_of_a_gpu_needs_a_gpu(device: str | None) -> None:
    with pytest.raises(ValueError, match="--gpus-per-trial needs a GPU"):
        plan_resources(device, None, 0.25, None)


def test_a_trial_has_a_core_for_each_of_its_processes() -> None:
    resources = plan_resources("cpu", None, None, None, processes_per_trial=2)
    assert (resources.processes_per_trial, resources.cpus_per_trial, resources.concurrency) == (2, 2, 1)
    assert plan_resources("cpu", 1, None, None, processes_per_trial=2).concurrency == 3, "if it is not asked for fewer"


@pytest.mark.parametrize(
    ("gpus", "processes", "message"),
    [
        (1.5, None, "--gpus-per-trial must be a whole number or less than 1: 1.5"),
        (2.0, 2, "--processes-per-trial is for CPUs"),
        (2.0, None, r"no trial fits: it needs 2 CPU\(s\), 2 GPU\(s\)"),
    ],
)
def test_gpus_are_whole_and_have_a_process_each(gpus: float, processes: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_resources("cuda", None, gpus, None, processes_per_trial=processes)


def test_a_cluster_that_happens_to_run_here_is_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ray, "init", lambda address, **_: asked.append(address))
    start_ray(None)
    assert asked == [], "this process has started one"
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    start_ray(None)
    start_ray("auto")
    assert asked == ["local", "auto"]  # with None, Ray joins one that another user or another test has started


@pytest.mark.parametrize(
    ("node", "cpus", "gpus", "gib", "fitting"),
    [
        ({"CPU": 1.0}, 2, 0.0, None, 0),
        ({"CPU": 5.0}, 2, 0.0, None, 2),
        ({"CPU": 16.0, "GPU": 3.0}, 1, 0.4, None, 6),  # two on each GPU, though 3 / 0.4 is 7.5
        ({"CPU": 16.0, "GPU": 1.0}, 1, 0.1, None, 10),
        ({"CPU": 4.0, "GPU": 1.0}, 1, 0.1, None, 4),
        ({"CPU": 16.0, "GPU": 3.0}, 1, 2.0, None, 1),
        ({"CPU": 16.0}, 1, 1.0, None, 0),
        ({"CPU": 16.0, "memory": 5.0 * 2**30}, 1, 0.0, 2.0, 2),
    ],
)
def test_a_trial_lies_on_one_node_and_a_share_on_one_gpu(
    node: dict[str, float], cpus: int, gpus: float, gib: float | None, fitting: int
) -> None:
    assert num_fitting(node, cpus, gpus, gib) == fitting


def test_folders_of_drivers_that_were_killed_are_removed(tmp_path: Path) -> None:
    for name in ("session_killed", "session_at_work", "session_own", "session_of_others"):
        (tmp_path / name / "logs").mkdir(parents=True)
    (tmp_path / "session_killed" / OWNER).touch()
    with take_over(tmp_path / "session_at_work"):
        take_over(tmp_path / "session_own").close()
        assert {path.name[8:] for path in tmp_path.iterdir()} == {"at_work", "own", "of_others"}
    take_over(tmp_path / "session_own").close()
    assert {path.name[8:] for path in tmp_path.iterdir()} == {"own", "of_others"}


OWN_RAY = """
import signal
from pathlib import Path
import ray
from study.workers.launch import OWNER, start_ray, stop_ray

def blocked(pid):
    mask = int(Path(f"/proc/{pid}/status").read_text().split("SigBlk:")[1].split()[0], 16)
    return [one for one in (signal.SIGTERM, signal.SIGHUP) if mask >> one - 1 & 1]

before = signal.getsignal(signal.SIGTERM)
start_ray(None)
assert signal.getsignal(signal.SIGTERM) == before and not blocked("self")
node = ray._private.worker._global_node
folder = Path(node.get_session_dir_path())
assert (folder / OWNER).exists()
processes = [info.process for infos in node.all_processes.values() for info in infos]
assert processes and all(len(blocked(process.pid)) == 2 for process in processes)
stop_ray()
assert not folder.exists() and all(process.poll() == -signal.SIGKILL for process in processes)
"""


@pytest.mark.slow
def test_a_ray_of_its_own_leaves_signals_to_the_driver_and_nothing_behind() -> None:
    done = subprocess.run([sys.executable, "-c", OWN_RAY], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
