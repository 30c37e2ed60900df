"""Ablations with known effects, run by the study's own plan; all numbers are made up."""

import json
from collections.abc import Callable
from typing import Any

from study.decisions.planning import Plan, Upcoming
from study.record.journal import Journal, StudyRecord, TrialRecord, apply
from study.spec import Ablation, StudySpec
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

FROM = TrialConfig(**(LAPTOP | {"method": "simclr", "num_views": 2, "adversary": "pgd"}))
TO = TrialConfig(**(LAPTOP | {"num_views": 4, "adversary": "free", "view_scale_min": 0.2}))
GROUPS = {"method": ("method", "num_views")}
FACTORS = ("method", "adversary", "view_scale_min")
Ending = dict[str, Any]  # state, metrics and reason of a trial
MakeUp = Callable[[TrialRecord], Ending]


def ablation_spec(seeds: tuple[int, ...] = (0, 1, 2), **changes: Any) -> StudySpec:
    """From SimCLR with PGD to EMP-SSL with free training; ``changes`` are of the design."""
    parts: dict[str, Any] = {"from_": FROM, "to": TO, "groups": GROUPS} | changes
    return StudySpec(name="made", question="What makes it?", design=Ablation(**parts), seeds=seeds)


def additive(trial: TrialRecord) -> Ending:
    """Robust accuracy 20, plus 5 for the method, 2 for the adversary (6 beside the method) and 3 for the scale.

    The method's gain is 0, 1 or 2 points larger by seed; clean accuracy falls by 4 for the adversary; cost doubles for
    the method. The luck of a seed, 10 points, is the same for all configs.
    """
    has = {name: trial.params.get(name) == "to" for name in FACTORS}
    robust = 20.0 + 10.0 * trial.seed + (5.0 + trial.seed) * has["method"] + 3.0 * has["view_scale_min"]
    robust += 2.0 * has["adversary"] * (3 if has["method"] else 1)
    numbers = {"val_pgd_8": robust, "val_clean": 80.0 - 4.0 * has["adversary"] + trial.seed, "val_n": 250}
    numbers |= {"test_pgd_8": robust - 1.0, "test_clean": 79.0 - 4.0 * has["adversary"] + trial.seed, "test_n": 360}
    numbers |= {"train_pflop": 2.0 if has["method"] else 1.0, "validity": []}
    return {"state": "complete", "metrics": numbers, "reason": ""}


def unless(brought_in: set[str], ending: Ending, seeds: tuple[int, ...] = (0, 1, 2)) -> MakeUp:
    """``additive``, but trials of ``seeds`` whose brought-in factors are ``brought_in`` end otherwise."""

    def made_up(trial: TrialRecord) -> Ending:
        has = {name for name, side in trial.params.items() if side == "to"}
        return ending if has == brought_in and trial.seed in seeds else additive(trial)

    return made_up


def run(spec: StudySpec, made_up: MakeUp = additive, most: int = 1000, journal: Journal | None = None) -> StudyRecord:
    """Lets the study's plan propose, and ends each of up to ``most`` trials as ``made_up`` says.

    Args:
        journal: of a study of ``spec``, to be written to; without one nothing is, which is much faster.
    """
    record = StudyRecord() if journal is None else journal.record

    def write(event: str, **fields: Any) -> None:
        if journal is None:
            apply(record, json.loads(json.dumps({"event": event, "time": 0.0, **fields})))
        else:
            journal.write(event, **fields)

    if journal is None:
        write("created", study=spec.name, spec=spec.model_dump(mode="json"), environment={})
    plan = Plan(spec, seed=0)
    while len(record.trials) < most and isinstance(upcoming := plan.next(record), Upcoming):
        uid, config = f"t{len(record.trials):03d}", spec.config(upcoming.params, upcoming.seed_offset)
        write("proposed", uid=uid, number=len(record.trials), params=upcoming.params,
              config=config.model_dump(mode="json"), purpose=upcoming.purpose)  # fmt: skip
        write("launched", uid=uid, attempt=1)
        write("finished", uid=uid, **made_up(record.trials[uid]))
    return record
