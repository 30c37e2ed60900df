"""Ends the driver with a one-line message as soon as the Ray instance that it started is gone.

The study cannot continue without Ray's own processes, and ending the driver loses nothing, because the journal holds
all state. Left to itself, Ray 2.60 keeps the driver waiting for 12 s after the raylet dies and for 60 s after its
global store dies, then prints the last lines of its own log and ends the process before it can say what to do.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any

import ray
from rich.console import Console

from study.decisions.engine import StudyEngine
from study.workers.interruption import end_at_once

CHECK_SECONDS = 0.02  # a check costs microseconds; the next call of a raylet that is gone may end the process
EXIT_CODE = 1
SIGNAL_SECONDS = 0.3  # in which a signal that ended a Ray which does not leave it to this process has come here, too
VITAL = {"raylet": "raylet", "gcs_server": "global store"}  # Ray's name of a process -> the name shown in messages


@contextmanager
def ended_with_ray(engine: StudyEngine) -> Iterator[None]:
    """While open, ends this process with exit code 1 if a vital process of the Ray instance that it started ends.

    If a signal that this process was sent as well has ended it, the exit code is that of the signal. A cluster that was
    joined rather than started has no processes to watch; there, Ray's own slower shutdown applies.
    """
    is_over = threading.Event()
    threading.Thread(target=_watch, args=(engine, _vital_processes(), is_over), name="ray-watch", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _watch(engine: StudyEngine, processes: dict[str, Popen[bytes]], is_over: threading.Event) -> None:
    while not is_over.wait(CHECK_SECONDS):
        for name, process in processes.items():
            if process.poll() is not None:
                if engine.halted is None:
                    time.sleep(SIGNAL_SECONDS)
                if engine.halted is not None:
                    end_at_once(engine)
                _end(f"Ray's {name} has ended (killed, or out of memory); the same command resumes")


def _vital_processes() -> dict[str, Popen[bytes]]:
    # Ray has no public API for its processes; asking Ray whether it is alive takes as long as its own shutdown.
    node: Any = ray._private.worker._global_node
    return {VITAL[kind]: info.process for kind, infos in node.all_processes.items() if kind in VITAL for info in infos}


def _end(message: str) -> None:
    """Prints ``message`` and exits at once: any cleaner shutdown would wait for a Ray that is gone."""
    console = Console(stderr=True)
    console.show_cursor()  # the live table has hidden it
    console.print(f"error: {message}", highlight=False, markup=False, soft_wrap=True)
    sys.stdout.flush()
    os._exit(EXIT_CODE)
