"""What is written down about the machine and the code."""

import json
import subprocess
from pathlib import Path

import pytest

from study.record.environment import PACKAGES, describe_environment, git_revision

ROOT = Path(__file__).resolve().parents[3]


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_the_environment_is_plain_and_complete() -> None:
    environment = describe_environment()
    assert json.loads(json.dumps(environment)) == environment
    assert {"python", "revision", "system", "num_cpus", "gpu", *PACKAGES} == set(environment)
    for package in ("torch", "ray", "optuna", "mlflow"):
        assert environment[package][0].isdigit()
    assert environment["num_cpus"] >= 1


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_revision_is_that_of_the_checkout() -> None:
    revision = git_revision()
    assert revision is not None
    assert git("rev-parse", "HEAD").startswith(revision.rstrip("+"))
    assert revision.endswith("+") == bool(git("status", "--porcelain", "--untracked-files=no"))


def test_without_git_there_is_no_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_revision() is None
