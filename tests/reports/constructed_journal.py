"""A large constructed study, with known effects, to try the report on; no number in it is a result.

    python tests/reports/constructed_journal.py /tmp/constructed --trials 1000 --seeds 3

``log2(num_views)`` adds 3 points of clean and 4 of robust accuracy, ``log2(epochs)`` 2 and 1; free training costs 15
points of clean and adds 30 of robust accuracy, PGD 20 and 35; ``view_scale_min`` does nothing. The noise between seeds
has a standard deviation of one point.
"""

import argparse
import itertools
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution

from study.spec import Factor, Grid, Objective, StudySpec
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

FACTORS = (
    Factor(name="num_views", distribution=CategoricalDistribution([4, 8, 16, 32])),
    Factor(name="epochs", distribution=CategoricalDistribution([3, 6, 10, 18, 30])),
    Factor(name="adversary", distribution=CategoricalDistribution(["free", "pgd", "none"])),
    Factor(name="replays", distribution=CategoricalDistribution([3, 5]), when={"adversary": ("free",)}),
    Factor(name="view_scale_min", distribution=CategoricalDistribution([0.08, 0.2, 0.3, 0.4, 0.5])),
)
SPEC = StudySpec(
    name="constructed",
    question="What does the report make of effects that are known?",
    base=TrialConfig(**LAPTOP),
    factors=FACTORS,
    objectives=(
        Objective("val_clean", "maximize"),
        Objective("val_pgd_8", "maximize"),
        Objective("train_pflop", "minimize"),
    ),
    design=Grid(),
    preset="laptop",
)
PASSES = {"free": 0, "pgd": 6, "none": 1}  # encoder passes a view and epoch; free training has its replays
EFFECTS = {"none": (0.0, 0.0), "free": (-15.0, 30.0), "pgd": (-20.0, 35.0)}


def events(num_trials: int, num_seeds: int) -> Iterator[dict[str, Any]]:
    """The journal of a study of ``num_trials`` trials: about a sixth stopped, some failed, in doubt or audited."""
    clock, luck = itertools.count(1_700_000_000), random.Random(0)
    yield {
        "event": "created",
        "study": SPEC.name,
        "spec": SPEC.model_dump(mode="json"),
        "environment": {"git_revision": "0123abc"},
    }
    base = SPEC.base.model_dump(mode="json")
    for number, (params, seed) in enumerate(itertools.islice(_trials(num_seeds), num_trials)):
        uid, config = f"t{number:04d}", base | params | {"seed": seed}
        yield {"event": "proposed", "uid": uid, "number": number, "params": params, "config": config}
        yield {"event": "launched", "uid": uid, "attempt": 1}
        final = _metrics(params, luck)
        for milestone in (12, 36):
            report = {name: value * (0.9 if name.startswith("val_c") else 1) for name, value in final.items()}
            share = milestone / 100
            cost = {name: final[name] * share for name in ("view_passes", "train_pflop", "train_seconds")}
            yield {"event": "reported", "uid": uid, "metrics": report | cost | {"milestone": milestone}}
        is_stopped = final["val_pgd_8"] < 12 and luck.random() < 0.5
        is_audited = is_stopped and luck.random() < 0.1
        decision = "audit" if is_audited else "stop" if is_stopped else "continue"
        yield {"event": "decided", "uid": uid, "milestone": 36, "decision": decision, "reason": "rung 36"}
        state = "stopped" if is_stopped and not is_audited else "failed" if luck.random() < 0.01 else "complete"
        reason = {"stopped": "rung 36: rank 9 of 12", "failed": "the loss is not finite"}.get(state, "")
        metrics = final | _on_test(final) if state == "complete" else {}
        if state == "complete" and luck.random() < 0.01:
            metrics["validity"] = ["accuracy under an unbounded attack is above chance"]
        yield {
            "event": "finished",
            "uid": uid,
            "state": state,
            "metrics": metrics,
            "reason": reason,
            "time": next(clock),
        }
    yield {"event": "ended"}


def write_journal(study_dir: Path, num_trials: int, num_seeds: int) -> None:
    """Writes the study's ``journal.jsonl``; not through ``Journal``, which waits for the disk at every event."""
    study_dir.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"time": 1_700_000_000} | event) for event in events(num_trials, num_seeds)]
    (study_dir / "journal.jsonl").write_text("\n".join(lines) + "\n")


def _trials(num_seeds: int) -> Iterator[tuple[dict[str, Any], int]]:
    choices = [factor.extremes() for factor in FACTORS]
    combinations = []
    for views, epochs, adversary, replays, scale in itertools.product(*choices):
        params = {"num_views": views, "epochs": epochs, "adversary": adversary}
        params |= {"replays": replays} if adversary == "free" else {}
        combinations.append(params | {"view_scale_min": scale})
    unique = list({json.dumps(params): params for params in combinations}.values())
    random.Random(1).shuffle(unique)
    for offset in itertools.count(0, num_seeds):
        for params in unique:
            for seed in range(offset, offset + num_seeds):
                # With one seed a trial, further rounds vary what has no effect, so that all configurations differ.
                nudge = 0.0 if num_seeds > 1 else offset / 1000
                yield params | {"view_scale_min": params["view_scale_min"] + nudge}, seed if num_seeds > 1 else 0


def _metrics(params: dict[str, Any], luck: random.Random) -> dict[str, Any]:
    views, epochs = math.log2(params["num_views"] / 4), math.log2(params["epochs"] / 3)
    clean, robust = EFFECTS[params["adversary"]]
    passes = params["num_views"] * params["epochs"] * (params.get("replays") or PASSES[params["adversary"]]) * 1000
    values: dict[str, Any] = {"val_clean": 75 + clean + 3 * views + 2 * epochs + luck.gauss(0, 1)}
    values["val_pgd_8"] = max(0.0, 5 + robust + 4 * views + epochs + luck.gauss(0, 1))
    values |= {"view_passes": passes, "train_pflop": passes * 1e-6, "train_seconds": passes * 2e-3, "val_n": 1000}
    return values


def _on_test(metrics: dict[str, Any]) -> dict[str, Any]:
    on_test = {"test_clean": metrics["val_clean"] - 1, "test_n": 2000, "validity": []}
    gains = {"4": 12.0, "8": -1.0, "16": -20.0}
    return on_test | {f"test_pgd_{radius}": max(0.0, metrics["val_pgd_8"] + gain) for radius, gain in gains.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study_dir", type=Path)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    write_journal(arguments.study_dir, arguments.trials, arguments.seeds)
