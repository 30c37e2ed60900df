"""A large constructed study, with known effects, to try the commands on; no number in it is a result.

    python -m benchmarks.constructed_study /tmp/constructed --trials 1000 --seeds 3

``log2(num_views)`` adds 3 points of clean and 4 of robust accuracy, ``log2(epochs)`` 2 and 1; free training costs 15
points of clean and adds 30 of robust accuracy, PGD 20 and 35; ``view_scale_min`` does nothing. The noise between seeds
has a standard deviation of one point. Rungs decide about first seeds; the journal has its chain, and each trial its
curve and result, so that ``study.verify`` finds nothing wrong and the same study can go on.
"""

import argparse
import csv
import itertools
import json
import math
import random
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution

from study.decisions.moasha import MultiObjectiveAsha
from study.record.curves import CURVE_NAME
from study.record.journal import JOURNAL_NAME, read_journal, replay
from study.record.journal_chain import sealed
from study.record.trial_folder import save_result, trial_folder
from study.spec import Factor, MoAsha, Objective, Search, StudySpec
from study.trainable import trainable_of
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

Params = dict[str, Any]
Event = dict[str, Any]
FACTORS = (
    Factor(name="num_views", distribution=CategoricalDistribution([4, 8, 16, 32])),
    Factor(name="epochs", distribution=CategoricalDistribution([3, 6, 10, 18, 30])),
    Factor(name="adversary", distribution=CategoricalDistribution(["free", "pgd", "none"])),
    Factor(name="replays", distribution=CategoricalDistribution([3, 5]), when={"adversary": ("free",)}),
    Factor(name="view_scale_min", distribution=FloatDistribution(0.08, 1.0)),
)
SCALES = (0.08, 0.2, 0.3, 0.4, 0.5)
PASSES = {"free": 0, "pgd": 6, "none": 1}  # encoder passes a view and epoch; free training has its replays
EFFECTS = {"none": (0.0, 0.0), "free": (-15.0, 30.0), "pgd": (-20.0, 35.0)}
NUM_IMAGES = 1000  # of the training, which are the scale of the rungs
FIRST_RUNG, ETA, AUDIT = 240, 2, 0.1
CURVE_ROWS = 8
BEGAN = 1_700_000_000


def spec_of(num_trials: int, num_seeds: int) -> StudySpec:
    """The study."""
    return StudySpec(
        name="constructed",
        question="What does the report make of effects that are known?",
        base=TrialConfig(**LAPTOP),
        factors=FACTORS,
        objectives=(
            Objective("val_clean", "maximize"),
            Objective("val_pgd_8", "maximize"),
            Objective("train_pflop", "minimize"),
        ),
        seeds=tuple(range(num_seeds)),
        design=Search(trials=math.ceil(num_trials / num_seeds)),
        stopping=MoAsha(first_rung=FIRST_RUNG, eta=ETA, audit=AUDIT),
        preset="laptop",
    )


def events(num_trials: int, num_seeds: int) -> Iterator[Event]:
    """The journal of a study of ``num_trials`` trials, one after the other: some stopped, failed, in doubt or audited.

    Further seeds are run of what was complete with the first one.
    """
    spec, luck = spec_of(num_trials, num_seeds), random.Random(0)
    rule, base = MultiObjectiveAsha(ETA, [True, True]), spec.base.model_dump(mode="json")
    described = [asdict(metric) for metric in trainable_of(spec.base).metrics(spec.base)]
    recorded = spec.model_dump(mode="json") | {"seed": 0, "metrics": described}
    yield {"event": "created", "study": spec.name, "spec": recorded, "environment": {}}
    number = 0
    for params in _configurations():
        for seed in range(num_seeds):
            if number == num_trials:
                yield {"event": "ended"}
                return
            uid, config = f"t{number:04d}", base | params | {"seed": seed}
            yield {"event": "proposed", "uid": uid, "number": number, "params": params, "config": config}
            yield {"event": "launched", "uid": uid, "attempt": 1}
            number, final = number + 1, _metrics(params, luck)
            is_stopped = False
            if seed == 0:
                is_stopped = yield from _at_rungs(uid, final, rule, luck)
            state = "stopped" if is_stopped else "failed" if luck.random() < 0.01 else "complete"
            reason = {"stopped": "not among the best", "failed": "the loss is not finite"}.get(state, "")
            metrics = final | _on_test(final) if state == "complete" else {}
            if state == "complete" and luck.random() < 0.01:
                metrics["validity"] = ["accuracy under an unbounded attack is above chance"]
            yield {"event": "finished", "uid": uid, "state": state, "metrics": metrics, "reason": reason}
            if state != "complete":
                break


def _at_rungs(uid: str, final: Event, rule: MultiObjectiveAsha, luck: random.Random) -> Generator[Event, None, bool]:
    """The reports and decisions of a trial; returns whether it was stopped."""
    milestone, is_audited = FIRST_RUNG * NUM_IMAGES, False
    while milestone < final["view_passes"]:
        share = milestone / final["view_passes"]
        report = {"milestone": milestone, "val_clean": 0.9 * final["val_clean"], "val_pgd_8": final["val_pgd_8"]}
        report |= {name: final[name] * share for name in ("view_passes", "train_pflop", "train_seconds")}
        yield {"event": "reported", "uid": uid, "metrics": report}
        decision = "continue"
        if not is_audited and not rule.decide(uid, milestone, [report["val_clean"], report["val_pgd_8"]]):
            is_audited = luck.random() < AUDIT
            decision = "audit" if is_audited else "stop"
        yield {"event": "decided", "uid": uid, "milestone": milestone, "decision": decision, "reason": "constructed"}
        if decision == "stop":
            return True
        milestone *= ETA
    return False


def write_journal(study_dir: Path, num_trials: int, num_seeds: int) -> None:
    """Writes the study's journal with its chain; not through ``Journal``, which waits for the disk at every event."""
    study_dir.mkdir(parents=True, exist_ok=True)
    line = b""
    with (study_dir / JOURNAL_NAME).open("wb") as file:
        for second, event in enumerate(events(num_trials, num_seeds)):
            timed = {"event": event["event"], "time": BEGAN + second} | event
            line = sealed(json.dumps(timed).encode(), line)
            file.write(line + b"\n")


def write_files(study_dir: Path) -> None:
    """The curve of each trial of a written journal, and the result of each complete one."""
    record = replay(read_journal(study_dir).events)
    for trial in record.trials.values():
        folder = trial_folder(study_dir, trial.uid)
        folder.mkdir(parents=True, exist_ok=True)
        passes = (trial.metrics or {"view_passes": FIRST_RUNG * NUM_IMAGES})["view_passes"]
        with (folder / CURVE_NAME).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["view_passes", "train_loss"])
            writer.writerows([passes * row // CURVE_ROWS, 8 / (1 + row)] for row in range(1, CURVE_ROWS + 1))
        if trial.state == "complete":
            save_result(folder, record.spec["trainable"], trial.config, trial.metrics, {})


def _configurations() -> Iterator[Params]:
    """All that the factors allow, again and again; further rounds vary what has no effect, so that all differ."""
    views, epochs, adversaries, replays = (factor.extremes() for factor in FACTORS[:4])
    combinations = [
        {"num_views": v, "epochs": e, "adversary": a} | ({"replays": r} if a == "free" else {}) | {"view_scale_min": s}
        for v, e, a, r, s in itertools.product(views, epochs, adversaries, replays, SCALES)
        if a == "free" or r == replays[0]
    ]
    random.Random(1).shuffle(combinations)
    for nudge in itertools.count():
        yield from ({**params, "view_scale_min": params["view_scale_min"] + nudge / 10_000} for params in combinations)


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study_dir", type=Path)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    write_journal(arguments.study_dir, arguments.trials, arguments.seeds)
    write_files(arguments.study_dir)
