"""Why a worker failed: from what Ray says of it and what it left behind; never guessed to be a lack of memory.

Ray's own text on a process that has died lists causes that it might have had. Here a lack of memory is named only where
Ray's memory monitor or the kernel says that it killed for it, or the exception does.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.record.trial_folder import CRASH_NAME

RAISED = re.compile(r"^(\x1b\[\d+m)?ray::|because of an error raised in its creation task", re.MULTILINE)
GUESSES = re.compile(r"\s*(Some common causes|There are some potential root causes).*", re.DOTALL)
SILENCE_NOTE, EXIT_NOTE = "Timeout (", "os._exit("  # how the note of a process begins: that of Python, and ours
KERNEL_COUNTS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))  # the first that counts; on Linux


class WorkerUnusable(RuntimeError):
    """The process of an earlier trial cannot run another one; the trial that it was to run is not to blame."""


@dataclass(frozen=True)
class WorkerError:
    """Why a trial's worker failed.

    Args:
        reason: one or more lines.
        is_death: whether the process has died or is of no use, so that the trial may be run again; else the trial
            raised an exception.
        out_of_memory: whether there is evidence that memory was short.
        is_hang: whether the process was ended because the trial had said nothing for too long.
    """

    reason: str
    is_death: bool = True
    out_of_memory: bool = False
    is_hang: bool = False


def explain_error(text: str, *, crash: str = "", kernel_kills: int = 0) -> WorkerError:
    """What ``text``, Ray's message on a failed trial, comes down to.

    Args:
        crash: what the process wrote when a signal ended it.
        kernel_kills: processes that the kernel killed on this machine, for want of memory, during the trial.

    Example:
        >>> explain_error("ray::train()\n  File x\nKeyError: 'depth'")
        WorkerError(reason="KeyError: 'depth'", is_death=False, out_of_memory=False)
    """
    if "killed due to the node running low on memory" in text.partition("\n")[0]:
        return WorkerError("Ray killed the worker, as its node ran low on memory", out_of_memory=True)
    if RAISED.search(text):
        lines = text.rstrip().splitlines()
        end = max((number for number, line in enumerate(lines, start=1) if line.startswith(" ")), default=0)
        reason = "\n".join(lines[end:] or lines[-1:])
        is_unusable = f"{WorkerUnusable.__name__}:" in reason
        return WorkerError(reason, is_death=is_unusable, out_of_memory=not is_unusable and tells_of_memory(reason))
    detail = GUESSES.sub("", text.partition("Worker exit detail: ")[2] or text.strip().rpartition("\n")[2]).strip()
    first, *_ = crash.splitlines() or [""]
    if first.startswith(SILENCE_NOTE):
        limit = first.removeprefix(SILENCE_NOTE).rstrip(")!")
        reason = f"no progress for {limit}, so its worker was ended ({CRASH_NAME} in the trial's folder says where)"
        return WorkerError(reason, is_hang=True)
    if first.startswith(EXIT_NOTE):
        detail = f"it ended itself, with exit code {first.removeprefix(EXIT_NOTE).rstrip(')')}"
    elif first:
        detail = f"{first} ({CRASH_NAME} in the trial's folder says where)"
    elif not detail or "End of file" in detail:
        if kernel_kills > 0:
            return WorkerError("the kernel killed the worker, or others, for want of memory", out_of_memory=True)
        detail = "it left no message, as after SIGKILL"
    return WorkerError(f"the worker process died: {detail}")


def tells_of_memory(message: str) -> bool:
    """Whether the text of an error is that of a lack of memory, on device or host."""
    words = ("out of memory", "outofmemoryerror", "memoryerror", "can't allocate memory", "not enough memory")
    return any(word in message.lower() for word in words)


def error_of(trial: Any, kernel_kills: int) -> WorkerError:
    """Why a trial of Ray Tune failed, as ``explain_error`` says."""
    crash = Path(trial.config["folder"], CRASH_NAME)
    text = Path(trial.error_file).read_text().partition("\n")[2] if trial.error_file else ""
    return explain_error(text, crash=crash.read_text() if crash.is_file() else "", kernel_kills=kernel_kills)


def kernel_kills() -> int:
    """How many processes the kernel has killed for want of memory, in this container or on this machine."""
    for path in KERNEL_COUNTS:
        try:
            counts = dict(line.split() for line in path.read_text().splitlines())
            return int(counts["oom_kill"])
        except (OSError, KeyError, ValueError):
            continue
    return 0
