"""A search by another package, in a process of its own with a Python of its own: one JSON message a line.

    we send                                                       it answers
    {"begin": {"search": ..., "dimensions": ..., ...}}            {"version": "optuna 5.0.0"}
    {"ask": 0}                                                    {"place": {"width": 3, ...}}, or null for nothing left
    {"tell": 0, "values": [93.1, 1.2]}                            {"told": 0}

The end of its input ends it. ``peers/json_lines.py`` is the other side.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.searches.tables import Place, SearchProblem

SCRIPTS = Path(__file__).parent / "peers"
ALWAYS = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
}  # the same run, whatever the machine


class PeerError(RuntimeError):
    """A peer ended, or answered something else than agreed."""


class PeerProcess:
    """A process of a peer, which searches one problem after another, as importing a package can take longer than a run.

    Args:
        python: the interpreter in which the peer is installed.
        script: in ``peers/``, without ``.py``.
    """

    version = ""

    def __init__(self, python: str, script: str) -> None:
        self._process = subprocess.Popen(
            [python, str(SCRIPTS / f"{script}.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | ALWAYS,
        )

    def begin(self, search: str, problem: SearchProblem, seed: int, trials: int, workers: int) -> None:
        """Begins a search; the peer is told the space and the directions, not the values.

        Args:
            search: which of the script's searches.
            problem: what it searches.
            seed: of the search.
            trials: how many trials it may propose.
            workers: how many run at a time.
        """
        begin = {
            "search": search,
            "dimensions": [asdict(dimension) for dimension in problem.dimensions],
            "directions": list(problem.directions),
            "seed": seed,
            "trials": trials,
            "workers": workers,
        }
        self.version = str(self._answer({"begin": begin}, "version"))

    def __enter__(self) -> "PeerProcess":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # the peer has ended, and a message was left in the buffer
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()

    def ask(self, number: int) -> Place | None:
        """What the peer proposes."""
        place: Place | None = self._answer({"ask": number}, "place")
        return place

    def tell(self, number: int, values: Sequence[float]) -> None:
        """Tells the peer the objectives."""
        self._answer({"tell": number, "values": list(values)}, "told")

    def _answer(self, message: dict[str, Any], key: str) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerError(f"the peer has ended, before {message}") from None
        line = self._process.stdout.readline()
        try:
            return json.loads(line)[key]
        except (ValueError, KeyError, TypeError):
            raise PeerError(f"the peer answered {line!r} to {message}") from None
