"""The doctor on this machine, with its findings as they are, and as they are where something is wrong."""

from pathlib import Path

import pytest
import torch

from study import doctor
from study.doctor import main


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own start takes longest, and is in tests of runs."""
    checks = doctor.checks
    monkeypatch.setattr(
        doctor, "checks", lambda *given: {name: check for name, check in checks(*given).items() if name != "Ray"}
    )


def test_a_study_that_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--space", "crops_vs_epochs", "--output", str(tmp_path / "runs"), "--device", "cpu"]) == 0
    told = capsys.readouterr().out
    assert f"torch {torch.__version__.split('+')[0]}" in told and "digits, scale 1,077" in told
    assert "the largest trial needs at least 0.1 GiB" in told and told.endswith("all well\n")
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_is_said_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    huge = ["--dataset", "imagefolder", "--set", "batch_size=100000000"]
    asked = ["--space", "crops_vs_epochs", *huge, "--data-root", str(tmp_path), "--output", "/proc/runs"]
    assert main([*asked, "--device", "cpu"]) == 1
    told = capsys.readouterr().out
    for title, remedy in [("disk", "--output"), ("memory", "views or batches"), ("data", "--data-root")]:
        wrong = next(line for line in told.split("WRONG ") if line.startswith(title))
        assert remedy in wrong.splitlines()[1]
    assert told.endswith("3 wrong\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_asked_for_and_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cuda"]) == 1
    assert "WRONG GPU: PyTorch finds none\n" in capsys.readouterr().out


def test_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--space", "nowhere.py"]) == 2
    assert "nowhere.py" in capsys.readouterr().err
