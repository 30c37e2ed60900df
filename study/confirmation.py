"""Where further seeds are worth most: at configurations whose place on the front is least certain."""

import math
from collections.abc import Sequence

import moocore
import numpy as np

from study.configurations import Configuration, configurations
from study.journal import StudyRecord, TrialRecord
from study.spec import Params, StudySpec
from trainables.streams import stream_seed

NUM_DRAWS = 1000
PRIOR_FREEDOM = 2
LEAST_PROBABILITY = 0.02  # of being on the front, for a configuration to be worth another seed


def next_confirmation(record: StudyRecord, spec: StudySpec, seed: int) -> tuple[Params, int] | None:
    """The configuration to run again and the number to add to the study's seed, or None where there is none left.

    Every finished configuration has a probability p of being on the front (see ``membership_probabilities``). The next
    seed goes to the one whose membership is least certain for the trials it has, that is, of the largest
    p (1 - p) / trials; among equals to the one with the fewest trials, then to the one proposed first.
    """
    done = len([trial for trial in record.trials.values() if trial.purpose == "confirmation"])
    if done >= spec.confirmation.runs:
        return None
    candidates = [
        c
        for c in configurations(record, len(spec.seeds))
        if c.is_trustworthy
        and all(c.mean(objective.name) is not None for objective in spec.objectives)
        and all(excess <= 0 for excess in c.violates(spec).values())
    ]
    if not candidates:
        return None
    trials = [_all_trials(candidate, record) for candidate in candidates]
    probabilities = membership_probabilities(trials, spec, stream_seed(seed, "confirmation", done) % 2**32)
    counts = [sum(trial.params == c.params for trial in record.trials.values()) for c in candidates]  # unfinished too
    worth = [
        (round(p * (1 - p) / count, 9), -count, -index)
        for index, (p, count) in enumerate(zip(probabilities, counts, strict=True))
        if p >= LEAST_PROBABILITY
    ]
    if not worth:
        return None
    chosen = candidates[-max(worth)[2]]
    used = [trial.seed - seed for trial in record.trials.values() if trial.params == chosen.params]
    return chosen.params, max([*used, *spec.seeds]) + 1


def membership_probabilities(trials: Sequence[Sequence[TrialRecord]], spec: StudySpec, seed: int) -> list[float]:
    """The share of draws in which each configuration is on the front.

    In every draw each configuration's objectives are normal around their means over its trials, with the standard error
    of the mean. The variance between seeds is pooled over the configurations that have several; that of drawing the
    evaluated images (for accuracies; 0 for costs) counts as ``PRIOR_FREEDOM`` further degrees of freedom, so that two
    seeds that happen to agree do not pass for certainty.

    Args:
        trials: per configuration its complete trials, at least one.
        spec: objectives.
        seed: of the draws.
    """
    names = [objective.name for objective in spec.objectives]
    values = [np.array([[trial.metrics[name] for name in names] for trial in group], dtype=float) for group in trials]
    means = np.array([group.mean(axis=0) for group in values])
    squares = sum(((group - group.mean(axis=0)) ** 2).sum(axis=0) for group in values)
    freedom = sum(len(group) - 1 for group in values)
    prior = np.array([[_image_deviation(group[0], name) for name in names] for group in trials]) ** 2
    variance = (PRIOR_FREEDOM * prior + squares) / (PRIOR_FREEDOM + freedom)
    errors = np.sqrt(variance / [[len(group)] for group in trials])
    draws = np.random.default_rng(seed).normal(means, errors, size=(NUM_DRAWS, *means.shape))
    maximise = [objective.direction == "maximize" for objective in spec.objectives]
    members = [moocore.is_nondominated(draw, maximise=maximise, keep_weakly=True) for draw in draws]
    return [float(share) for share in np.mean(members, axis=0)]


def _all_trials(configuration: Configuration, record: StudyRecord) -> list[TrialRecord]:
    """Its complete trials, confirming ones included."""
    return [
        trial
        for trial in record.trials.values()
        if trial.params == configuration.params and trial.state == "complete" and not trial.metrics.get("validity")
    ]


def _image_deviation(trial: TrialRecord, name: str) -> float:
    """Standard deviation in percent of an accuracy over draws of as many images; 0 for anything else."""
    split, _, kind = name.partition("_")
    count = trial.metrics.get(f"{split}_n")
    if split not in ("val", "test") or not kind or not count:
        return 0.0
    share = (trial.metrics[name] * count / 100 + 1) / (count + 2)  # never exactly 0 or 1
    return 100 * math.sqrt(share * (1 - share) / count)
