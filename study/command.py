"""What ``python -m study.run`` does, apart from parsing: check everything first, then run, then report."""

import contextlib
import re
import shlex
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from study.record.environment import describe_environment
from study.record.journal import JOURNAL_NAME, Event, Journal
from study.spec import StudySpec
from study.spec.choices import check_space, extreme_configs
from study.spec.options import StudyCommand, requested_spec
from trainables.datasets import TrialData, load_data
from trainables.run_trial import make_folder, parse_device
from trainables.trial import require_fitting

if TYPE_CHECKING:
    from study.decisions.engine import StudyEngine
    from study.workers.launch import Resources


@dataclass(frozen=True)
class PreparedStudy:
    """A study that has passed all checks."""

    command: StudyCommand
    spec: StudySpec
    data: TrialData
    study_dir: Path  # absolute
    device: str | None  # cpu or cuda; None: depends on the cluster


@dataclass(frozen=True)
class RunningStudy:
    """A study whose journal is open; ``resources`` is None if there is nothing left to run."""

    prepared: PreparedStudy
    engine: "StudyEngine"
    listeners: list[Callable[[Event], None]]
    resources: "Resources | None"


def prepare(command: StudyCommand, console: Console) -> PreparedStudy:
    """Loads and checks the space and the data, and checks that the study folder is empty or holds the same study.

    Raises:
        ValueError: with one line on what is wrong.
    """
    spec = requested_spec(command)
    check_space(spec)
    name = command.name or spec.name
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ValueError(f"a study's name is made of letters, digits, '_', '-' and '.': {name!r}")
    for option in ("cpus_per_trial", "gpus_per_trial", "memory_per_trial", "concurrency"):
        value = getattr(command, option)
        if value is not None and value <= 0:
            raise ValueError(f"--{option.replace('_', '-')} must be positive: {value}")
    if command.seed < 0:
        raise ValueError(f"--seed must not be negative: {command.seed}")
    if command.address is not None and command.device not in (None, "cpu", "cuda"):
        raise ValueError(f"--device must be cpu or cuda (Ray assigns each trial its device): {command.device!r}")
    device = parse_device(command.device).type if command.address is None else command.device
    if device == "cpu" and command.gpus_per_trial is not None:
        raise ValueError("--gpus-per-trial needs a GPU: there is none here, or --device cpu was given")
    console.print(_announcement(spec), highlight=False, markup=False, soft_wrap=True)
    data = _load_with_progress(spec, console)
    for config in extreme_configs(spec):
        require_fitting(config, data)
    study_dir = (command.output / name).resolve()
    if (study_dir / JOURNAL_NAME).exists():
        _require_same_study(study_dir, _identity(spec, command, data))
    elif any(parent.exists() and not parent.is_dir() for parent in (study_dir, *study_dir.parents)):
        raise ValueError(f"{study_dir} cannot be a folder: a file is in its place; choose another --name or --output")
    elif study_dir.exists() and any(study_dir.iterdir()):
        raise ValueError(f"{study_dir} is not empty and holds no study; choose another with --name or --output")
    return PreparedStudy(command, spec, data, study_dir, device)


def start(prepared: PreparedStudy, console: Console) -> RunningStudy:
    """Opens the journal and, unless the study is done, starts Ray and determines how many trials fit.

    Raises:
        ValueError: if another process is running the study, or if no trial fits.
    """
    from study.decisions.engine import (
        StudyEngine,  # imports Optuna and Ray, which takes seconds; bad input is rejected before
    )

    listeners: list[Callable[[Event], None]] = []

    def on_event(event: Event) -> None:
        for listener in listeners:
            listener(event)

    make_folder(prepared.study_dir)
    journal = _open_journal(prepared, console)
    num_images = len(prepared.data.train.labels)
    engine = StudyEngine(journal, prepared.spec, prepared.command.seed, num_images, on_event)
    resources = None
    if journal.is_new or not engine.is_complete():
        try:
            resources = _find_resources(prepared, console)
        except BaseException:
            _undo_opening(journal)
            raise
        _write_start(journal, prepared, resources.describe(), console)
    return RunningStudy(prepared, engine, listeners, resources)


def _find_resources(prepared: PreparedStudy, console: Console) -> "Resources":
    from study.workers.launch import plan_resources, start_ray

    command = prepared.command
    console.print("Starting Ray ..." if command.address is None else f"Joining Ray at {command.address} ...")
    start_ray(command.address)
    return plan_resources(
        prepared.device,
        command.cpus_per_trial,
        command.gpus_per_trial,
        command.concurrency,
        command.memory_per_trial,
    )


def _undo_opening(journal: Journal) -> None:
    """Closes the journal; if the study never began, also removes the journal and its folders if they are empty."""
    journal.close()
    if journal.is_new:
        journal.path.unlink()
        with contextlib.suppress(OSError):  # a folder that holds something else stays
            journal.path.parent.rmdir()
            journal.path.parent.parent.rmdir()


def run(study: RunningStudy, console: Console) -> int:
    """Runs the study until done or Ctrl-C, writes the report, prints where everything is; returns the exit code."""
    from reports.build import build_report
    from study.display.live_report import LiveReport, ReportProcess
    from study.display.progress import ProgressDisplay
    from study.tracking.projection import MlflowProjection, tracking_uri
    from study.workers.launch import run_trials

    prepared, engine = study.prepared, study.engine
    dataset = (prepared.spec.base.dataset, prepared.data.checksum)
    with MlflowProjection(engine.record, prepared.study_dir, dataset) as mlflow:
        display = ProgressDisplay(engine, study.resources.concurrency if study.resources else 1, console)
        live = LiveReport(ReportProcess(prepared.study_dir), mlflow.on_report, partial(_warn_of_report, console))
        study.listeners.extend([mlflow.on_event, display.on_event, live.on_event])
        if study.resources is not None:
            with display, live:
                run_trials(engine, prepared.data, prepared.study_dir, study.resources)
        if not engine.record.ended:
            engine.close()
        display.print_summary()
        build_report(prepared.study_dir)
    engine.journal.close()
    _print_summary(prepared, console, engine.record.ended, tracking_uri(prepared.command.output), mlflow.error)
    return 0 if engine.record.ended else 130


def _warn_of_report(console: Console, problem: str) -> None:
    warning = f"warning: the report was not refreshed, the study goes on: {problem}"
    console.print(warning, highlight=False, markup=False, soft_wrap=True)


def _announcement(spec: StudySpec) -> str:
    base = spec.base
    what = f"{base.dataset} at {base.image_size}x{base.image_size}, {base.encoder}"
    if spec.preset == "laptop":
        paper = "CIFAR-10, ResNet-18, 16 views, batch 100"
        return f"Preset laptop: {what}, shortened budgets. The paper's setting ({paper}): --preset paper"
    return f"Preset paper: {what}, batch {base.batch_size}. For minutes on a laptop: --preset laptop"


def _load_with_progress(spec: StudySpec, console: Console) -> TrialData:
    from rich.progress import Progress

    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("decoding images", total=None, visible=False)
        return load_data(
            spec.base, lambda done, total: progress.update(task, completed=done, total=total, visible=True)
        )


def _identity(spec: StudySpec, command: StudyCommand, data: TrialData) -> dict[str, Any]:
    """What must be equal for a study to be resumed, except for what ``_is_extension`` allows to grow."""
    return spec.to_plain() | {"seed": command.seed, "data_checksum": data.checksum}


def _require_same_study(study_dir: Path, identity: dict[str, Any]) -> None:
    from study.record.journal import read_study

    known = read_study(study_dir).spec
    if not known:
        return
    found = _differences(_defining_part(known), _defining_part(identity))
    differences = [difference for difference in found if not _is_extension(*difference)]
    if differences:
        shown = "; ".join(f"{path}: {old!r} there, {new!r} now" for path, old, new in differences[:5])
        more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise ValueError(f"{study_dir} holds a different study ({shown}{more}); choose another folder with --name")


def _defining_part(identity: dict[str, Any]) -> dict[str, Any]:
    """The identity without what affects no result: the question, and the path of images identified by checksum."""
    left = identity | {"question": None}
    if identity["base"]["dataset"] == "imagefolder":  # here the path distinguishes trials on different folders
        return left
    nowhere = {"data_root": None}
    ends = {end: identity["design"][end] | nowhere for end in ("from_", "to") if end in identity["design"]}
    return left | {"base": identity["base"] | nowhere, "design": identity["design"] | ends}


def _is_extension(path: str, old: Any, new: Any) -> bool:
    """Whether a difference only extends the study: more trials or budget, or seeds appended to the old ones."""
    if path == "seeds":
        return bool(new[: len(old)] == old)
    if path.startswith("design.budget."):
        return new is None or (old is not None and old <= new)
    return path in ("design.trials", "confirmation.runs") and None not in (old, new) and bool(old <= new)


def _differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        return [d for key in keys for d in _differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [d for i, pair in enumerate(zip(old, new, strict=True)) for d in _differences(*pair, f"{path}[{i}]")]
    return [] if old == new else [(path, old, new)]


def _open_journal(prepared: PreparedStudy, console: Console) -> Journal:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        journal = Journal(prepared.study_dir)
    for warning in caught:
        console.print(f"warning: {warning.message}", highlight=False, markup=False, soft_wrap=True)
    return journal


def _write_start(journal: Journal, prepared: PreparedStudy, resources: dict[str, Any], console: Console) -> None:
    """Records in the journal that the study begins or resumes."""
    identity = _identity(prepared.spec, prepared.command, prepared.data)
    environment = describe_environment() | resources
    if journal.is_new:
        journal.write("created", study=prepared.study_dir.name, spec=identity, environment=environment)
    else:
        journal.write("resumed", spec=identity, environment=environment)
        done = len(journal.record.with_state("complete", "stopped", "failed"))
        console.print(f"Resuming {prepared.study_dir}: {done} trials are done", highlight=False, soft_wrap=True)


def _print_summary(
    prepared: PreparedStudy, console: Console, ended: bool, uri: str, mlflow_error: Exception | None
) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    if not ended:
        say("Interrupted; the same command resumes.")
    say(f"Report:  {prepared.study_dir / 'report' / 'index.html'}")
    if mlflow_error is not None:
        say(f"MLflow could not be written: {type(mlflow_error).__name__}: {mlflow_error}")
    say(f"MLflow:  mlflow ui --backend-store-uri {shlex.quote(uri)}")
