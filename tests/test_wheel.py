"""What is installed: the wheel holds every file that the code reads, and nothing that is run from the checkout."""

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("study", "trainables", "search_spaces", "reports")
READ_BY_CODE = {".py", ".typed", ".html", ".css", ".js", ".csv"}


@pytest.fixture(scope="module")
def in_wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a wheel that is built from a copy of the checkout."""
    if int(version("setuptools").split(".")[0]) < 77:
        pytest.skip("setuptools 77 or later builds the wheel (extra: test)")
    folder = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    code = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_every_file_that_the_code_reads_is_installed(in_wheel: set[str]) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in READ_BY_CODE and "__pycache__" not in path.parts
    }
    assert {Path(name).suffix for name in wanted} == READ_BY_CODE
    assert sorted(wanted - in_wheel) == []


def test_packaged_spaces_and_the_command_are_installed(in_wheel: set[str]) -> None:
    assert {"search_spaces/crops_vs_epochs.py", "search_spaces/paper/table4.py"} <= in_wheel
    assert any(name.endswith("entry_points.txt") for name in in_wheel)
    assert {name.split("/")[0] for name in in_wheel if ".dist-info" not in name} == set(PACKAGES)
