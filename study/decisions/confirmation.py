"""Chooses where further seeds are worth most: at configurations whose membership of the front is least certain."""

from study.record.configurations import measured_configurations
from study.record.front_probability import front_certainty
from study.record.journal import StudyRecord
from study.record.metrics import objectives_of
from study.spec import Params, StudySpec

LEAST_PROBABILITY = 0.02  # minimum probability of being on the front for a configuration to get another seed


def next_confirmation(record: StudyRecord, spec: StudySpec, seed: int) -> tuple[Params, int] | None:
    """The configuration to run again and the number to add to the study's seed, or None if there is none left.

    The report gives every complete configuration a probability p of being on the front. The next seed goes to the
    configuration with the largest p (1 - p) / trials, that is, the least certain membership for the trials it has; ties
    go to the one with the fewest trials, then to the one proposed first.
    """
    if sum(trial.purpose == "confirmation" for trial in record.trials.values()) >= spec.confirmation.runs:
        return None
    candidates = measured_configurations(record)
    probabilities, _ = front_certainty(candidates, objectives_of(record), record)
    best: tuple[float, int] | None = None
    chosen = None
    for configuration, p in zip(candidates, probabilities, strict=True):
        worth = round(float(p * (1 - p)) / len(configuration.trials), 9), -len(configuration.trials)
        if p >= LEAST_PROBABILITY and (best is None or worth > best):
            best, chosen = worth, configuration
    if chosen is None:
        return None
    return chosen.params, max([*(trial.seed - seed for trial in chosen.trials), *spec.seeds]) + 1
