"""The command ``python -m study.run`` as a process of its own, which tests watch, kill and wait for."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from patience import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[2]
MARK = "STUDY_TEST_RUN"  # an environment variable that all processes of a run inherit


class CommandRun:
    """One call of the command, in a session of its own.

    Args:
        space: the space file; the log is written beside it.
        output: folder of the studies.
        options: further options of the command.
    """

    def __init__(self, space: Path, output: Path, *options: str) -> None:
        self.mark = uuid.uuid4().hex
        self.log_path = space.parent / f"{self.mark}.log"
        preset = [] if "--preset=" in options else ["--preset", "paper"]
        command = [sys.executable, "-m", "study.run", *preset, "--space", str(space)]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--output", str(output), *options],
                cwd=ROOT,
                env=os.environ | {MARK: self.mark},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self.log_path.read_text()

    def wait(self) -> int:
        """The exit code, once it has ended."""
        try:
            return self.process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"timed out:\n{self.log}") from None

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Returns as soon as ``holds``, which the run must live to see."""

        def holds_and_lives() -> bool:
            is_so = holds()
            assert is_so or self.process.poll() is None, f"ended early:\n{self.log}"
            return is_so

        wait_until(holds_and_lives, lambda: self.log)

    def living(self) -> dict[int, str]:
        """Process id and command line of all that carry the mark of this run; Ray's own are not our children."""
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if command:  # not a zombie
                        found[int(folder.name)] = command
            except OSError:  # ended meanwhile
                continue
        return found

    def kill(self) -> None:
        """SIGKILL to the driver first, then to all that it started, and to what those start in their last moment."""
        while living := self.living():
            for pid in sorted(living, key=lambda pid: pid != self.process.pid):
                kill(pid)
        self.process.wait(timeout=PATIENCE_SECONDS)


def kill(pid: int) -> bool:
    """Whether the process was there to get its SIGKILL."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
