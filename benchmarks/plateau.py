"""How often does a search stop before its front is found? Whole searches on recorded tables, cut where each rule would.

    python -m benchmarks.plateau --runs plateau.jsonl --tables credit_g phoneme --seeds 20

Each search runs to its last trial, one trial at a time, and is kept in ``--runs``, so that the command resumes. Every
rule of a grid of ``Plateau`` is then applied to it afterwards. What had been found where it stops is measured in
another way than by the rule: the hypervolume over the ranks of the objectives among all trials on the table, which no
monotone change of an objective alters, as a share of what the same search has found with its last trial.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import moocore
import numpy as np
from scipy.stats import rankdata

from study.decisions.planning import Plan, Upcoming
from study.record.environment import git_revision
from study.record.journal import StudyRecord, TrialRecord
from study.record.plateau import front_gain
from study.spec import Budget, Plateau, Search, StudySpec
from study.spec.load_space import load_space
from study.trainable import Context
from trainables.recorded_table import recorded_table

CONFIGURATIONS, GAINS = (10, 15, 20, 30), (0.005, 0.01, 0.02, 0.05)
NEARLY_ALL = 0.98  # of what the whole search finds
SPACE = Path("tables/hpobench_credit_g")


def whole_search(table: str, sampler: str, seed: int, trials: int) -> dict[str, Any]:
    """The objectives of each trial of a search, and the gain of its front after each, over each number of trials."""
    trainable = recorded_table(f"hpobench/{table}")
    space = load_space(SPACE)
    design = Search(trials=trials, sampler=sampler)
    spec = space.replace(base=trainable.config(), design=design)
    record = StudyRecord(spec=spec.model_dump(mode="json"))
    rules = {count: _judged_by(spec, count) for count in CONFIGURATIONS}
    plan, data = Plan(spec, seed), trainable.load_data(spec.base)
    gains: dict[int, list[float | None]] = {count: [] for count in CONFIGURATIONS}
    points = []
    for number in range(trials):
        upcoming = plan.next(record)
        if not isinstance(upcoming, Upcoming):
            break
        config = spec.config(upcoming.params, seed)
        *_, final = trainable.run(config, data, Context(folder=Path()))
        record.add(_complete(number, upcoming, config, final.metrics))  # type: ignore[union-attr]
        points.append([final.metrics[objective.name] for objective in spec.objectives])  # type: ignore[union-attr]
        for count, design_of_rule in rules.items():
            found = front_gain(record, design_of_rule)
            gains[count].append(None if found is None else found.share)
    return {"table": table, "sampler": sampler, "seed": seed, "points": points, "gains": gains}


def _judged_by(spec: StudySpec, count: int) -> dict[str, Any]:
    assert isinstance(spec.design, Search)
    rule = Plateau(configurations=count)
    return spec.design.replace(budget=Budget(plateau=rule)).model_dump(mode="json")


def _complete(number: int, upcoming: Upcoming, config: Any, metrics: dict[str, Any]) -> TrialRecord:
    plain = config.model_dump(mode="json")
    return TrialRecord(
        f"t{number:04d}",
        number,
        upcoming.params,
        plain,
        sampler_attrs=upcoming.sampler_attrs,
        state="complete",
        metrics=metrics,
    )


def found_after(runs: list[dict[str, Any]], maximise: list[bool]) -> Iterator[np.ndarray[Any, Any]]:
    """For each of ``runs`` on one table: after each trial, the share of the hypervolume that the whole run finds."""
    pooled = np.concatenate([np.array(run["points"]) for run in runs]) * np.where(maximise, -1.0, 1.0)
    ranks = rankdata(pooled, method="min", axis=0) / len(pooled)
    ends = np.cumsum([len(run["points"]) for run in runs])
    for own in np.split(ranks, ends[:-1]):
        worst = [1.0 + 1e-9] * own.shape[1]
        volumes = [moocore.hypervolume(own[: count + 1], ref=worst) for count in range(len(own))]
        yield np.array(volumes) / volumes[-1]


def as_markdown(runs: list[dict[str, Any]]) -> str:
    """A row for each sampler and rule: how many searches it stops, after how many trials, and what they miss."""
    lines = [
        "| sampler | last N | gain below | searches stopped | after trials (median) | found (mean, worst) | "
        f"stopped with less than {NEARLY_ALL:.0%} |",
        "|---|---|---|---|---|---|---|",
    ]
    found: dict[int, np.ndarray[Any, Any]] = {}
    for table in dict.fromkeys(run["table"] for run in runs):
        of_table = [run for run in runs if run["table"] == table]
        found |= zip(map(id, of_table), found_after(of_table, [True, False]), strict=True)
    for sampler in dict.fromkeys(run["sampler"] for run in runs):
        own = [run for run in runs if run["sampler"] == sampler]
        for count in CONFIGURATIONS:
            for least in GAINS:
                lines.append(_row(sampler, count, least, [(run["gains"][str(count)], found[id(run)]) for run in own]))
    return "\n".join(lines)


def _row(sampler: str, count: int, least: float, runs: list[tuple[list[float | None], np.ndarray[Any, Any]]]) -> str:
    stops, shares = [], []
    for gains, found in runs:
        at = next((place for place, gain in enumerate(gains) if gain is not None and gain < least), None)
        if at is not None and at < len(found) - 1:
            stops.append(at + 1)
            shares.append(float(found[at]))
    stopped = f"{len(stops)} of {len(runs)}"
    if not stops:
        return f"| {sampler} | {count} | {least:.1%} | {stopped} | – | – | – |"
    early = sum(share < NEARLY_ALL for share in shares)
    after, kept = f"{np.median(stops):.0f}", f"{np.mean(shares):.1%}, {min(shares):.1%}"
    return f"| {sampler} | {count} | {least:.1%} | {stopped} | {after} | {kept} | {early} of {len(runs)} |"


def main() -> None:
    """Runs the searches that are not in ``--runs`` yet, and prints what each rule would have stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plateau", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--runs", type=Path, required=True, help="a file of searches, to which missing ones are added")
    parser.add_argument("--tables", nargs="+", required=True, help="of HPOBench: credit_g, phoneme, ...")
    parser.add_argument("--samplers", nargs="+", default=["tpe", "random"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=100)
    options = parser.parse_args()
    lines = options.runs.read_text().splitlines() if options.runs.is_file() else []
    runs = {(run["table"], run["sampler"], run["seed"]): run for run in map(json.loads, lines)}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    keys = [(table, sampler, seed) for seed in seeds for table in options.tables for sampler in options.samplers]
    for key in keys:
        if key not in runs:
            line = json.dumps(whole_search(*key, trials=options.trials))
            with options.runs.open("a") as file:
                file.write(line + "\n")
            runs[key] = json.loads(line)
    print(f"revision {git_revision()}; {options.trials} trials, {options.seeds} seeds, {', '.join(options.tables)}\n")
    print(as_markdown([runs[key] for key in keys]))


if __name__ == "__main__":
    main()
