"""Ends the driver with one line as soon as the Ray that it started is gone.

Nothing can go on without Ray's own processes, and nothing is lost with the driver: the journal has it all. Left to
itself Ray 2.60 lets the driver wait for 12 s after the raylet's death and for 60 s after that of its global store,
prints the last lines of its own log and ends the process without giving it a chance to say what to do.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any

import ray
from rich.console import Console

CHECK_SECONDS = 0.1  # a look costs microseconds; Ray takes half a second to print its own log
EXIT_CODE = 1
VITAL = {"raylet": "raylet", "gcs_server": "global store"}  # Ray's names of its processes, and ours


@contextmanager
def ended_with_ray() -> Iterator[None]:
    """While open, ends this process with exit code 1 where a vital process of the Ray that it started has ended.

    A Ray that was joined, not started, has no processes of ours: Ray's own, slower end has to do.
    """
    is_over = threading.Event()
    threading.Thread(target=_watch, args=(_vital_processes(), is_over), name="ray-watch", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _watch(processes: dict[str, Popen[bytes]], is_over: threading.Event) -> None:
    while not is_over.wait(CHECK_SECONDS):
        for name, process in processes.items():
            if process.poll() is not None:
                _end(f"Ray's {name} has ended (killed, or out of memory); the same command resumes")


def _vital_processes() -> dict[str, Popen[bytes]]:
    # There is no public way to them; asking Ray whether it lives takes as long as its own end.
    node: Any = ray._private.worker._global_node
    return {VITAL[kind]: info.process for kind, infos in node.all_processes.items() if kind in VITAL for info in infos}


def _end(message: str) -> None:
    """Ends at once: every tidier way waits for answers from a Ray that is no more."""
    console = Console(stderr=True)
    console.show_cursor()  # which the live table has hidden
    console.print(f"error: {message}", highlight=False, markup=False, soft_wrap=True)
    sys.stdout.flush()
    os._exit(EXIT_CODE)
