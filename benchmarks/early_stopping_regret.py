"""Which members of a known front does early stopping lose, and what does it save? Replayed on a recorded table.

    python -m benchmarks.early_stopping_regret --table benchmarks/data/digits_curves.csv.gz --first-rung 6
    python -m benchmarks.early_stopping_regret --table benchmarks/data/tradeoff_digits.json --first-rung 24

Every recorded trial is begun, in an order that the seed shuffles. The engine proposes, decides at rungs and records;
only the training is looked up, against a clock that counts compute. So what is seen is due to the rule alone. The front
is that of the whole table: of accuracies and cost, and of the accuracies alone.

Compute is that of all training, with parts of trials that were stopped or are paused; a paused trial goes on from where
it was. Where the table has ``evaluation_pflop``, evaluations count as well: at every rung that a trial comes to, and at
its end. Hypervolumes are over ranks within the table, which no monotone change of an objective alters.
"""

import argparse
import heapq
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from study.decisions.engine import Assignment, StudyEngine
from study.record.environment import git_revision
from study.record.front import nondominated
from study.record.intervals import mean_interval
from study.record.journal import Journal
from study.spec import Factor, Grid, MoAsha, NoStopping, PausingMoAsha, RayAsha, StudySpec
from study.spec.stopping import Stopping
from study.trainable import Context, Final, Interim
from trainables.recorded_table import RecordedTable, recorded_table

COST, EVALUATION = "train_pflop", "evaluation_pflop"
TARGET = 0.9
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """The recorded trials of a table, in its order.

    Args:
        trainable: of the table.
        accuracies: the objectives that are measured, all to be maximised; the cost is one more objective.
    """

    trainable: RecordedTable
    accuracies: Sequence[str]

    @cached_property
    def params(self) -> list[dict[str, Any]]:
        """The hyperparameters of each trial."""
        table = self.trainable.table
        return [dict(zip(table.choices, key, strict=True)) for key in table.keys()]  # noqa: SIM118, it is no dict

    @cached_property
    def results(self) -> list[dict[str, Any]]:
        """The metrics of each trial at its end."""
        return [self.trainable.table.repetitions(tuple(params.values()))[0][-1] for params in self.params]

    @cached_property
    def values(self) -> Floats:
        """(trials, objectives), the cost last; all to be maximised."""
        return np.array([[*(m[name] for name in self.accuracies), -m[COST]] for m in self.results])

    @cached_property
    def ranks(self) -> Floats:
        """``values`` as shares of the trials that are not better, in (0, 1]."""
        shares: Floats = rankdata(self.values, method="max", axis=0) / len(self.values)
        return shares

    def front(self, *, with_cost: bool) -> list[int]:
        """The non-dominated trials."""
        values = self.values if with_cost else self.values[:, :-1]
        return np.flatnonzero(nondominated(values, [True] * values.shape[1])).tolist()

    def hypervolume(self, rows: Sequence[int]) -> float:
        """That of some trials, over ranks, as a share of that of all."""
        return self._volume(self.ranks[list(rows)]) / self._whole if rows else 0.0

    @cached_property
    def _whole(self) -> float:
        return self._volume(self.ranks)

    @staticmethod
    def _volume(points: Floats) -> float:
        return float(moocore.hypervolume(-points, ref=np.zeros(points.shape[1])))

    def spec(self, stopping: Stopping, seed: int) -> StudySpec:
        """A study of all trials in an order of its own, one level of one factor each."""
        order = np.random.default_rng(seed).permutation(len(self.params))
        levels = {str(row): self.params[row] for row in order}
        return StudySpec(
            name="regret",
            question="What does early stopping lose?",
            base=self.trainable.config(),
            factors=(Factor(name="row", levels=levels),),
            objectives=(*self.accuracies, COST),
            design=Grid(),
            stopping=stopping,
        )


@dataclass
class Replay:
    """One study of all trials under one rule.

    Args:
        complete: the trials that ran to their ends, in this order.
        at: for each of them, the compute in all when it ended: of training, and of training and evaluation.
        trained: compute of all training, PFLOP.
        evaluated: compute of all evaluations, PFLOP.
        judged: the trials that came to a rung.
    """

    complete: list[int] = field(default_factory=list)
    at: list[tuple[float, float]] = field(default_factory=list)
    trained: float = 0.0
    evaluated: float = 0.0
    judged: set[int] = field(default_factory=set)

    def lost(self, members: Sequence[int]) -> float:
        """The share of ``members`` that did not run to their ends, in percent."""
        return 100 * len(set(members) - set(self.complete)) / len(members)

    def compute_to(self, rows: Rows, share: float, *, with_evaluation: bool) -> float:
        """The compute when ``share`` of the hypervolume was first found; infinite if it never was."""
        low, high = 0, len(self.complete)  # it only grows: by bisection
        if rows.hypervolume(self.complete) < share:
            return math.inf
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if rows.hypervolume(self.complete[: middle + 1]) >= share else (middle + 1, high)
        return self.at[low][with_evaluation]


def rules(first_rung: int, etas: Sequence[int], headline: str) -> dict[str, Stopping]:
    """What is compared, at equal rungs."""
    found: dict[str, Stopping] = {"none": NoStopping()}
    for eta in etas:
        found[f"MO-ASHA, stopping, eta {eta}"] = MoAsha(first_rung=first_rung, eta=eta)
    for eta in etas:
        found[f"MO-ASHA, pausing, eta {eta}"] = PausingMoAsha(first_rung=first_rung, eta=eta)
    for eta in etas:
        found[f"Ray's ASHA on {headline}, eta {eta}"] = RayAsha(first_rung=first_rung, eta=eta, objective=headline)
    return found


def replay(rows: Rows, stopping: Stopping, seed: int, workers: int) -> Replay:
    """Runs the whole engine over a table, ``workers`` trials at a time."""
    spec = rows.spec(stopping, seed)
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        journal.write("created", study="replay", spec=spec.model_dump(mode="json"), environment={})
        engine = StudyEngine(journal, spec, 0, rows.trainable.table.scale)
        found = _simulate(rows, engine, workers)
        journal.close()
    return found


def _simulate(rows: Rows, engine: StudyEngine, workers: int) -> Replay:
    found = Replay()
    at_work: list[tuple[float, int, Assignment, list[dict[str, Any]]]] = []  # by when their next reports are due
    paid: dict[str, float] = {}  # uid -> what its training has cost
    clock = 0.0

    def go_on(assignment: Assignment, reports: list[dict[str, Any]]) -> None:
        due = clock + reports[0][COST] - paid.get(assignment.uid, 0.0)
        heapq.heappush(at_work, (due, int(assignment.uid[1:]), assignment, reports))

    while True:
        while len(at_work) < workers and (assignment := engine.next_assignment()) is not None:
            go_on(assignment, _reports(rows.trainable, assignment))
        if not at_work:
            return found
        clock, _, assignment, (report, *later) = heapq.heappop(at_work)
        row = int(engine.record.trials[assignment.uid].params["row"])
        is_evaluated = report[COST] > paid.get(assignment.uid, 0.0)  # several rungs between two reports look once
        found.trained += report[COST] - paid.get(assignment.uid, 0.0)
        found.evaluated += report.get(EVALUATION, 0.0) if is_evaluated else 0.0
        paid[assignment.uid] = report[COST]
        if "milestone" not in report:
            found.complete.append(row)
            found.at.append((found.trained, found.trained + found.evaluated))
            engine.complete(assignment.uid, report)
            continue
        found.judged.add(row)
        if engine.report(assignment.uid, report):
            go_on(assignment, later)
        else:
            engine.stop(assignment.uid)


def _reports(trainable: RecordedTable, assignment: Assignment) -> list[dict[str, Any]]:
    context = Context(folder=Path(), milestones=assignment.milestones)
    reports = trainable.run(assignment.config, None, context)
    return [report.metrics for report in reports if isinstance(report, Interim | Final)]


def as_markdown(rows: Rows, replays: dict[str, list[Replay]]) -> str:
    """Means over orders, with 95% intervals."""
    with_cost, without = rows.front(with_cost=True), rows.front(with_cost=False)
    none = replays["none"]
    heads = (
        "rule",
        f"not completed of the front of accuracies and cost ({len(with_cost)})",
        f"of accuracies ({len(without)})",
        "hypervolume",
        "training saved",
        "with evaluations",
        f"training to {TARGET:.0%} of the hypervolume, none = 1",
        "with evaluations",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, found in replays.items():
        cells = [
            _cell([one.lost(with_cost) for one in found]),
            _cell([one.lost(without) for one in found]),
            _cell([100 * rows.hypervolume(one.complete) for one in found]),
            _cell([100 * (1 - one.trained / all_.trained) for one, all_ in zip(found, none, strict=True)]),
            _cell([100 * (1 - _spent(one) / _spent(all_)) for one, all_ in zip(found, none, strict=True)]),
            _ratio(rows, found, none, with_evaluation=False),
            _ratio(rows, found, none, with_evaluation=True),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spent(one: Replay) -> float:
    return one.trained + one.evaluated


def _cell(values: Sequence[float]) -> str:
    if max(values) - min(values) < 1e-9:
        return f"{abs(values[0]):.1f}%"
    low, high = mean_interval(values)
    return f"{np.mean(values):.1f}% [{low:.1f}, {high:.1f}]"


def _ratio(rows: Rows, found: Sequence[Replay], none: Sequence[Replay], *, with_evaluation: bool) -> str:
    """Geometric mean of the ratios of compute to the target, of studies that come to it, and how many do not."""
    ratios = [
        one.compute_to(rows, TARGET, with_evaluation=with_evaluation)
        / all_.compute_to(rows, TARGET, with_evaluation=with_evaluation)
        for one, all_ in zip(found, none, strict=True)
    ]
    reached = [math.log(ratio) for ratio in ratios if math.isfinite(ratio)]
    missed = f", {len(ratios) - len(reached)} of {len(ratios)} never" if len(reached) < len(ratios) else ""
    if len(reached) < 2:
        return f"–{missed}"
    if max(reached) == min(reached):
        return f"{math.exp(reached[0]):.2f}{missed}"
    low, high = mean_interval(reached)
    return f"{math.exp(np.mean(reached)):.2f} [{math.exp(low):.2f}, {math.exp(high):.2f}]{missed}"


def main() -> None:
    """Replays a table under each rule and prints what it lost and saved."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.early_stopping_regret",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--first-rung", type=int, required=True, help="progress at the first rung, as in a space")
    parser.add_argument("--etas", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--seeds", type=int, default=30, help="orders of the trials")
    parser.add_argument("--workers", type=int, default=4, help="trials at a time")
    options = parser.parse_args()
    trainable = recorded_table(options.table)
    robust = next(metric.name for metric in trainable.table.metrics if metric.is_headline)
    rows = Rows(trainable, ("val_clean", robust))
    replays: dict[str, list[Replay]] = {}
    for name, stopping in rules(options.first_rung, options.etas, robust).items():
        replays[name] = [replay(rows, stopping, seed, options.workers) for seed in range(options.seeds)]
    judged = max(len(one.judged) for one in replays["none"] + next(iter([*replays.values()][1:])))
    print(f"revision {git_revision()}, {len(rows.params)} trials, of which {judged} come to a rung "
          f"at {options.first_rung} or later; {options.seeds} orders, {options.workers} trials at a time; "
          "means with 95% intervals over orders\n")  # fmt: skip
    print(as_markdown(rows, replays))
    print()


if __name__ == "__main__":
    main()
