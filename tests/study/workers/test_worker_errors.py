"""What comes of Ray's messages, as Ray 2.60 wrote them about real workers; see ``test_failing_workers``."""

from pathlib import Path

import pytest

from study.workers import worker_errors
from study.workers.worker_errors import WorkerError, explain_error, kernel_kills

DIED = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: StudyTrial\n\tpid: 22194\n\tip: 192.0.2.2\n"
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: "
)
GUESSES = (
    "Worker unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the "
    "process was killed by the OOM killer due to high memory usage, (2) ray stop --force was called, or (3) the "
    "worker crashed unexpectedly due to SIGSEGV or another unexpected error."
)
TRACE = '\n  File "trainable.py", line 326, in train\n    result = self.step()\n             ^^^^^^^^^^^\n'
WITHOUT_A_WORD = "the worker process died: it left no message, as after SIGKILL"


@pytest.mark.parametrize(
    ("text", "left", "expected"),
    [
        (DIED + GUESSES, {}, WorkerError(WITHOUT_A_WORD)),
        (
            DIED + GUESSES,
            {"crash": "Fatal Python error: Segmentation fault\n\nThread 0x1:\n", "kernel_kills": 1},
            WorkerError(
                "the worker process died: Fatal Python error: Segmentation fault "
                "(crash.txt in the trial's folder says where)"
            ),
        ),
        (
            DIED + GUESSES,
            {"crash": "os._exit(7)\n", "kernel_kills": 1},
            WorkerError("the worker process died: it ended itself, with exit code 7"),
        ),
        (
            DIED + GUESSES,
            {"crash": "Timeout (0:10:00)!\nThread 0x1 (most recent call first):\n"},
            WorkerError(
                "no progress for 0:10:00, so its worker was ended (crash.txt in the trial's folder says where)",
                is_hang=True,
            ),
        ),
        (
            DIED + "Worker exits unexpectedly. Worker exits with an exit code 4.",
            {"kernel_kills": 1},
            WorkerError("the worker process died: Worker exits unexpectedly. Worker exits with an exit code 4."),
        ),
        (
            DIED + GUESSES,
            {"kernel_kills": 2},
            WorkerError("the kernel killed the worker, or others, for want of memory", out_of_memory=True),
        ),
        (
            "1 worker(s) were killed due to the node running low on memory. Memory on the node was 4.60GB\nray::T 4 GB",
            {},
            WorkerError("Ray killed the worker, as its node ran low on memory", out_of_memory=True),
        ),
        (
            f"The actor died because of an error raised in its creation task, ray::T(){TRACE}KeyError: 'depth'",
            {},
            WorkerError("KeyError: 'depth'", is_death=False),
        ),
        (
            f"\x1b[36mray::T.train()\x1b[39m (pid=1){TRACE}RuntimeError: CUDA error: unspecified launch failure\nmore",
            {},
            WorkerError("RuntimeError: CUDA error: unspecified launch failure\nmore", is_death=False),
        ),
        (
            f"ray::T.__init__(){TRACE}MemoryError: cannot hold the data",
            {},
            WorkerError("MemoryError: cannot hold the data", is_death=False, out_of_memory=True),
        ),
        (
            f"ray::T.reset(){TRACE}study.workers.worker_errors.WorkerUnusable: CUDA error: out of memory",
            {},
            WorkerError("study.workers.worker_errors.WorkerUnusable: CUDA error: out of memory"),
        ),
        ("", {}, WorkerError(WITHOUT_A_WORD)),
    ],
)
def test_memory_is_named_only_where_there_is_evidence(
    text: str, left: dict[str, object], expected: WorkerError
) -> None:
    assert explain_error(text, **left) == expected  # type: ignore[arg-type]


def test_the_kernels_count_is_the_containers_if_it_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = tmp_path / "memory.events", tmp_path / "vmstat"
    monkeypatch.setattr(worker_errors, "KERNEL_COUNTS", paths)
    assert kernel_kills() == 0
    paths[1].write_text("nr_free_pages 7\noom_kill 3\n")
    assert kernel_kills() == 3
    paths[0].write_text("low 0\noom 4\noom_kill 2\n")
    assert kernel_kills() == 2
