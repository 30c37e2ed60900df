"""What a study ran on: versions, git revision, machine."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "ray", "optuna", "mlflow", "timm", "pyautoattack")


def describe_environment() -> dict[str, Any]:
    """Versions, git revision (with ``+`` if tracked files were changed) and hardware, as plain JSON values."""
    torch = sys.modules.get("torch")  # not imported for this alone
    device = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None
    return {
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "revision": git_revision(),
        "system": f"{platform.system()} {platform.machine()}",
        "num_cpus": os.cpu_count(),
        "gpu": device,
    }


def git_revision() -> str | None:
    """The commit of the git checkout that this code runs from, or None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    try:
        revision = _git(root, "rev-parse", "--short=12", "HEAD")
        return revision + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True, timeout=10
    ).stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
