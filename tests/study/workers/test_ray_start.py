"""A Ray that cannot start, for real: its global store may open too few files."""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from command_run import ROOT
from patience import PATIENCE_SECONDS

FEW_FILES = 40


@pytest.mark.slow
def test_one_line_says_that_ray_does_not_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "study.run", "--space", "crops_vs_epochs", "--output", str(tmp_path / "runs")]
    with tempfile.TemporaryDirectory() as short:  # the names of Ray's sockets may be no longer than 107 characters
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"RAY_TMPDIR": short},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_FILES, FEW_FILES)),
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert "error: Ray does not start: " in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert not list(Path(short).glob("*/session_2*")) and not (tmp_path / "runs").exists()
