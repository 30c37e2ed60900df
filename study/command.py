"""What ``python -m study.run`` does, apart from parsing: check everything first, then run, then report."""

import contextlib
import dataclasses
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from study.display.announcement import announcement
from study.files import make_folder
from study.record.answer import ANSWER_WIDTH, read_answer
from study.record.environment import describe_environment
from study.record.identity import continued, require_same_study
from study.record.journal import FINISHED, JOURNAL_NAME, Event, Journal, StudyRecord, read_study
from study.record.metrics import merged
from study.record.region import region_in
from study.record.trial_folder import has_checkpoint
from study.spec import StudySpec
from study.spec.choices import check_space, extreme_configs
from study.spec.ineffective import ineffective_factor
from study.spec.options import StudyCommand, requested_spec
from study.spec.study_spec import MOST_SEED
from study.tracking.stores import (
    ARTIFACTS_NAME,
    STORE_NAME,
    opening_command,
    requested_uri,
    tracking_uri,
    without_password,
)
from study.trainable import Trainable, trainable_of
from study.workers.devices import require_device, require_reachable, usable_device

LONGEST_NAME = 100  # as a folder's is limited to 255 bytes
RESERVED = (STORE_NAME, ARTIFACTS_NAME, "encoders")  # what an output folder holds beside its studies

if TYPE_CHECKING:
    from study.decisions.engine import StudyEngine
    from study.workers.launch import Resources

POSITIVE = (
    "cpus_per_trial", "gpus_per_trial", "processes_per_trial", "memory_per_trial", "concurrency",
    "abort_after_failures",
)  # fmt: skip


@dataclass(frozen=True)
class PreparedStudy:
    """A study that has passed all checks; ``recorded`` is what the journal says of its spec."""

    command: StudyCommand
    spec: StudySpec
    trainable: Trainable
    data: Any
    recorded: dict[str, Any]
    study_dir: Path  # absolute
    tracking_uri: str  # of MLflow


@dataclass(frozen=True)
class RunningStudy:
    """A study whose journal is open; ``resources`` is None if there is nothing left to run."""

    prepared: PreparedStudy
    engine: "StudyEngine"
    listeners: list[Callable[[Event], None]]
    resources: "Resources | None"


def say(console: Console, text: str) -> None:
    """Prints ``text`` as it is."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def prepare(command: StudyCommand, console: Console) -> PreparedStudy:
    """Loads and checks the space and the data, and checks that the study folder is empty or holds the same study.

    Raises:
        ValueError: with one line on what is wrong.
    """
    spec = requested_spec(command)
    check_space(spec)
    trainable = trainable_of(spec.base)
    name = command.name or spec.name
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ValueError(f"a study's name is made of letters, digits, '_', '-' and '.': {name!r}")
    if len(name) > LONGEST_NAME or name in RESERVED:
        raise ValueError(f"a study's name is at most {LONGEST_NAME} characters and none of {RESERVED}: {name!r}")
    for option in POSITIVE:
        value = getattr(command, option)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"--{option.replace('_', '-')} must be positive: {value}")
    if not 0 <= command.seed <= MOST_SEED:
        raise ValueError(f"--seed must be from 0 to {MOST_SEED}: {command.seed}")
    if command.trial_timeout is not None and command.trial_timeout < 0:
        raise ValueError(f"--trial-timeout must not be negative: {command.trial_timeout}")
    if command.address is not None:
        require_reachable(command.address)
    require_device(command.device, command.gpus_per_trial if command.address is None else None)
    study_dir = (command.output / name).resolve()
    _require_free(study_dir)
    _require_effective(spec, study_dir, console)
    uri, source = requested_uri(command.tracking_uri, command.output)
    spec = continued(spec, study_dir, is_sampler_given=command.sampler is not None)
    say(console, announcement(spec, trainable))
    if source:
        say(console, f"MLflow: {without_password(uri)} (from {source})")
    data = _load_with_progress(spec, trainable, console)
    for config in extreme_configs(spec):
        trainable.require_fitting(config, data)
        trainable.require_processes(config, command.processes_per_trial or int(command.gpus_per_trial or 1) or 1)
    metrics = merged(metric for config in extreme_configs(spec) or [spec.base] for metric in trainable.metrics(config))
    recorded = spec.model_dump(mode="json") | {
        "seed": command.seed,
        "data_checksum": trainable.data_checksum(data),
        "metrics": [dataclasses.asdict(metric) for metric in metrics.values()],
    }
    if (study_dir / JOURNAL_NAME).exists():
        require_same_study(study_dir, recorded, trainable, spec.base)
    return PreparedStudy(command, spec, trainable, data, recorded, study_dir, uri)


def _require_free(study_dir: Path) -> None:
    if (study_dir / JOURNAL_NAME).exists():
        return
    if any(parent.exists() and not parent.is_dir() for parent in (study_dir, *study_dir.parents)):
        raise ValueError(f"{study_dir} cannot be a folder: a file is in its place; choose another --name or --output")
    if study_dir.exists() and any(study_dir.iterdir()):
        raise ValueError(f"{study_dir} is not empty and holds no study; choose another with --name or --output")


def _require_effective(spec: StudySpec, study_dir: Path, console: Console) -> None:
    """Refuses a factor that changes nothing somewhere; of a study that an earlier version began, it only warns."""
    found = ineffective_factor(spec)
    if found is None:
        return
    if not (study_dir / JOURNAL_NAME).exists():
        raise ValueError(str(found))
    say(console, f"warning: {found}")


def planned(prepared: PreparedStudy) -> str:
    """How many trials the study has, as far as is known, and how many of them are done."""
    from study.decisions.planning import Plan

    is_begun = (prepared.study_dir / JOURNAL_NAME).exists()
    record = read_study(prepared.study_dir) if is_begun else StudyRecord(spec=prepared.recorded)
    plan = Plan(prepared.spec, prepared.command.seed, finishes_paused=prepared.command.finish_paused)
    total = plan.num_planned(record)
    done = record.count(*FINISHED)
    return f"{total} trials, {done} of them done. Nothing was started (--dry-run)."


def start(prepared: PreparedStudy, console: Console) -> RunningStudy:
    """Opens the journal and, unless the study is done, starts Ray and determines how many trials fit.

    Raises:
        ValueError: if another process is running the study, or if no trial fits.
    """
    from study.decisions.engine import StudyEngine

    listeners: list[Callable[[Event], None]] = []

    def on_event(event: Event) -> None:
        for listener in listeners:
            listener(event)

    make_folder(prepared.study_dir)
    journal = _open_journal(prepared, console)
    regions = [region_in(spec.get("objectives", [])) for spec in (journal.record.spec, prepared.recorded)]
    if not journal.is_new and regions[0] != regions[1]:
        # Another region of interest: also a study of which nothing is left to run is decided and reported on by it.
        journal.write("resumed", spec=prepared.recorded, environment=describe_environment())
    scale = prepared.trainable.scale(prepared.data)
    engine = StudyEngine(
        journal,
        prepared.spec,
        prepared.command.seed,
        scale,
        on_event,
        partial(has_checkpoint, prepared.study_dir),
        finishes_paused=prepared.command.finish_paused,
        most_failures=prepared.command.abort_after_failures,
    )
    resources = None
    retries = prepared.command.retry_failed and journal.record.with_state("failed")
    if journal.is_new or retries or not engine.is_complete():
        try:
            resources = _available_resources(prepared.command, prepared.trainable.only_waits, console)
        except BaseException:
            _undo_opening(journal)
            raise
        _write_start(journal, prepared, resources.describe(), console)
        if retries:
            engine.reopen_failed()
    return RunningStudy(prepared, engine, listeners, resources)


def _available_resources(command: StudyCommand, only_waits: bool, console: Console) -> "Resources":
    from study.workers.launch import plan_resources, start_ray  # slow to import

    console.print("Starting Ray ..." if command.address is None else f"Joining Ray at {command.address} ...")
    start_ray(command.address)
    return plan_resources(
        usable_device(command.device, command.address),
        command.cpus_per_trial,
        command.gpus_per_trial,
        command.concurrency,
        command.memory_per_trial,
        processes_per_trial=command.processes_per_trial,
        only_waits=only_waits,
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
    """Runs the study until done or Ctrl-C, writes the report, prints answer and paths; returns the exit code."""
    from study.display.live_report import LiveReport, ReportProcess
    from study.display.progress import ProgressDisplay
    from study.record.summary import write_summary
    from study.tracking.projection import MlflowProjection
    from study.workers.interruption import ended_by_signals
    from study.workers.launch import discard_shared, run_trials

    prepared, engine = study.prepared, study.engine
    data_name = prepared.trainable.data_name(prepared.spec.base)
    dataset = (data_name, prepared.recorded["data_checksum"]) if data_name else None
    mlflow = MlflowProjection(
        engine.record,
        prepared.study_dir,
        dataset,
        prepared.tracking_uri,
        say=partial(say, console),
        registered_name=prepared.command.register_models,
        is_live=study.resources is not None,
    )
    with ended_by_signals(engine), mlflow:
        display = ProgressDisplay(engine, study.resources.concurrency if study.resources else 1, console)
        live = LiveReport(ReportProcess(prepared.study_dir), mlflow.on_report, partial(_warn_of_report, console))
        study.listeners.extend([mlflow.on_event, display.on_event, live.on_event])
        if study.resources is not None:
            with display, live:
                timeout = prepared.command.trial_timeout
                run_trials(engine, prepared.data, prepared.study_dir, study.resources, timeout)
        if not engine.record.ended:
            discard_shared(engine, prepared.study_dir)
            engine.close()
        display.print_summary()
        # There is no time for a report after a signal, and no place for it where the storage fails.
        is_reported = engine.halted is None or engine.halted.exit_code == 1
        problem = ReportProcess(prepared.study_dir).build() if is_reported else None
        if problem is not None:
            say(console, f"warning: the report could not be written: {problem}")
    write_summary(prepared.study_dir, engine.record, *engine.journal.end)
    engine.journal.close()
    if not engine.record.ended:
        why = f": {engine.halted.reason}" if engine.halted else ""
        say(console, f"Interrupted{why}; the same command resumes.")
    if is_reported:
        if problem is None:  # else it is the answer of an earlier report
            _print_answer(console, read_answer(prepared.study_dir))
        say(console, f"Report:  {prepared.study_dir / 'report' / 'index.html'}")
    if (unwritten := mlflow.problem()) is not None:
        say(console, unwritten)
    say(console, f"MLflow:  {opening_command(prepared.tracking_uri, mlflow.page)}")
    return exit_code(engine, console)


def exit_code(engine: "StudyEngine", console: Console) -> int:
    """That of a study's command, which says why if every trial failed (see ``study.run``)."""
    if not engine.record.ended:
        return engine.halted.exit_code if engine.halted else 130
    trials = engine.record.trials.values()
    if trials and all(trial.state == "failed" for trial in trials):
        say(console, "Every trial failed; once the cause is mended, --retry-failed runs them again.")
        return 1
    return 0


def _print_answer(console: Console, answer: str) -> None:
    """Prints the paragraphs of ``answer``, broken anew where the terminal is narrower than their lines."""
    for paragraph in answer.split("\n\n"):
        text = paragraph.strip() if console.width >= ANSWER_WIDTH else " ".join(paragraph.split())
        console.print(f"\n{text}", highlight=False, markup=False, soft_wrap=console.width >= ANSWER_WIDTH)
    console.print()


def _warn_of_report(console: Console, problem: str) -> None:
    say(console, f"warning: the report was not refreshed, the study goes on: {problem}")


def _load_with_progress(spec: StudySpec, trainable: Trainable, console: Console) -> Any:
    from rich.progress import Progress

    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("loading data", total=None, visible=False)

        def on_progress(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, visible=True)

        return trainable.load_data(spec.base, on_progress)


def _open_journal(prepared: PreparedStudy, console: Console) -> Journal:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        journal = Journal(prepared.study_dir)
    for warning in caught:
        say(console, f"warning: {warning.message}")
    return journal


def _write_start(journal: Journal, prepared: PreparedStudy, resources: dict[str, Any], console: Console) -> None:
    """Records in the journal that the study begins or resumes."""
    environment = describe_environment() | resources
    if prepared.tracking_uri != tracking_uri(prepared.study_dir.parent):
        environment["tracking_uri"] = without_password(prepared.tracking_uri)
    if journal.is_new:
        journal.write("created", study=prepared.study_dir.name, spec=prepared.recorded, environment=environment)
    else:
        journal.write("resumed", spec=prepared.recorded, environment=environment)
        done = journal.record.count(*FINISHED)
        say(console, f"Resuming {prepared.study_dir}: {done} trials are done")
        before, now = (one.get("revision") for one in journal.record.environments[-2:])
        if before != now:
            say(console, f"note: the code is of revision {now}; before, the study ran with {before}")
