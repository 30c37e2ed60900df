"""How much compute do searches need to find a known front? Replayed on a recorded table of real trials.

    python -m study.run --space search_spaces/tradeoff.py --sampler grid --audit 1 --name tradeoff_table
    python -m benchmarks.search_efficiency --record runs/tradeoff_table --table benchmarks/data/tradeoff_digits.json
    python -m benchmarks.search_efficiency --table benchmarks/data/tradeoff_digits.json

The table holds, for every configuration of a space, its accuracies at each rung and at its end, and its cost. A
replayed study proposes, stops and records through this project's own engine; only the training is looked up. Compute is
everything that trials cost, including stopped trials and unfinished parts. A configuration counts once it is complete.
Syne Tune's MOASHA is compared if it is installed (``pip install syne-tune``).
"""

import argparse
import datetime
import heapq
import importlib.util
import itertools
import json
import math
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import moocore
import numpy as np

from study.decisions.engine import Assignment, StudyEngine
from study.record.environment import git_revision
from study.record.journal import Journal, read_study
from study.spec import Factor, MoAsha, NoStopping, RayAsha, Search, StudySpec
from study.spec.load_space import load_space
from study.trainable import Context, Final, Interim
from trainables.recorded_table import RecordedTable, recorded_table

SPACE = Path(__file__).resolve().parents[1] / "search_spaces" / "tradeoff.py"
TARGETS = (0.9, 0.95)
METRICS: dict[str, dict[str, Any]] = {  # as the trial of robust SSL describes them
    "val_clean": {"direction": "maximize", "unit": "%", "split": "val"},
    "val_pgd_8": {"direction": "maximize", "unit": "%", "split": "val", "is_headline": True},
    "view_passes": {"direction": "minimize", "kind": "cost", "is_known": True},
    "train_pflop": {"direction": "minimize", "kind": "cost", "is_known": True},
    "train_seconds": {"direction": "minimize", "kind": "cost", "is_clocked": True},
}
OURS, RANDOM = "TPE + MO-ASHA (ours)", "random"


@dataclass(frozen=True)
class Table:
    """The searched space, and its recorded trials as what it runs."""

    spec: StudySpec
    trainable: RecordedTable

    @cached_property
    def results(self) -> list[dict[str, Any]]:
        """The metrics of every recorded trial at its end."""
        keys = itertools.product(*self.trainable.table.choices.values())
        return [repetition[-1] for key in keys for repetition in self.trainable.table.repetitions(key)]

    def hypervolume(self, points: Sequence[Sequence[float]]) -> float:
        """Hypervolume of rows of objectives, each scaled to [0, 1] within the table, against its worst corner."""
        everything = np.array([self.objectives(metrics) for metrics in self.results])
        if len(points) == 0:
            return 0.0
        low, span = everything.min(axis=0), np.ptp(everything, axis=0)
        scaled = (np.array(points) - low) / np.where(span > 0, span, 1)
        return float(moocore.hypervolume(1 - scaled, ref=np.ones(scaled.shape[1])))

    def objectives(self, metrics: dict[str, Any]) -> list[float]:
        """The objectives of a trial, all to be maximised."""
        return [metrics[o.name] * (1 if o.direction == "maximize" else -1) for o in self.spec.objectives]

    @property
    def total_hypervolume(self) -> float:
        """Hypervolume of the whole table."""
        return self.hypervolume([self.objectives(metrics) for metrics in self.results])


def record_table(study_dir: Path, path: Path) -> None:
    """Writes the trials of a study in which every trial ran to its end as a table (``trainables.recorded_table``).

    Raises:
        ValueError: if a trial is not complete.
    """
    study = read_study(study_dir)
    trials = []
    for trial in study.trials.values():
        if trial.state != "complete":
            raise ValueError(f"{trial.uid} is {trial.state}: a table needs every trial in full (--audit 1)")
        reports = [{name: report[name] for name in METRICS} for report in trial.reports]
        metrics = {name: trial.metrics[name] for name in METRICS}
        trials.append({"params": trial.params, "reports": reports, "metrics": metrics})
    first_milestone = min(report["milestone"] for trial in study.trials.values() for report in trial.reports)
    head = {
        "command": "python -m study.run --space search_spaces/tradeoff.py --sampler grid --audit 1",
        "environment": study.environments[0],
        "base": {
            name: value for name, value in study.spec["base"].items() if name != "data_root"
        },  # not where data lay
        "metrics": METRICS,
        "progress": "view_passes",
        "scale": first_milestone // study.spec["stopping"]["first_rung"],  # training images
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(head | {"trials": trials}, indent=1))


def load_table(path: Path) -> Table:
    """Reads a recorded table, and makes the space that it was recorded from a space of its rows."""
    space, table = load_space(SPACE).with_preset("laptop"), recorded_table(path)
    factors = tuple(Factor(name=factor.name, distribution=factor.domain()) for factor in space.factors)
    spec = StudySpec(
        name=space.name,
        question=space.question,
        base=table.config(),
        factors=factors,
        objectives=space.objectives,
        design=space.design,
        stopping=space.stopping,
    )
    return Table(spec, table)


@dataclass(frozen=True)
class Strategy:
    """A way to search: what proposes and what stops; ``stopper`` replaces the engine's own."""

    sampler: str
    stopping: MoAsha | RayAsha | NoStopping
    stopper: Callable[[Table, int], Any] | None = None


def strategies(first_rung: int, eta: int) -> dict[str, Strategy]:
    """All strategies that are compared, at equal rungs."""
    rungs = MoAsha(first_rung=first_rung, eta=eta)
    found = {
        RANDOM: Strategy("random", NoStopping()),
        "TPE": Strategy("tpe", NoStopping()),
        "random + MO-ASHA": Strategy("random", rungs),
        OURS: Strategy("tpe", rungs),
        "random + ASHA on robust accuracy": Strategy("random", RayAsha(first_rung=first_rung, eta=eta)),
    }
    if importlib.util.find_spec("syne_tune") is not None:
        found["random + MOASHA of Syne Tune"] = Strategy("random", rungs, SyneTuneMoAsha)
    return found


class SyneTuneMoAsha:
    """Syne Tune's MOASHA as published, behind the interface of the engine's early stopping."""

    def __init__(self, table: Table, seed: int) -> None:
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

        assert isinstance(table.spec.stopping, MoAsha)
        np.random.seed(seed)  # MOASHA draws a bracket, of which there is one, from the global generator
        self._new_trial = Trial
        self._scheduler = MOASHA(
            {},
            metrics=["0", "1"],
            do_minimize=False,
            time_attr="view_passes",
            max_t=2**62,
            grace_period=table.spec.stopping.first_rung * table.trainable.table.scale,
            reduction_factor=table.spec.stopping.eta,
        )
        self._trials: dict[str, Any] = {}

    def decide(
        self, uid: str, milestone: int, values: Sequence[float | None], among: Collection[str] | None = None
    ) -> bool:
        """Whether a trial continues."""
        if uid not in self._trials:
            self._trials[uid] = self._new_trial(len(self._trials), {}, datetime.datetime(2000, 1, 1))
            self._scheduler.on_trial_add(self._trials[uid])
        result = {"view_passes": milestone} | {str(index): value for index, value in enumerate(values)}
        return bool(self._scheduler.on_trial_result(self._trials[uid], result) == "CONTINUE")

    def explain(self, uid: str, milestone: int) -> str:
        """Syne Tune gives no explanation."""
        return "by Syne Tune"


def replay(table: Table, strategy: Strategy, seed: int, workers: int) -> list[tuple[float, float]]:
    """The compute (PFLOP) spent and the share of the table's hypervolume found, after each complete trial."""
    spec = table.spec.replace(
        design=Search(trials=len(table.results), sampler=strategy.sampler),
        stopping=strategy.stopping,
        references=(),
    )
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        journal.write("created", study="replay", spec=spec.model_dump(mode="json"), environment={})
        engine = StudyEngine(journal, spec, seed, table.trainable.table.scale)
        if strategy.stopper is not None:
            engine._stopping = strategy.stopper(table, seed)
        curve = _simulate(table, engine, workers)
        journal.close()
    return curve


def _simulate(table: Table, engine: StudyEngine, workers: int) -> list[tuple[float, float]]:
    """Runs the engine against a clock that counts PFLOP per worker."""
    events: list[tuple[float, int, Assignment, list[tuple[float, dict[str, Any]]]]] = []
    begun_at: dict[str, float] = {}
    spent, clock = 0.0, 0.0
    found: list[list[float]] = []
    curve: list[tuple[float, float]] = []
    while True:
        while len(events) < workers and (assignment := engine.next_assignment()) is not None:
            begun_at[assignment.uid] = clock
            _push(events, clock, assignment, _steps(table, assignment))
        if not events:
            return curve
        clock, _, assignment, (step, *later) = heapq.heappop(events)
        uid, metrics = assignment.uid, step[1]
        if "milestone" in metrics:
            if engine.report(uid, metrics):
                _push(events, begun_at[uid], assignment, later)
                continue
            engine.stop(uid)
        else:
            engine.complete(uid, metrics)
            found.append(table.objectives(metrics))
        spent += clock - begun_at.pop(uid)
        if "milestone" not in metrics:
            running = sum(clock - begun_at[event[2].uid] for event in events)
            curve.append((spent + running, table.hypervolume(found) / table.total_hypervolume))


def _steps(table: Table, assignment: Assignment) -> list[tuple[float, dict[str, Any]]]:
    """A trial's reports, each with the compute that the trial has cost by then."""
    context = Context(folder=Path(), milestones=assignment.milestones)
    reports = table.trainable.run(assignment.config, None, context)
    told = [report.metrics for report in reports if isinstance(report, Interim | Final)]
    return [(metrics["train_pflop"], metrics) for metrics in told]


def _push(
    events: list[Any], begun_at: float, assignment: Assignment, steps: list[tuple[float, dict[str, Any]]]
) -> None:
    heapq.heappush(events, (begun_at + steps[0][0], int(assignment.uid[1:]), assignment, steps))


def compute_to(curve: Sequence[tuple[float, float]], share: float) -> float:
    """The compute after which ``share`` of the hypervolume was found; infinite if it never was."""
    return next((compute for compute, found in curve if found >= share), math.inf)


def least_compute(table: Table, share: float) -> float:
    """Compute of a search that knows the table: the next trial is always the one that gains most for its cost."""
    points = [table.objectives(metrics) for metrics in table.results]
    costs = [metrics["train_pflop"] for metrics in table.results]
    wanted, found = share * table.total_hypervolume, 0.0
    chosen: list[int] = []
    while found < wanted * (1 - 1e-12):
        gains = [table.hypervolume([points[i] for i in [*chosen, row]]) - found for row in range(len(points))]
        chosen.append(int(np.argmax(np.array(gains) / costs)))
        found = table.hypervolume([points[i] for i in chosen])
    return float(sum(costs[i] for i in chosen))


def median_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """Median and its 95% bootstrap interval; infinite values may be among them."""
    draws = np.random.default_rng(seed).choice(np.array(values), size=(2000, len(values)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975], method="nearest")
    return float(np.median(values)), float(low), float(high)


def as_markdown(spent: dict[str, dict[float, list[float]]], whole: float) -> str:
    """Median compute to each target as a share of training the whole table, and paired ratios to ours."""
    lines = ["| search | " + " | ".join(f"to {t:.0%}, of the table's compute | ours costs" for t in TARGETS) + " |"]
    lines.append("|---|" + "---|---|" * len(TARGETS))
    for name, by_target in spent.items():
        cells = []
        for target, values in by_target.items():
            middle, low, high = (100 * value / whole for value in median_interval(values))
            ratios = [a / b if math.isfinite(b) else 0.0 for a, b in zip(spent[OURS][target], values, strict=True)]
            ratio, ratio_low, ratio_high = median_interval(ratios)
            cells.append(f"{middle:.1f}% [{low:.1f}, {high:.1f}]")
            cells.append("–" if name == OURS else f"x{ratio:.2f} [{ratio_low:.2f}, {ratio_high:.2f}]")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Records a table, or replays the searches on one and prints what they needed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search_efficiency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--record", type=Path, metavar="STUDY_DIR", help="write the table from this study instead")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=4, help="trials at a time")
    options = parser.parse_args()
    if options.record is not None:
        record_table(options.record, options.table)
        return
    table = load_table(options.table)
    assert isinstance(table.spec.stopping, MoAsha)
    spent: dict[str, dict[float, list[float]]] = {}
    for name, strategy in strategies(table.spec.stopping.first_rung, table.spec.stopping.eta).items():
        curves = [replay(table, strategy, seed, options.workers) for seed in range(options.seeds)]
        spent[name] = {target: [compute_to(curve, target) for curve in curves] for target in TARGETS}
        print(f"{name}: done", flush=True)
    whole = sum(metrics["train_pflop"] for metrics in table.results)
    print(f"\nrevision {git_revision()}, {len(table.results)} configurations, {options.seeds} seeds, "
          f"{options.workers} trials at a time; medians with 95% bootstrap intervals\n")  # fmt: skip
    print(as_markdown(spent, whole))
    known = ", ".join(f"{100 * least_compute(table, t) / whole:.1f}% to {t:.0%}" for t in TARGETS)
    print(f"\nA search that knew the table would need {known}.")


if __name__ == "__main__":
    main()
