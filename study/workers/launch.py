"""Starts Ray, runs the engine's trials on it, and returns when the study is done or interrupted."""

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import ray
from ray import tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig

from study.decisions.engine import STORAGE_CODE, Assignment, StudyEngine
from study.files import is_storage_fault
from study.record.journal import FINISHED
from study.record.trial_folder import discard_checkpoints, trial_folder
from study.trainable import FILE_PREFIX
from study.workers.interruption import SIGNALS
from study.workers.ray_adapters import EngineScheduler, EngineSearcher
from study.workers.ray_trial import StudyTrial
from study.workers.ray_watch import ended_with_ray

GIB = 2**30
SILENCE_SECONDS, SILENCES = 600.0, 20
OWNER = "driver"  # a file in the folder of a Ray that a study has started
NO_CORE = 0.001  # Ray Tune does not start trials that need nothing at all


@dataclass(frozen=True)
class Resources:
    """What each trial gets, and how many trials run at a time."""

    device: str
    cpus_per_trial: int
    gpus_per_trial: float
    concurrency: int
    processes_per_trial: int = 1
    gib_per_trial: float | None = None  # of memory; None: no cap

    def describe(self) -> dict[str, Any]:
        """The fields by name; ``concurrency`` shows whether times were measured while trials shared the machine."""
        return asdict(self)

    def memory(self, alone: bool) -> int | None:
        """Bytes that a trial may allocate; alone, as much as all concurrent trials together. None: no cap."""
        if self.gib_per_trial is None:
            return None
        return int(self.gib_per_trial * GIB) * (self.concurrency if alone else 1)


def plan_resources(
    device: str | None,
    cpus_per_trial: int | None,
    gpus_per_trial: float | None,
    concurrency: int | None,
    gib_per_trial: float | None = None,
    *,
    processes_per_trial: int | None = None,
    only_waits: bool = False,
) -> Resources:
    """Fills in what the user left open, from the resources of the connected Ray cluster.

    ``device`` defaults to cuda if the cluster has a GPU. By default a trial gets a core for each process and, on GPUs,
    a GPU of its own; if it ``only_waits``, neither, and ``concurrency``, by default one trial a core, is not limited.
    Several GPUs have a process each. Raises ``ValueError`` if no node has room for a trial, if ``gpus_per_trial`` is
    given and there are only CPUs, or is neither whole nor below 1, or if ``processes_per_trial`` is given for GPUs.
    """
    available = ray.cluster_resources()
    device = device or ("cuda" if available.get("GPU", 0) > 0 and not only_waits else "cpu")
    if device == "cpu" and gpus_per_trial is not None:
        raise ValueError("--gpus-per-trial needs a GPU, and the cluster has none or --device cpu was given")
    gpus = 0.0 if device == "cpu" else (gpus_per_trial or 1.0)
    if gpus > 1 and not gpus.is_integer():
        raise ValueError(f"--gpus-per-trial must be a whole number or less than 1: {gpus:g}")
    if device == "cuda" and processes_per_trial is not None:
        raise ValueError("--processes-per-trial is for CPUs: on GPUs there is a process for each (--gpus-per-trial)")
    processes = processes_per_trial or max(1, int(gpus))
    cpus = cpus_per_trial or (0 if only_waits else processes)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    concurrency = concurrency or (int(available.get("CPU", 1)) if cpus == 0 else None)
    fitting = sum(num_fitting(node, cpus, gpus, gib_per_trial, at_most=concurrency) for node in nodes)
    if fitting < 1:
        has_cap = gib_per_trial is not None
        there = "; ".join(_describe_node(node, has_cap) for node in nodes)
        needed = f"{cpus} CPU(s), {gpus:g} GPU(s)" + (f", {gib_per_trial:g} GiB" if has_cap else "")
        raise ValueError(f"no trial fits: it needs {needed}, Ray's nodes have {there}")
    return Resources(device, cpus, gpus, min(concurrency or fitting, fitting), processes, gib_per_trial)


def num_fitting(
    node: Mapping[str, float], cpus: int, gpus: float, gib: float | None, at_most: int | None = None
) -> int:
    """How many trials fit on a node as Ray places them: a fraction of a GPU must lie on a single GPU.

    Args:
        node: its resources, under Ray's names; ``memory`` in bytes.
        cpus, gpus, gib: what a trial gets; ``gpus`` may be 0 or a fraction, ``gib`` None means no cap on memory.
        at_most: trials at a time, which alone limits those that need no core.
    """
    fitting = node.get("CPU", 0) // cpus if cpus else float(at_most or 1)
    if 0 < gpus < 1:
        fitting = min(fitting, int(node.get("GPU", 0)) * int(1 / gpus + 1e-9))
    elif gpus > 0:
        fitting = min(fitting, node.get("GPU", 0) // gpus)
    if gib is not None:
        fitting = min(fitting, node.get("memory", 0) // (gib * GIB))
    return int(fitting)


def _describe_node(node: Mapping[str, float], with_memory: bool) -> str:
    memory = f", {node.get('memory', 0) / GIB:.1f} GiB" if with_memory else ""
    return f"{node.get('CPU', 0):g} CPU(s), {node.get('GPU', 0):g} GPU(s){memory}"


def start_ray(address: str | None) -> None:
    """Starts Ray on this machine, or joins the cluster at ``address``; Ray's own messages are suppressed.

    Without ``address``, a Ray that this process has already started or joined, as in a notebook, is used as it is.
    Raises ``OSError`` if Ray does not start or cannot be joined.
    """
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # MLflow and the journal keep the results
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new output prints tables even when set to be silent
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a notice about future defaults
    local: dict[str, Any] = {} if address else {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    # Without "local", Ray joins the cluster started last on this machine, whoever started it.
    if address is not None or not ray.is_initialized():
        with nullcontext() if address else _as_part_of_this_process():
            try:
                ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
            except RuntimeError as error:  # a process of Ray's that ends, or another version in the cluster
                for folder in Path(ray._common.utils.get_default_ray_temp_dir()).glob(f"session_*_{os.getpid()}"):
                    shutil.rmtree(folder, ignore_errors=True)
                raise OSError(f"Ray does not start: {str(error).strip().partition(chr(10))[0]}") from error
        if (node := _own_node()) is not None:
            node.study_mark = take_over(Path(node.get_session_dir_path()))
            end = node.kill_all_processes  # they block the signal that asks them to end: Ray would wait 1 s for each
            node.kill_all_processes = lambda **options: end(**options | {"allow_graceful": False})
    for name in ("ray", "ray.tune", "ray.train"):
        # Errors are suppressed too: a failed trial is in the journal with its reason, and anything else is raised.
        logging.getLogger(name).setLevel(logging.CRITICAL)


def take_over(session: Path) -> TextIO:
    """Locks a mark in Ray's folder until it is closed, and removes the folders of drivers that no longer hold theirs.

    A driver that was killed could not remove its own.
    """
    own = (session / f"{OWNER}.new").open("w")
    with contextlib.suppress(OSError):  # storage without locks, where nothing is removed either
        fcntl.flock(own, fcntl.LOCK_EX)
    (session / f"{OWNER}.new").replace(session / OWNER)  # once it is locked
    for path in session.parent.glob(f"session_*/{OWNER}"):
        with contextlib.suppress(OSError), path.open() as mark:  # held, somebody else's, or being removed meanwhile
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)
    return own


@contextmanager
def _as_part_of_this_process() -> Iterator[None]:
    """While open, Ray starts with the address that it is given and with processes that leave signals to this one.

    Ray 2.60 otherwise replaces 127.0.0.1 by the machine's address in the network, and then listens on all networks. Its
    processes block SIGINT by themselves. Signals that Slurm or a closed terminal send to every process would end them
    first, and Ray then ends this process, with its own exit code and before it can say anything.
    """
    services = ray._private.services
    resolve, services.resolve_ip_for_localhost = services.resolve_ip_for_localhost, lambda host: host
    is_over = threading.Event()
    threading.Thread(target=is_over.wait, daemon=True).start()  # it takes signals meanwhile
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # processes inherit what is blocked
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # Ray's own would end this process with exit code 1
            for number, handler in handlers.items():
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        is_over.set()
        services.resolve_ip_for_localhost = resolve


def stop_ray() -> None:
    """Leaves Ray; one that this process has started ends, and its folder of logs and sockets is removed."""
    node = _own_node()
    ray.shutdown()
    if node is not None:
        shutil.rmtree(node.get_session_dir_path(), ignore_errors=True)


def _own_node() -> Any:
    """Ray's node that this process has started; None if it has joined one, or none."""
    node: Any = ray._private.worker._global_node if ray.is_initialized() else None
    return node if node is not None and node.head else None


def silence_limit(minutes: float | None, longest: float) -> float | None:
    """Seconds without a report after which a trial is taken to hang; None: never.

    Args:
        minutes: as the user wishes, 0: never; None: 20 times ``longest``, at least 10 minutes.
        longest: seconds between two reports of a complete trial; 0: there is none yet, and nothing is known.

    Example:
        >>> silence_limit(None, 0.0), silence_limit(None, 2.0), silence_limit(None, 60.0), silence_limit(0.5, 60.0)
        (None, 600.0, 1200.0, 30.0)
    """
    if minutes is not None:
        return 60 * minutes or None
    return max(SILENCE_SECONDS, SILENCES * longest) if longest else None


def run_trials(
    engine: StudyEngine, data: Any, study_dir: Path, resources: Resources, trial_timeout: float | None = None
) -> None:
    """Runs trials until the engine has no more or is halted, or until Ctrl-C, on which Ray Tune shuts down cleanly.

    Args:
        engine: decides what runs; its journal is the only state that outlives this call.
        data: put into Ray's object store once, and read by all trials without copying.
        study_dir: absolute.
        resources: from ``plan_resources``.
        trial_timeout: minutes without a report after which a trial's worker is ended, 0: never; None: by what other
            trials took (``silence_limit``).
    """

    # Trials that reuse what an earlier study trained do not report at rungs, so a repeatable study shares nothing.
    is_repeatable = engine.spec.window is not None
    shared_folder = study_dir if is_repeatable else study_dir.parent

    def as_ray_config(assignment: Assignment) -> dict[str, Any]:
        memory = resources.memory(assignment.runs_alone)
        return {
            "uid": assignment.uid,
            "trial": assignment.config.model_dump(mode="json"),
            "milestones": assignment.milestones,
            "trainable": engine.trainable.path,
            "folder": str(trial_folder(study_dir, assignment.uid)),
            "shared_folder": str(shared_folder),
            "device": resources.device,
            "num_threads": max(1, resources.cpus_per_trial),
            "num_processes": resources.processes_per_trial,
            "memory": None if memory is None else memory // resources.processes_per_trial,
            "silence_limit": silence_limit(trial_timeout, engine.longest_silence),
            "gpu_share": 1.0 if assignment.runs_alone else resources.gpus_per_trial,
        }

    # With a searcher, Ray by default starts workers one at a time, each taking seconds; ours never asks for too many.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(resources.concurrency)
    discard_leftovers(engine, study_dir)
    for name, module in list(sys.modules.items()):
        if name.startswith(FILE_PREFIX):  # workers get the data before they load the file whose classes these may be
            ray.cloudpickle.register_pickle_by_value(module)
    trainable = tune.with_resources(
        tune.with_parameters(StudyTrial, data=data),
        {
            "cpu": resources.cpus_per_trial or NO_CORE,
            "gpu": resources.gpus_per_trial,
            "memory": resources.memory(alone=False) or 0,
        },
    )
    searcher = EngineSearcher(engine, resources.concurrency, as_ray_config, partial(_discard, study_dir))
    tuner = tune.Tuner(
        trainable,
        tune_config=TuneConfig(
            search_alg=searcher,
            scheduler=EngineScheduler(engine, searcher.note_error),
            num_samples=-1,  # unlimited; the searcher says when there are no more
            reuse_actors=True,
        ),
        run_config=RunConfig(
            name=f"run-{len(engine.record.environments)}",
            storage_path=str(study_dir / "ray"),
            # The searcher handles dead workers: Ray's own retries do not cover workers that die while starting.
            failure_config=FailureConfig(max_failures=0),
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),  # trials keep their own checkpoints
            verbose=0,
        ),
    )
    with ended_with_ray(engine):
        try:
            tuner.fit()
        except (tune.TuneError, OSError) as error:  # Ray Tune keeps notes of its own in the study's folder
            if engine.halted is None and not is_storage_fault(error.__cause__ or error):
                raise
            engine.halt(str(error).strip().rpartition("\n")[2], STORAGE_CODE)


def discard_leftovers(engine: StudyEngine, study_dir: Path) -> None:
    """Ends what an earlier driver was killed before ending, and removes the checkpoints of all finished trials."""
    engine.end_stopped()
    for trial in engine.record.with_state(*FINISHED):
        _discard(study_dir, trial.uid)


def discard_shared(engine: StudyEngine, study_dir: Path) -> None:
    """Removes what the trials of a complete study have kept for each other; a repeatable one may be extended."""
    if engine.halted is None and engine.is_complete() and engine.spec.window is None:
        for trial in engine.record.trials.values():
            engine.trainable.discard_shared(engine.trainable.recorded(trial.config), study_dir.parent)


def _discard(study_dir: Path, uid: str) -> None:
    discard_checkpoints(trial_folder(study_dir, uid))
