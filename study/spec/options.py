"""Turns the options of ``python -m study.run`` into the requested study."""

import argparse
import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.settings import parse_settings
from study.spec import (
    SAMPLERS,
    STOPPING,
    Ablation,
    Budget,
    Confirmation,
    Grid,
    NoStopping,
    Objective,
    Plateau,
    Rungs,
    StudySpec,
)
from study.spec.load_space import load_space
from study.spec.stopping import Stopping
from study.trainable import trainable_of

DEFAULT_WINDOW = 4


@dataclass(frozen=True, kw_only=True)
class StudyCommand:
    """The options of ``python -m study.run``, under the same names."""

    space: Path | StudySpec
    preset: str | None = None
    set: list[str]
    dataset: str | None = None
    data_root: str | None = None
    trials: int | None = None
    sampler: str | None = None
    warm_start: Path | None = None
    budget: list[str]
    plateau: Sequence[float] | None = None
    at_least: Sequence[str] = ()
    at_most: Sequence[str] = ()
    stopping: str | None = None
    audit: float | None = None
    finish_paused: bool = False
    seed: int = 0
    seeds: list[int] | None = None
    pairs: int | None = None
    confirm: int | None = None
    deterministic: int | None = None
    name: str | None = None
    output: Path = Path("runs")
    device: str | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None
    processes_per_trial: int | None = None
    memory_per_trial: float | None = None
    concurrency: int | None = None
    address: str | None = None
    tracking_uri: str | None = None
    register_models: str | None = None
    retry_failed: bool = False
    abort_after_failures: int | None = None
    trial_timeout: float | None = None


def study_parser() -> argparse.ArgumentParser:
    """The parser of ``python -m study.run``; it parses into the fields of a ``StudyCommand``, and ``list_spaces``."""
    parser = argparse.ArgumentParser(
        prog="python -m study.run",
        description="Runs a study from a space file, or resumes it.",
    )
    add = parser.add_argument
    add("--space", type=Path, help="a file that exports STUDY, or the name of a packaged space: crops_vs_epochs")
    add("--list-spaces", action="store_true", help="name the packaged spaces with their questions, and end")
    add("--dry-run", action="store_true", help="check everything, say how much would run, and end")
    add(
        "--preset",
        help="what the trainable offers; robust SSL: laptop (default), paper, authors (as their code)",
    )
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="set a field of the base config")
    add("--dataset", help="digits, cifar10, cifar100 or imagefolder; as --set dataset=...")
    add("--data-root", help="where the dataset's files are; as --set data_root=...")
    add("--trials", type=int, help="how many trials a search has; more than before extends a study")
    add("--sampler", choices=[*SAMPLERS, "grid"], help="how Optuna proposes; grid: every combination")
    add("--warm-start", type=Path, metavar="PATH", help="a study's folder or a CSV of trials to start from")
    add(
        "--budget",
        action="append",
        default=[],
        metavar="COST=N",
        help="no further configs once trials have together cost this much: train_pflop=3, view_passes=1e9, hours=8",
    )
    add(
        "--plateau",
        nargs="*",
        type=float,
        metavar="N",
        help="no further configs once the last N (30) complete ones added less than a share (second number, 0.01) to "
        "the front's hypervolume; 0: never",
    )
    for bound, direction in (("least", "maximized"), ("most", "minimized")):
        add(
            f"--at-{bound}",
            action="append",
            default=[],
            metavar="OBJECTIVE=N",
            help=f"the region of interest in an objective that is {direction}, in its unit; none: everywhere",
        )
    add(
        "--stopping",
        choices=STOPPING,
        help="multi-objective ASHA that stops trials or pauses them, Ray's ASHA for one objective, or none",
    )
    add("--finish-paused", action="store_true", help="once the search is over, run paused trials to their end")
    add(
        "--audit",
        type=float,
        metavar="SHARE",
        help="share of trials due to be stopped that run on, to judge the stopping",
    )
    add("--seed", type=int, default=0, help="of the search, and of every trial; default: 0")
    add(
        "--seeds",
        type=int,
        nargs="+",
        metavar="N",
        help="run each config with --seed plus each of them",
    )
    add("--pairs", type=int, metavar="N", help="seeds of each arm of the study's comparison; more than before extends")
    add(
        "--confirm",
        type=int,
        metavar="K",
        help="afterwards, K trials with further seeds where the front is least certain",
    )
    add(
        "--deterministic",
        type=int,
        nargs="?",
        const=DEFAULT_WINDOW,
        metavar="WINDOW",
        help=f"decisions do not depend on which trial is faster; at most WINDOW ({DEFAULT_WINDOW}) trials at a time",
    )
    add("--name", help="folder of the study in --output; default: the space's own name")
    add("--output", type=Path, default=Path("runs"), help="folder of all studies and of MLflow's store; default: runs")
    add("--device", help="cpu or cuda; default: cuda where there is one")
    add("--cpus-per-trial", type=int, help="cores and threads of a trial; default: 1 for each of its processes")
    add(
        "--gpus-per-trial",
        type=float,
        help="GPUs of a trial, a fraction of one or several that train it together; default: 1 on a GPU",
    )
    add("--processes-per-trial", type=int, help="on CPUs, processes that train a trial together; default: 1")
    add("--memory-per-trial", type=float, metavar="GIB", help="memory that a trial may allocate; default: no cap")
    add("--concurrency", type=int, help="trials at a time; default: as many as fit")
    add("--retry-failed", action="store_true", help="run the trials that failed again, from their beginning")
    add(
        "--abort-after-failures",
        type=int,
        metavar="N",
        help="interrupt the study once N trials have failed; default: never",
    )
    add(
        "--trial-timeout",
        type=float,
        metavar="MINUTES",
        help="end the worker of a trial that says nothing for so long; 0: never; default: 20 times the longest silence "
        "of a complete trial, at least 10 minutes",
    )
    add("--address", help="address of a running Ray cluster, or auto; default: Ray on this machine")
    add("--tracking-uri", metavar="URI", help="of MLflow; default: MLFLOW_TRACKING_URI, else a store in --output")
    add("--register-models", metavar="NAME", help="at the end, register the models of the front in MLflow as NAME")
    return parser


def requested_spec(command: StudyCommand) -> StudySpec:
    """The space of ``command`` with its preset and all other options applied.

    Raises:
        ValueError: with one line on what does not fit.
    """
    spec = command.space if isinstance(command.space, StudySpec) else load_space(command.space)
    trainable = trainable_of(spec.base)
    preset = next(iter(trainable.presets), "") if command.preset is None else command.preset
    spec = spec.with_preset(preset)
    settings = list(command.set)
    settings += [f"dataset={command.dataset}"] if command.dataset is not None else []
    settings += [f"data_root={command.data_root}"] if command.data_root is not None else []
    changes = parse_settings(settings, type(spec.base))
    spec = spec.with_settings(trainable.implied(preset, changes) | changes)
    located = trainable.located(spec.base).model_dump()
    moved = {name: value for name, value in located.items() if value != getattr(spec.base, name)}
    spec = spec.with_settings(moved) if moved else spec
    spec = _with_design(spec, command).replace(stopping=_stopping(spec, command))
    if command.at_least or command.at_most:
        spec = spec.replace(objectives=_bounded(spec.objectives, command))
    if command.finish_paused and not spec.stopping.pauses:
        raise ValueError(f"--finish-paused is for a study that pauses trials: stopping={spec.stopping.kind}")
    if command.seeds is not None:
        spec = spec.replace(seeds=tuple(command.seeds))
    if command.pairs is not None:
        if spec.compares is None:
            raise ValueError(f"--pairs is for a study with a comparison, and {spec.name} has none: see --seeds")
        spec = spec.replace(compares=spec.compares.replace(pairs=command.pairs))
    if command.confirm is not None:
        spec = spec.replace(confirmation=Confirmation(runs=command.confirm, settings=spec.confirmation.settings))
    if command.warm_start is not None:
        from study.decisions.warm_start import prior_trials  # reads journals

        spec = spec.replace(warm_start=prior_trials(command.warm_start, spec))
    return spec if command.deterministic is None else spec.replace(window=command.deterministic)


def _bounded(objectives: tuple[Objective, ...], command: StudyCommand) -> tuple[Objective, ...]:
    """The objectives with the bounds that the command gives; others stay as they are."""
    names = [one.name for one in objectives]
    bounds: dict[str, dict[str, Any]] = {}
    for field, texts in (("at_least", command.at_least), ("at_most", command.at_most)):
        option = f"--{field.replace('_', '-')}"
        for text in texts:
            name, _, value = text.partition("=")
            if name not in names:
                raise ValueError(f"{option} {text}: no objective {name!r}; there are {', '.join(names)}")
            try:
                bounds.setdefault(name, {})[field] = None if value in ("none", "null") else float(value)
            except ValueError:
                raise ValueError(f"{option} takes OBJECTIVE=NUMBER, not {text!r}") from None
    return tuple(dataclasses.replace(one, **bounds.get(one.name, {})) for one in objectives)


def _with_design(spec: StudySpec, command: StudyCommand) -> StudySpec:
    if command.sampler == "grid":
        spec = spec.replace(design=Grid())
    is_for_search = (command.trials, command.warm_start, command.plateau) != (None, None, None) or command.budget
    if not is_for_search and command.sampler in (None, "grid"):
        return spec
    if isinstance(spec.design, Grid | Ablation):
        raise ValueError(
            "--trials, --sampler, --warm-start, --plateau and budgets are for a search; "
            f"{spec.name} is a {spec.design.kind}"
        )
    changes: dict[str, Any] = {"trials": command.trials, "sampler": command.sampler}
    if command.sampler is not None and SAMPLERS[command.sampler].is_optuna and spec.design.believed:
        warnings.warn(f"--sampler {command.sampler} leaves out the believed recipes of {spec.name}", stacklevel=2)
        changes["believed"] = ()
    design = spec.design.replace(**{name: value for name, value in changes.items() if value is not None})
    budget = _budget(design.budget, command.budget)
    if command.plateau is not None:
        budget = budget.replace(plateau=_plateau(command.plateau))
    return spec.replace(design=design.replace(budget=budget))


def _budget(budget: Budget, given: list[str]) -> Budget:
    limits = {}
    for text in given:
        name, _, limit = text.partition("=")
        try:
            limits[name] = float(limit)
        except ValueError:
            raise ValueError(f"--budget takes COST=NUMBER, not {text!r}") from None
    hours = limits.pop("hours", budget.hours)
    return budget.replace(spent={**budget.spent, **limits}, hours=hours)


def _plateau(given: Sequence[float]) -> Plateau | None:
    """The plateau of ``--plateau [N [GAIN]]``; None for N=0."""
    if len(given) > 2 or any(not number.is_integer() for number in map(float, given[:1])):
        raise ValueError(f"--plateau takes how many configurations and a share, not {' '.join(map(str, given))}")
    if given and given[0] == 0:
        return None
    return Plateau(**dict(zip(("configurations", "gain"), given, strict=False)))


def _stopping(spec: StudySpec, command: StudyCommand) -> Stopping:
    if command.stopping == "none":
        if command.audit is not None:
            raise ValueError("--audit needs early stopping, and --stopping none was given")
        return NoStopping()
    stopping = spec.stopping
    if not isinstance(stopping, Rungs):
        if command.stopping is not None or command.audit is not None:
            raise ValueError(f"{spec.name} places no rungs, so there is no early stopping to choose or to audit")
        return stopping
    if command.stopping is not None and not isinstance(stopping, STOPPING[command.stopping]):
        given: dict[str, Any] = {"first_rung": stopping.first_rung, "eta": stopping.eta, "audit": stopping.audit}
        if command.stopping == "asha":
            given["objective"] = stopping.compared[-1]
        stopping = STOPPING[command.stopping](**given)
    return stopping if command.audit is None else stopping.replace(audit=command.audit)
