"""Chooses where further seeds are worth most: at configurations whose membership of the front is least certain."""

from study.record.journal import StudyRecord
from study.record.trials import tabulate
from study.spec import Params, StudySpec

LEAST_PROBABILITY = 0.02  # minimum probability of being on the front for a configuration to get another seed


def next_confirmation(record: StudyRecord, spec: StudySpec, seed: int) -> tuple[Params, int] | None:
    """The configuration to run again and the number to add to the study's seed, or None if there is none left.

    The report gives every complete configuration a probability p of being on the front. The next seed goes to the
    configuration with the largest p (1 - p) / trials, that is, the least certain membership for the trials it has; ties
    go to the one with the fewest trials, then to the one proposed first.
    """
    trials = list(record.trials.values())
    if sum(trial.purpose == "confirmation" for trial in trials) >= spec.confirmation.runs:
        return None
    candidates, _ = tabulate(record).certainty
    params = {trial.configuration: trial.params for trial in trials}
    best: tuple[float, int] | None = None
    chosen = None
    for configuration, p in zip(candidates["configuration"], candidates["front_probability"], strict=True):
        count = sum(trial.configuration == configuration for trial in trials)  # includes unfinished ones
        worth = round(p * (1 - p) / count, 9), -count
        if p >= LEAST_PROBABILITY and (best is None or worth > best):
            best, chosen = worth, configuration
    if chosen is None:
        return None
    used = [trial.seed - seed for trial in trials if trial.configuration == chosen]
    return params[chosen], max([*used, *spec.seeds]) + 1
