"""How much compute do searches need to find a known front? Replayed on a recorded table of real trials.

    python -m study.run --space search_spaces/tradeoff.py --sampler grid --audit 1 --name tradeoff_table
    python -m benchmarks.search_efficiency --record runs/tradeoff_table --table benchmarks/data/tradeoff_digits.json
    python -m benchmarks.search_efficiency --table benchmarks/data/tradeoff_digits.json --first-rung 24
    python -m benchmarks.search_efficiency --table benchmarks/data/digits_curves.csv.gz --first-rung 12 \\
        --space search_spaces/tables/digits_curves.py --runs runs.jsonl

The table holds, for every configuration of a space, its accuracies at each rung and at its end, and its cost. A
replayed study proposes, stops and records through this project's own engine; only the training is looked up. Compute is
everything that trials cost, including stopped trials and unfinished parts. A configuration counts once it is complete.
``syne_tune:3`` is Syne Tune's MOASHA, if it is installed (``pip install syne-tune``).
"""

import argparse
import datetime
import itertools
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import moocore
import numpy as np

from benchmarks.replays import Replay, replay
from study.record.environment import git_revision
from study.record.journal import read_study
from study.spec import Factor, MoAsha, NoStopping, Search, StudySpec
from study.spec.load_space import load_space
from study.spec.stopping import STOPPING, Stopping
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
Curve = list[tuple[float, float, float]]  # after each complete trial: training, evaluations (PFLOP), share found


@dataclass(frozen=True)
class Table:
    """The searched space, and its recorded trials as what it runs."""

    spec: StudySpec
    trainable: RecordedTable

    @cached_property
    def results(self) -> list[dict[str, Any]]:
        """The metrics of every recorded trial at its end."""
        keys = self.trainable.table.keys()
        return [repetition[-1] for key in keys for repetition in self.trainable.table.repetitions(key)]

    @cached_property
    def _everything(self) -> np.ndarray:
        return np.array([self.objectives(metrics) for metrics in self.results])

    def hypervolume(self, points: Sequence[Sequence[float]]) -> float:
        """Hypervolume of rows of objectives over ranks: the share of the table's trials that are not better."""
        if len(points) == 0:
            return 0.0
        columns = zip(self._everything.T, np.array(points).T, strict=True)
        shares = [np.searchsorted(np.sort(all_), own, side="right") / len(all_) for all_, own in columns]
        return float(moocore.hypervolume(-np.array(shares).T, ref=np.zeros(len(shares))))

    def objectives(self, metrics: dict[str, Any]) -> list[float]:
        """The objectives of a trial, all to be maximised."""
        return [metrics[o.name] * (1 if o.direction == "maximize" else -1) for o in self.spec.objectives]

    @cached_property
    def total_hypervolume(self) -> float:
        """Hypervolume of the whole table."""
        return self.hypervolume(self._everything.tolist())


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


def load_table(path: Path, space_path: Path = SPACE) -> Table:
    """Reads a recorded table, and makes the space that it was recorded from a space of its rows, unless it is one."""
    space, table = load_space(space_path), recorded_table(path)
    if isinstance(space.base, table.config):
        return Table(space, table)
    space = space.with_preset("laptop")
    factors = tuple(Factor(name=factor.name, distribution=factor.domain()) for factor in space.factors)
    kept = {name: getattr(space, name) for name in ("name", "question", "objectives", "design", "stopping")}
    return Table(StudySpec(base=table.config(), factors=factors, **kept), table)


@dataclass(frozen=True)
class Strategy:
    """A way to search: the sampler that proposes, and ``none`` or the rule that stops with its eta: ``moasha:2``."""

    sampler: str
    rule: str

    def stopping(self, first_rung: int) -> Stopping:
        """The rule, with its first rung at ``first_rung``."""
        kind, _, eta = self.rule.partition(":")
        if kind == "none":
            return NoStopping()
        rule: Any = MoAsha if kind == "syne_tune" else STOPPING[kind]
        stopping: Stopping = rule(first_rung=first_rung, eta=int(eta))
        return stopping


class SyneTuneMoAsha:
    """Syne Tune's MOASHA as published, behind the interface of the engine's early stopping."""

    def __init__(self, table: Table, stopping: MoAsha, seed: int) -> None:
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

        np.random.seed(seed)  # MOASHA draws a bracket, of which there is one, from the global generator
        self._new_trial = Trial
        self._scheduler = MOASHA(
            {},
            metrics=["0", "1"],
            do_minimize=False,
            time_attr="view_passes",
            max_t=2**62,
            grace_period=stopping.first_rung * table.trainable.table.scale,
            reduction_factor=stopping.eta,
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


def searched(table: Table, strategy: Strategy, first_rung: int, seed: int, workers: int, until: float = 2.0) -> Curve:
    """Runs one search until it has found a share of the table's hypervolume, or proposes nothing new."""
    stopping, curve = strategy.stopping(first_rung), list[tuple[float, float, float]]()
    design = Search(trials=len(table.results), sampler=strategy.sampler)
    spec = table.spec.replace(design=design, stopping=stopping, references=())

    def is_over(found: Replay) -> bool:
        last = found.complete[-1]
        points = [table.objectives(one.metrics) for one in found.complete]
        curve.append((last.trained, last.evaluated, table.hypervolume(points) / table.total_hypervolume))
        return curve[-1][-1] >= until

    is_peer = strategy.rule.startswith("syne_tune")
    stopper = SyneTuneMoAsha(table, stopping, seed) if is_peer and isinstance(stopping, MoAsha) else None
    replay(table.trainable, spec, seed, workers, stopper=stopper, is_over=is_over)
    return curve


def compute_to(curve: Curve, share: float, *, with_evaluation: bool = False) -> float:
    """The compute after which ``share`` of the hypervolume was found; infinite if it never was."""
    spent = (trained + evaluated * with_evaluation for trained, evaluated, found in curve if found >= share)
    return next(spent, math.inf)


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


def as_markdown(curves: dict[Strategy, dict[int, Curve]], whole: float) -> str:
    """Median compute to each target as a share of training the whole table; ratios, paired by seed, to no rungs."""
    kinds = [(target, with_evaluation) for target in TARGETS for with_evaluation in (False, True)]
    heads = ["search", "rungs", "seeds"]
    for target, with_evaluation in kinds:
        heads += [f"to {target:.0%}{', with evaluations' * with_evaluation}", "without rungs = 1"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for strategy, by_seed in curves.items():
        cells = [strategy.sampler, strategy.rule, str(len(by_seed))]
        plain = curves.get(Strategy(strategy.sampler, "none"), {})
        for target, with_evaluation in kinds:
            own = {s: compute_to(curve, target, with_evaluation=with_evaluation) for s, curve in by_seed.items()}
            base = {s: compute_to(curve, target, with_evaluation=with_evaluation) for s, curve in plain.items()}
            shares = [100 * spent / whole for spent in own.values()]
            cells.append("{:.1f}% [{:.1f}, {:.1f}]".format(*median_interval(shares)))
            cells.append(_ratio(own, base) if strategy.rule != "none" else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ratio(own: dict[int, float], base: dict[int, float]) -> str:
    """The median ratio over the seeds that both have; 1 where neither comes to its end, 0 where only ``own`` does."""
    ratios = [1.0 if own[s] == base[s] else own[s] / base[s] for s in own if s in base]
    return "{:.2f} [{:.2f}, {:.2f}]".format(*median_interval(ratios)) if ratios else ""


def main() -> None:
    """Records a table, or replays the searches on one and prints what they needed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search_efficiency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--record", type=Path, metavar="STUDY_DIR", help="write the table from this study instead")
    parser.add_argument("--space", type=Path, default=SPACE, help="that the table was recorded from, or is of its rows")
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe", "ehvi"])
    parser.add_argument("--rules", nargs="+", default=["none", "moasha:2", "moasha:3", "pausing:2"], help="with eta")
    parser.add_argument("--first-rung", type=int, default=24, help="progress at the first rung, as in a space")
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 20), metavar=("FIRST", "END"))
    parser.add_argument("--workers", type=int, default=4, help="trials at a time")
    parser.add_argument("--runs", type=Path, help="keeps what was run, and goes on from there")
    options = parser.parse_args()
    if options.record is not None:
        record_table(options.record, options.table)
        return
    table = load_table(options.table, options.space)
    kept: dict[tuple[str, str, int], Curve] = {}
    if options.runs is not None and options.runs.is_file():
        for line in options.runs.read_text().splitlines():
            run = json.loads(line)
            kept[run["sampler"], run["rule"], run["seed"]] = run["curve"]
    curves: dict[Strategy, dict[int, Curve]] = {}
    chosen = itertools.product(range(*options.seeds), options.samplers, options.rules)
    for seed, sampler, rule in chosen:
        strategy = Strategy(sampler, rule)
        if (sampler, rule, seed) not in kept:
            curve = searched(table, strategy, options.first_rung, seed, options.workers, max(TARGETS))
            kept[sampler, rule, seed] = curve
            if options.runs is not None:
                run = {"sampler": sampler, "rule": rule, "seed": seed, "revision": git_revision(), "curve": curve}
                with options.runs.open("a") as file:
                    file.write(json.dumps(run) + "\n")
        curves.setdefault(strategy, {})[seed] = kept[sampler, rule, seed]
    whole = sum(metrics["train_pflop"] for metrics in table.results)
    print(f"revision {git_revision()}, {len(table.results)} configurations, first rung {options.first_rung}, "
          f"{options.workers} at a time; shares of the table's training, medians with 95% intervals\n")  # fmt: skip
    print(as_markdown(curves, whole))


if __name__ == "__main__":
    main()
