"""Which members of a known front does early stopping lose, and what does it save? Replayed on a recorded table.

    python -m benchmarks.early_stopping_regret --table benchmarks/data/digits_curves.csv.gz --first-rung 6
    python -m benchmarks.early_stopping_regret --table benchmarks/data/tradeoff_digits.json --first-rung 24

Every recorded trial is begun, in an order that the seed shuffles (``benchmarks.replays``), so that what is seen is due
to the rule alone. The front
is that of the whole table, of accuracies and cost; many of its members are short, so that no rung sees them.

Compute is that of all training, with parts of trials that were stopped or are paused; a paused trial goes on from where
it was. Where the table has ``evaluation_pflop``, evaluations count as well: at every rung that a trial comes to, and at
its end. Hypervolumes are over ranks within the table, which no monotone change of an objective alters.
"""

import argparse
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from benchmarks.replays import COST, Replay, replay
from study.record.environment import git_revision
from study.record.front import nondominated
from study.record.intervals import mean_interval
from study.spec import Factor, Grid, MoAsha, NoStopping, PausingMoAsha, RayAsha, StudySpec
from study.spec.stopping import Stopping
from trainables.recorded_table import RecordedTable, recorded_table

TARGET = 0.9
KINDS = ("moasha", "pausing", "asha")
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

    @cached_property
    def front(self) -> list[int]:
        """The non-dominated trials."""
        return np.flatnonzero(nondominated(self.values, [True] * self.values.shape[1])).tolist()

    def judged(self, first_rung: int) -> list[int]:
        """The trials that are longer than the first rung, so that one or more rungs decide about them."""
        table = self.trainable.table
        assert table.progress is not None
        return [row for row, m in enumerate(self.results) if m[table.progress] > first_rung * table.scale]

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


def lost(found: Replay, members: Sequence[int]) -> float:
    """The share of ``members`` that did not run to their ends, in percent."""
    return 100 * len(set(members) - set(rows_of(found))) / len(members) if members else 0.0


def rows_of(found: Replay) -> list[int]:
    """The trials that ran to their ends, in this order."""
    return [int(one.params["row"]) for one in found.complete]


def compute_to(found: Replay, rows: Rows, share: float, *, with_evaluation: bool) -> float:
    """The compute when ``share`` of the hypervolume was first found; infinite if it never was."""
    complete = rows_of(found)
    if rows.hypervolume(complete) < share:
        return math.inf
    # It only grows: by bisection.
    first = bisect_left(range(len(complete)), share, key=lambda at: rows.hypervolume(complete[: at + 1]))
    ended = found.complete[first]
    return ended.trained + ended.evaluated * with_evaluation


def rules(first_rung: int, etas: Sequence[int], headline: str, kinds: Sequence[str] = KINDS) -> dict[str, Stopping]:
    """What is compared, at equal rungs; ``none`` always."""
    found: dict[str, Stopping] = {"none": NoStopping()}
    for kind, eta in product(kinds, etas):
        match kind:
            case "moasha":
                found[f"MO-ASHA, stopping, eta {eta}"] = MoAsha(first_rung=first_rung, eta=eta)
            case "pausing":
                found[f"MO-ASHA, pausing, eta {eta}"] = PausingMoAsha(first_rung=first_rung, eta=eta)
            case "asha":
                rule = RayAsha(first_rung=first_rung, eta=eta, objective=headline)
                found[f"Ray's ASHA on {headline}, eta {eta}"] = rule
    return found


def as_markdown(rows: Rows, replays: dict[str, list[Replay]], first_rung: int) -> str:
    """Means over orders, with 95% intervals."""
    judged, none = [row for row in rows.front if row in set(rows.judged(first_rung))], replays["none"]
    heads = (
        "rule",
        f"not completed of the {len(rows.front)} on the front",
        f"of the {len(judged)} that come to a rung",
        "hypervolume",
        "training saved",
        "with evaluations",
        f"training to {TARGET:.0%} of the hypervolume, none = 1",
        "with evaluations",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, found in replays.items():
        cells = [
            _cell([lost(one, rows.front) for one in found]),
            _cell([lost(one, judged) for one in found]),
            _cell([100 * rows.hypervolume(rows_of(one)) for one in found]),
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
        compute_to(one, rows, TARGET, with_evaluation=with_evaluation)
        / compute_to(all_, rows, TARGET, with_evaluation=with_evaluation)
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
    parser.add_argument("--rules", nargs="+", choices=KINDS, default=KINDS, help="as --stopping of study.run")
    parser.add_argument("--etas", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--seeds", type=int, default=30, help="orders of the trials")
    parser.add_argument("--workers", type=int, default=4, help="trials at a time")
    options = parser.parse_args()
    trainable = recorded_table(options.table)
    robust = next(metric.name for metric in trainable.table.metrics if metric.is_headline)
    rows = Rows(trainable, ("val_clean", robust))
    replays: dict[str, list[Replay]] = {}
    for name, stopping in rules(options.first_rung, options.etas, robust, options.rules).items():
        replays[name] = [
            replay(trainable, rows.spec(stopping, seed), 0, options.workers) for seed in range(options.seeds)
        ]
    print(f"revision {git_revision()}, {len(rows.params)} trials, of which {len(rows.judged(options.first_rung))} are "
          f"longer than the first rung, {options.first_rung}; {options.seeds} orders, "
          f"{options.workers} trials at a time; means with 95% intervals over orders\n")  # fmt: skip
    print(as_markdown(rows, replays, options.first_rung))


if __name__ == "__main__":
    main()
