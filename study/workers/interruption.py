"""Ends a study cleanly when Slurm, Kubernetes or a shutdown asks for it, within the time that they give.

Slurm and Kubernetes send SIGTERM and, 30 seconds later by default, SIGKILL; a terminal that is closed sends SIGHUP.
"""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from study.decisions.engine import Halt, StudyEngine

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
LIMIT_SECONDS = 25.0  # from the signal to the end of the process, whatever still waits


@contextmanager
def ended_by_signals(engine: StudyEngine) -> Iterator[None]:
    """While open, SIGTERM and SIGHUP end the study as Ctrl-C does, within 25 s and with the exit code 128 + signal.

    Raises:
        SystemExit: with that code, if the signal did not come while trials were running.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    is_interrupted = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_interrupted
        if not is_interrupted:
            is_interrupted = True
            _halt(engine, number)
            signal.raise_signal(signal.SIGINT)

    # Ray's own handlers, which print a stack trace, are replaced.
    before = {number: signal.signal(number, handle) for number in SIGNALS}
    listening, told = os.pipe()
    os.set_blocking(told, False)
    former_pipe = signal.set_wakeup_fd(told)
    threading.Thread(target=_listen, args=(engine, listening), name="signals", daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        if engine.halted is None:
            raise
        engine.close()
        _say_why(engine.halted)
        sys.exit(engine.halted.exit_code)
    finally:
        if not is_interrupted:  # else a second signal, to Ray's processes and ours, may be on its way
            signal.set_wakeup_fd(former_pipe)
            os.close(told)
            for number, former in before.items():
                signal.signal(number, former)


def _listen(engine: StudyEngine, listening: int) -> None:
    """Halts the engine when a signal comes, and ends this process if the main thread does not in time."""
    while number := os.read(listening, 1):
        if number[0] in SIGNALS:
            _halt(engine, number[0])
            time.sleep(LIMIT_SECONDS)
            end_at_once(engine)
    os.close(listening)


def _halt(engine: StudyEngine, number: int) -> None:
    engine.halt(f"{signal.Signals(number).name} was received", 128 + number)


def end_at_once(engine: StudyEngine) -> None:
    """Writes to the journal that the study was interrupted, and ends this process and the Ray that it started."""
    assert engine.halted is not None
    if engine.record.last_event not in ("interrupted", "ended"):
        engine.close()
        _say_why(engine.halted)
    import ray

    node: Any = ray._private.worker._global_node
    if node is not None:
        node.kill_all_processes(check_alive=False, allow_graceful=False)
        if node.head:
            shutil.rmtree(node.get_session_dir_path(), ignore_errors=True)
    os._exit(engine.halted.exit_code)


def _say_why(halt: Halt) -> None:
    print(f"Interrupted: {halt.reason}; the same command resumes.", file=sys.stderr, flush=True)
