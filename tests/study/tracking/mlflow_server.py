"""An MLflow server as a process of its own, with a database and proxied artifacts, that tests kill and start again."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from patience import PATIENCE_SECONDS


class MlflowServer:
    """Of the folder in which it keeps everything; always at the same address, whether it is up or not."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns once it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self._port), "--workers", "1"]
        store = ["--backend-store-uri", f"sqlite:///{self._folder}/server.db"]
        artifacts = ["--artifacts-destination", f"{self._folder}/artifacts"]
        self._process = subprocess.Popen(
            [*command, *store, *artifacts],
            cwd=self._folder,
            # Without its job workers, which nothing here uses, it starts with a third of the CPU time.
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            except OSError:
                assert time.monotonic() < ends_at and self._process.poll() is None, "the server does not answer"
                time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL to all of its processes, if it is up."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
