"""One of the other processes of a data-parallel pretraining; ``processes`` starts it.

It says when it is ready, reads a byte for each batch that it is to make with the rest, and ends where its standard
input does.
"""

import os
import queue
import sys
import threading
from pathlib import Path

import torch
import torch.distributed as dist

from trainables.heap import freed_memory_kept
from trainables.pretraining.data_parallel import Group
from trainables.pretraining.pretrain import Pretraining
from trainables.pretraining.processes import START_NAME, connect, reason_path
from trainables.trial_config import TrialConfig
from trainables.whole_files import load_state


def main(folder: Path, rank: int, size: int) -> None:
    """Trains as process ``rank`` of ``size``, from the state in ``folder``, to the end."""
    batches: queue.SimpleQueue[None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(batches,), daemon=True).start()
    start = load_state(folder / START_NAME)
    torch.set_num_threads(start["num_threads"])
    device = torch.device(start["device"], rank) if start["device"] == "cuda" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Each batch comes from the first process; here is only what its images look like.
    images = torch.zeros((), dtype=torch.uint8, device=device).expand(start["images"])
    pretraining = Pretraining(TrialConfig(**start["config"]), images, device, start["labels"], size)
    pretraining.load_state_dict(start["state"])
    print("ready", flush=True)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody reads any more of it
    connect(folder, rank, size, device)
    with freed_memory_kept(device):
        for _ in pretraining.run_in(Group(rank, size, batches.get)):
            pass
    dist.destroy_process_group()


def _listen(batches: "queue.SimpleQueue[None]") -> None:
    """Ends this process with its standard input, whatever it is waiting for."""
    while os.read(sys.stdin.fileno(), 1):
        batches.put(None)
    os._exit(0)


if __name__ == "__main__":
    folder, rank, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    try:
        main(folder, rank, size)
    except Exception as error:
        reason_path(folder, rank).write_text(f"{type(error).__name__}: {error}")
        raise
