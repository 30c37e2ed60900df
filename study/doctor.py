"""Checks in about a minute whether this machine can run a study, and says what to do where it cannot.

    python -m study.doctor --space crops_vs_epochs

takes the options of ``study.run``, and those that it is going to be run with are the ones to give; without --space only
the machine is checked. Nothing is left behind but the data, if they have to be fetched. Exit status: 0 if all is well,
1 if something is not, 2 for bad input. Send its output along with a report of a problem.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from study.record.environment import describe_environment
from study.settings import explain
from study.spec import StudySpec
from study.spec.choices import extreme_configs
from study.spec.options import StudyCommand, requested_spec, study_parser
from study.trainable import trainable_of

GIB = 2**30
MIN_FREE_BYTES = 2 * GIB  # checkpoints, encoders and MLflow's store of a laptop study
REMEDIES = {  # of checks that fail
    "compiler": "install gcc and the Triton that came with PyTorch, or give --set compile=false, which is slower",
    "disk": "choose a folder with --output that can be written and has locks, as not every network drive has",
    "Ray": "another Ray may be here (ray stop ends it), or a firewall between ports of this machine",
    "data": "put them there, or name the folder: --data-root",
}
MATMUL_SIDE = {"cuda": 8192, "cpu": 1024}


Finding = tuple[str, str]  # what was found, and what to do about it, which is empty where all is well


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line, checks, prints; returns the exit status."""
    parser = study_parser()
    parser.prog, parser.description = "python -m study.doctor", (__doc__ or "").partition("\n")[0]
    options = vars(parser.parse_args(arguments))
    try:
        command = StudyCommand(**{k: v for k, v in options.items() if k not in ("list_spaces", "dry_run")})
        spec = None if command.space is None else requested_spec(command)
    except (ValueError, OSError) as error:
        print(f"error: {explain(error) if isinstance(error, ValidationError) else error}", file=sys.stderr)
        return 2
    num_wrong = 0
    for title, check in checks(command, spec).items():
        try:
            found, remedy = check()
        except Exception as error:
            found = (str(error).strip().splitlines() or [type(error).__name__])[0]
            remedy = REMEDIES.get(title, "please report all of this")
        num_wrong += bool(remedy)
        print(f"{'WRONG' if remedy else 'ok':6}{title}: {found}" + (f"\n      {remedy}" if remedy else ""), flush=True)
    print(f"{num_wrong} wrong" if num_wrong else "all well")
    return 1 if num_wrong else 0


def checks(command: StudyCommand, spec: StudySpec | None) -> dict[str, Callable[[], Finding]]:
    """The checks by what they look at; those of a study only if there is a ``spec``."""
    of_study = {} if spec is None else {"memory": lambda: memory(spec, command), "data": lambda: data(spec)}
    return {
        "versions": versions,
        "GPU": lambda: gpu(command.device),
        "precision": lambda: products(device_of(command)),
        "compiler": lambda: compiler(device_of(command)),
        "disk": lambda: disk(command.output),
        "Ray": lambda: ray_starts(command.address),
    } | of_study


def device_of(command: StudyCommand) -> str:
    """The device that trials would get on this machine."""
    import torch

    return command.device or ("cuda" if torch.cuda.is_available() else "cpu")


def versions() -> Finding:
    """Of all that results depend on."""
    there = describe_environment()
    missing = [name for name, value in there.items() if value is None and name not in ("revision", "gpu")]
    found = ", ".join(f"{name} {value}" for name, value in there.items() if value is not None)
    return found, f"pip install -e . installs what is missing: {', '.join(missing)}" if missing else ""


def gpu(asked: str | None) -> Finding:
    """Whether PyTorch can compute on a GPU, where there is one."""
    import torch

    if torch.cuda.is_available():
        one = torch.cuda.get_device_properties(0)
        torch.ones(8, device="cuda").sum().item()
        found = f"{torch.cuda.device_count()} x {one.name}, {one.total_memory / GIB:.1f} GiB, sm_{one.major}{one.minor}"
        return f"{found}, CUDA {torch.version.cuda}", ""
    build = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built without CUDA"
    reason = f"this PyTorch {build}: install the build for the driver that nvidia-smi shows, see pytorch.org"
    is_wanted = asked == "cuda" or shutil.which("nvidia-smi") is not None or os.path.exists("/dev/nvidia0")
    return "PyTorch finds none", reason if is_wanted else ""


def products(device: str) -> Finding:
    """The speed of dense products in both precisions, and which of them suits the device."""
    import torch

    rates = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = (torch.randn(MATMUL_SIDE[device], MATMUL_SIDE[device], device=device).to(dtype) for _ in range(2))
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            (left @ right).sum().item()  # waits for a GPU
            seconds.append(time.perf_counter() - started)
        rates[name] = 2 * MATMUL_SIDE[device] ** 3 / min(seconds) / 1e12
    advice = f"; --set precision={max(rates, key=lambda name: rates[name])} is faster" if device == "cuda" else ""
    told = ", ".join(f"{name} {rate:.3g} TFLOP/s" for name, rate in rates.items())
    return f"dense products on {device}: {told}{advice}", ""


def compiler(device: str) -> Finding:
    """Whether torch.compile works, on a GPU, where trials use it unless they are told not to."""
    import torch

    if device == "cpu":
        return "not used on a CPU", ""
    started = time.perf_counter()
    total = float(torch.compile(lambda x: (x * 2).relu().sum(), fullgraph=True)(torch.ones(64, device=device)))
    if total != 128:
        raise RuntimeError(f"a compiled sum is {total} in place of 128")
    return f"torch.compile works ({time.perf_counter() - started:.0f} s)", ""


def disk(output: Path) -> Finding:
    """Room in the output folder, and whether files there can be written and locked."""
    folder = output.resolve()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / GIB:.1f} GiB free in {there}"
    with tempfile.TemporaryFile(dir=there) as file:
        file.write(bytes(2**20))
        file.flush()
        os.fsync(file.fileno())
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    is_enough = free >= MIN_FREE_BYTES
    return found, "" if is_enough else f"at least {MIN_FREE_BYTES / GIB:g} GiB are needed: --output"


def ray_starts(address: str | None) -> Finding:
    """Whether Ray starts here, with free ports, or can be joined, and runs something."""
    import ray

    from study.workers.launch import start_ray, stop_ray

    started = time.perf_counter()
    try:
        start_ray(address)
        ray.get(ray.remote(num_cpus=0)(lambda: os.getpid()).remote(), timeout=60)
        there = ray.cluster_resources()
    finally:
        stop_ray()
    found = f"{there.get('CPU', 0):g} CPUs, {there.get('GPU', 0):g} GPUs, {there.get('memory', 0) / GIB:.1f} GiB"
    return f"{found} ({time.perf_counter() - started:.0f} s)", ""


def memory(spec: StudySpec, command: StudyCommand) -> Finding:
    """Whether the largest trial of the space fits on the device."""
    import torch

    trainable = trainable_of(spec.base)
    needed = max((trainable.needed_bytes(config) or 0 for config in extreme_configs(spec) or [spec.base]), default=0)
    if needed == 0:
        return "what a trial needs is not known", ""
    if device_of(command) == "cuda":
        needed //= max(1, int(command.gpus_per_trial or 1))
        there = int(torch.cuda.get_device_properties(0).total_memory * min(1.0, command.gpus_per_trial or 1.0))
    else:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = f"the largest trial needs at least {needed / GIB:.1f} GiB, a trial can have {there / GIB:.1f}"
    return found, "" if needed < there else "lower what makes it large, such as views or batches"


def data(spec: StudySpec) -> Finding:
    """Whether the data of the space are there, or can be fetched."""
    base: Any = spec.base
    trainable = trainable_of(base)
    loaded = trainable.load_data(base)
    name = trainable.data_name(base) or "loaded"
    return f"{name}, scale {trainable.scale(loaded):,}", ""


if __name__ == "__main__":
    sys.exit(main())
