"""Where further seeds are worth most: at configurations whose place on the front is least certain."""

from reports.trials import tabulate
from study.journal import StudyRecord
from study.spec import Params, StudySpec

LEAST_PROBABILITY = 0.02  # of being on the front, for a configuration to be worth another seed


def next_confirmation(record: StudyRecord, spec: StudySpec, seed: int) -> tuple[Params, int] | None:
    """The configuration to run again and the number to add to the study's seed, or None where there is none left.

    The report gives every complete configuration a probability p of being on the front. The next seed goes to the one
    whose membership is least certain for the trials it has, that is, of the largest p (1 - p) / trials; among equals to
    the one with the fewest trials, then to the one proposed first.
    """
    trials = list(record.trials.values())
    if sum(trial.purpose == "confirmation" for trial in trials) >= spec.confirmation.runs:
        return None
    candidates, _ = tabulate(record).certainty
    params = {trial.configuration: trial.params for trial in trials}
    best: tuple[float, int] | None = None
    chosen = None
    for configuration, p in zip(candidates["configuration"], candidates["front_probability"], strict=True):
        count = sum(trial.configuration == configuration for trial in trials)  # unfinished ones too
        worth = round(p * (1 - p) / count, 9), -count
        if p >= LEAST_PROBABILITY and (best is None or worth > best):
            best, chosen = worth, configuration
    if chosen is None:
        return None
    used = [trial.seed - seed for trial in trials if trial.configuration == chosen]
    return params[chosen], max([*used, *spec.seeds]) + 1
