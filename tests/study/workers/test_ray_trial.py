"""The trainable without Ray: what a worker does about images that are not on its node."""

import errno
import json
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from study.record.curves import read_curve
from study.trainable import CHECKPOINT_NAME
from study.workers import ray_trial
from study.workers.memory_cap import allocated_bytes
from study.workers.ray_trial import StudyTrial, breaks_the_process, is_out_of_memory
from study.workers.worker_errors import WorkerUnusable
from trainables.data.datasets import TrialData, load_data
from trainables.data.image_cache import cache_dir
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import TrialConfig

CONFIG = TrialConfig(
    dataset="imagefolder",
    image_size=8,
    validation_fraction=0.25,
    num_views=2,
    encoder="resnet_narrow",
    projector_hidden_dim=16,
    projector_dim=8,
    batch_size=8,
    epochs=1,
    adversary="none",
    probe="central",
    probe_epochs=1,
    eval_pgd_steps=1,
    eval_radii_255=(8.0,),
)


@pytest.fixture
def config(
    make_photographs: Callable[[Path, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrialConfig:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return CONFIG.replace(data_root=str(make_photographs(tmp_path / "photographs", 4)))


def run_to_end(
    config: TrialConfig, data: TrialData, folder: Path, *, memory: int | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """The last result of a worker that unpickles ``data`` and may allocate ``memory`` bytes; no Ray is started."""
    trial = StudyTrial.__new__(StudyTrial)
    plain = {"uid": "t0000", "trainable": ROBUST_SSL.path, "trial": config.model_dump(mode="json"), "milestones": []}
    trial.setup(
        plain
        | {"folder": str(folder), "shared_folder": str(folder), "device": device}
        | {"num_threads": torch.get_num_threads(), "memory": memory, "gpu_share": 0.0},
        pickle.loads(pickle.dumps(data)),
    )
    results = [trial.step()]
    while not results[-1].get("done"):
        results.append(trial.step())
    told = {"kinds": [result["kind"] for result in results]}
    return results[-1] | told | {"report": json.loads(results[-1]["report"])}


def test_a_node_without_the_images_makes_them(config: TrialConfig, tmp_path: Path) -> None:
    data = load_data(config)
    there = run_to_end(config, data, tmp_path / "there")
    for path in cache_dir().iterdir():
        path.unlink()
    here = run_to_end(config, data, tmp_path / "here")
    assert there["kind"] == here["kind"] == "final"
    for name, value in there["report"].items():
        assert name.endswith("_seconds") or here["report"][name] == value
    assert len(list(cache_dir().glob("*.npy"))) == 2


def test_a_checkpoint_outlives_the_worker_until_the_driver_has_the_result(config: TrialConfig, tmp_path: Path) -> None:
    """A kill between the two costs another evaluation, not another training."""
    data = load_data(config)
    first = run_to_end(config, data, tmp_path / "trial")
    assert json.loads((tmp_path / "trial" / "result.json").read_text())["metrics"] == first["report"]
    again = run_to_end(config, data, tmp_path / "trial")
    assert again["report"]["train_seconds"] == first["report"]["train_seconds"], "nothing was trained"
    assert not again["report"]["is_encoder_shared"]
    assert first["kinds"][0] != "afresh" and first["silence"] > 0


def test_a_damaged_checkpoint_costs_its_training_but_not_the_trial(config: TrialConfig, tmp_path: Path) -> None:
    data, folder = load_data(config), tmp_path / "trial"
    first = run_to_end(config, data, folder)
    checkpoint = folder / CHECKPOINT_NAME
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    for path in folder.glob("encoders/*"):
        path.unlink()
    again = run_to_end(config, data, folder)
    assert again["kinds"][0] == "afresh" and again["kind"] == "final"
    for name, value in first["report"].items():
        assert name.endswith("_seconds") or again["report"][name] == value


@pytest.mark.parametrize(
    ("error", "is_storage"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EIO, "Input/output error"), True),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"), True),
        (RuntimeError("PytorchStreamReader failed reading zip archive: failed finding central directory"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
    ],
)
def test_a_failure_of_the_storage_is_told_from_one_of_the_trial(
    config: TrialConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, is_storage: bool
) -> None:
    monkeypatch.setattr(ray_trial, "save_result", lambda *arguments: (_ for _ in ()).throw(error))
    result = run_to_end(config, load_data(config), tmp_path)
    assert (result["kind"], result["report"]["is_storage"]) == ("failed", is_storage)


def test_onednn_has_run_out_of_memory_only_under_a_cap() -> None:
    error = RuntimeError("could not create a primitive")
    assert is_out_of_memory(error, is_capped=True) and not is_out_of_memory(error)


def test_a_node_with_other_images_fails_the_trial(config: TrialConfig, tmp_path: Path) -> None:
    data = load_data(config)
    for path in cache_dir().iterdir():
        path.unlink()
    Image.new("RGB", (9, 9)).save(Path(config.data_root) / "train" / "class 000" / "photograph 0.jpg")
    result = run_to_end(config, data, tmp_path / "trial")
    assert result["kind"] == "failed"
    assert result["report"]["reason"].startswith("ValueError: the images in ")
    assert f"checksum {load_data(config).checksum[:12]} here, {data.checksum[:12]} there" in result["report"]["reason"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's limit is Linux's")
@pytest.mark.slow
def test_a_trial_that_needs_more_than_its_cap_is_out_of_memory(config: TrialConfig, tmp_path: Path) -> None:
    data, big = load_data(config), config.replace(num_views=32, image_size=8, encoder="resnet18", batch_size=9)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:  # it may not survive: C code often does not
        capped = partial(run_to_end, memory=20 * 2**20)
        result = pool.submit(capped, big, data, tmp_path / "capped").result()
        assert result["kind"] == "failed" and result["report"]["out_of_memory"], result
        result = pool.submit(run_to_end, big, data, tmp_path / "free").result()
        assert result["kind"] == "final", "the next trial of the process has no cap"
        capped = partial(run_to_end, memory=pool.submit(allocated_bytes).result() // 2)
        result = pool.submit(capped, config, data, tmp_path / "enough").result()
        assert result["kind"] == "final", "what the process had before is not counted"


def test_a_device_that_the_node_does_not_have_is_the_reason_of_the_failure(config: TrialConfig, tmp_path: Path) -> None:
    """Raised while the worker is set up it would be lost: to Ray the worker has died."""
    result = run_to_end(config, load_data(config), tmp_path, device="warp")
    assert result["kind"] == "failed" and "warp" in result["report"]["reason"], result


LOOP = """
from pydantic import BaseModel
from study.trainable import Metric, ProcessLost, as_trainable

class Config(BaseModel, frozen=True):
    fails_at: int = 0
    how: str = "memory"
    seed: int = 0

@as_trainable(config=Config, metrics=[Metric("score")], progress="epochs", total=lambda config: 4)
def loop(config, context):
    for epoch in range(1, 5):
        if epoch == config.fails_at:
            cuda = RuntimeError("CUDA error: device-side assert triggered")
            errors = {"cuda": cuda, "process": ProcessLost("process 1 was ended")}
            raise errors.get(config.how, MemoryError("too small"))
        context.report({"epochs": epoch, "score": 10.0 * epoch + config.seed, "threads": context.num_threads})
"""


def run_loop(path: str, folder: Path, **fields: Any) -> list[dict[str, Any]]:
    """All results of a worker that runs a function."""
    trial = StudyTrial.__new__(StudyTrial)
    trial.setup(
        {"uid": "t0000", "trainable": path, "trial": fields, "milestones": [2], "device": "cpu", "num_threads": 3}
        | {"folder": str(folder), "shared_folder": str(folder), "memory": None, "gpu_share": 1.0},
        None,
    )
    results = []
    while not results or not results[-1].get("done"):
        result = trial.step()
        results.append(result | {"report": json.loads(result["report"])})
    return results


def test_any_trainable_is_run_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "loop.py"
    path.write_text(LOOP)
    interim, final = run_loop(f"{path}:loop", tmp_path / "trial", seed=5)
    seconds = interim["report"].pop("worker_seconds")
    assert interim == {
        "kind": "interim", "report": {"milestone": 2, "epochs": 2, "score": 25.0, "threads": 3}
    }  # fmt: skip
    assert final["kind"] == "final" and final["report"].pop("worker_seconds") >= seconds > 0
    assert final["report"] == {"epochs": 4, "score": 45.0, "threads": 3}
    curve = read_curve(tmp_path / "trial")
    assert curve is not None and curve.to_dict("list") == {
        "epochs": [1, 2, 3, 4], "score": [15.0, 25.0, 35.0, 45.0], "threads": [3, 3, 3, 3]
    }  # fmt: skip
    saved = json.loads((tmp_path / "trial" / "result.json").read_text())
    assert (saved["trainable"], saved["config"], saved["metrics"]["score"]) == (f"{path}:loop", {"seed": 5}, 45.0)


def test_another_attempt_at_a_trial_leaves_one_curve(tmp_path: Path) -> None:
    path = tmp_path / "loop.py"
    path.write_text(LOOP)
    for fails_at, seed, expected in ((3, 0, [10.0, 20.0]), (0, 5, [15.0, 25.0, 35.0, 45.0])):
        run_loop(f"{path}:loop", tmp_path / "trial", fails_at=fails_at, seed=seed)
        curve = read_curve(tmp_path / "trial")
        assert curve is not None and curve["score"].tolist() == expected


def test_an_error_of_cuda_is_raised_so_that_ray_replaces_the_worker(tmp_path: Path) -> None:
    """Reported, it would leave a process in which every later call to the device fails."""
    path = tmp_path / "loop.py"
    path.write_text(LOOP)
    with pytest.raises(RuntimeError, match="CUDA error: device-side assert triggered"):
        run_loop(f"{path}:loop", tmp_path / "trial", fails_at=1, how="cuda")


def test_a_process_of_the_trial_that_was_killed_counts_as_its_worker(tmp_path: Path) -> None:
    path = tmp_path / "loop.py"
    path.write_text(LOOP)
    with pytest.raises(WorkerUnusable, match="process 1 was ended"):
        run_loop(f"{path}:loop", tmp_path / "trial", fails_at=1, how="process")


@pytest.mark.parametrize(
    ("error", "is_breaking"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
        (torch.AcceleratorError("unspecified launch failure"), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("CUDA error in a name"), False),
    ],
)
def test_only_errors_of_cuda_break_a_process(error: Exception, is_breaking: bool) -> None:
    assert breaks_the_process(error) == is_breaking


def test_a_worker_whose_device_is_gone_says_so_when_it_is_to_be_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = StudyTrial.__new__(StudyTrial)
    trial._reports = iter(())

    def fail() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", fail)
    with pytest.raises(WorkerUnusable, match="device-side assert"):
        trial.reset_config({})


def test_what_goes_wrong_is_the_reason_of_the_failure(tmp_path: Path) -> None:
    path = tmp_path / "loop.py"
    path.write_text(LOOP)
    assert run_loop(f"{path}:loop", tmp_path / "trial", fails_at=1) == [
        {
            "kind": "failed",
            "report": {"reason": "MemoryError: too small", "out_of_memory": True, "is_storage": False},
            "done": True,
        }
    ]
    (failed,) = run_loop(f"{tmp_path}/none.py:loop", tmp_path / "trial")
    assert failed["kind"] == "failed" and not failed["report"]["out_of_memory"]
    assert failed["report"]["reason"].startswith(f"ValueError: no trainable '{tmp_path}/none.py:loop': ")
    (failed,) = run_loop(f"{path}:loop", tmp_path / "trial", fails_at="never")
    assert failed["report"]["reason"].startswith("ValidationError: ")
