"""Turns the options of ``python -m study.run`` into the requested study."""

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from study.decisions.warm_start import prior_trials
from study.spec import Ablation, Confirmation, Grid, MoAsha, NoStopping, RayAsha, Sampler, StudySpec
from study.spec.load_space import load_space
from trainables.trial_config import PRESETS, parse_settings, resolve_paths

STOPPING = ("moasha", "asha", "none")
DEFAULT_WINDOW = 4


@dataclass(frozen=True, kw_only=True)
class StudyCommand:
    """The options of ``python -m study.run``, under the same names."""

    space: Path
    preset: str
    set: list[str]
    dataset: str | None
    data_root: str | None
    trials: int | None
    sampler: str | None
    warm_start: Path | None
    budget_view_passes: float | None
    budget_pflop: float | None
    budget_hours: float | None
    stopping: str | None
    audit: float | None
    seed: int
    seeds: list[int] | None
    confirm: int | None
    deterministic: int | None
    name: str | None
    output: Path
    device: str | None
    cpus_per_trial: int | None
    gpus_per_trial: float | None
    memory_per_trial: float | None
    concurrency: int | None
    address: str | None


def study_parser() -> argparse.ArgumentParser:
    """The parser of ``python -m study.run``; it parses into the fields of a ``StudyCommand``."""
    parser = argparse.ArgumentParser(
        prog="python -m study.run",
        description="Runs a study from a space file, or resumes it.",
    )
    add = parser.add_argument
    add("--space", type=Path, required=True, help="a file that exports STUDY, such as search_spaces/crops_vs_epochs.py")
    add(
        "--preset",
        choices=PRESETS,
        default="laptop",
        help="laptop (default): digits in minutes; paper: the recipe as published",
    )
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="set a field of the base config")
    add("--dataset", help="digits, cifar10, cifar100 or imagefolder; as --set dataset=...")
    add("--data-root", help="where the dataset's files are; as --set data_root=...")
    add("--trials", type=int, help="how many trials a search has; more than before extends a study")
    add("--sampler", choices=[*get_args(Sampler), "grid"], help="how Optuna proposes; grid: every combination")
    add("--warm-start", type=Path, metavar="PATH", help="a study's folder or a CSV of trials to start from")
    add("--budget-view-passes", type=float, metavar="N", help="no further configs once trials have used this many")
    add("--budget-pflop", type=float, metavar="N", help="the same in PFLOP of pretraining")
    add("--budget-hours", type=float, metavar="N", help="the same in hours of wall time")
    add("--stopping", choices=STOPPING, help="multi-objective ASHA, Ray's ASHA for one objective, or none")
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
    add("--cpus-per-trial", type=int, help="cores and threads of a trial; default: 1")
    add("--gpus-per-trial", type=float, help="GPUs of a trial, may be a fraction; default: 1 on a GPU")
    add("--memory-per-trial", type=float, metavar="GIB", help="memory that a trial may allocate; default: no cap")
    add("--concurrency", type=int, help="trials at a time; default: as many as fit")
    add("--address", help="address of a running Ray cluster, or auto; default: Ray on this machine")
    return parser


def requested_spec(command: StudyCommand) -> StudySpec:
    """The space of ``command`` with its preset and all other options applied.

    Raises:
        ValueError: with one line on what does not fit.
    """
    spec = load_space(command.space).with_preset(command.preset)
    changes = parse_settings(command.set)
    if command.dataset is not None:
        changes["dataset"] = command.dataset
    # The laptop preset shrinks digits to 16 pixels; photographs keep the paper's 32.
    if command.preset == "laptop" and changes.get("dataset", "digits") != "digits":
        changes.setdefault("image_size", 32)
    if command.data_root is not None:
        changes["data_root"] = command.data_root
    spec = spec.with_settings(changes)
    spec = spec.with_settings({"data_root": resolve_paths(spec.base).data_root})
    spec = _with_stopping(_with_design(spec, command), command)
    if command.seeds is not None:
        spec = dataclasses.replace(spec, seeds=tuple(command.seeds))
    if command.confirm is not None:
        confirmation = Confirmation(runs=command.confirm, settings=spec.confirmation.settings)
        spec = dataclasses.replace(spec, confirmation=confirmation)
    if command.warm_start is not None:
        spec = dataclasses.replace(spec, warm_start=prior_trials(command.warm_start, spec))
    return spec if command.deterministic is None else dataclasses.replace(spec, window=command.deterministic)


def _with_design(spec: StudySpec, command: StudyCommand) -> StudySpec:
    if command.sampler == "grid":
        spec = dataclasses.replace(spec, design=Grid())
    budget = {
        "view_passes": command.budget_view_passes,
        "pflop": command.budget_pflop,
        "hours": command.budget_hours,
    }
    given = {name: value for name, value in budget.items() if value is not None}
    is_for_search = command.trials is not None or command.sampler not in (None, "grid") or command.warm_start or given
    if not is_for_search:
        return spec
    if isinstance(spec.design, Grid | Ablation):
        raise ValueError(
            "--trials, --sampler, --warm-start and budgets are for a search; "
            f"{command.space} is a {type(spec.design).__name__}"
        )
    design = dataclasses.replace(
        spec.design,
        trials=spec.design.trials if command.trials is None else command.trials,
        sampler=command.sampler or spec.design.sampler,  # type: ignore[arg-type]
        budget=dataclasses.replace(spec.design.budget, **given),
    )
    return dataclasses.replace(spec, design=design)


def _with_stopping(spec: StudySpec, command: StudyCommand) -> StudySpec:
    if command.stopping == "none":
        if command.audit is not None:
            raise ValueError("--audit needs early stopping, and --stopping none was given")
        return dataclasses.replace(spec, stopping=NoStopping())
    stopping = spec.stopping
    if isinstance(stopping, NoStopping):
        if command.stopping is not None or command.audit is not None:
            raise ValueError(f"{command.space} places no rungs, so there is no early stopping to choose or to audit")
        return spec
    audit = stopping.audit if command.audit is None else command.audit
    if command.stopping == "asha" or (command.stopping is None and isinstance(stopping, RayAsha)):
        objective = stopping.objectives[-1]
        stopping = RayAsha(first_rung=stopping.first_rung, eta=stopping.eta, objective=objective, audit=audit)
    elif isinstance(stopping, RayAsha):
        stopping = MoAsha(first_rung=stopping.first_rung, eta=stopping.eta, audit=audit)
    else:
        stopping = dataclasses.replace(stopping, audit=audit)
    return dataclasses.replace(spec, stopping=stopping)
