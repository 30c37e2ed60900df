"""What the metrics of a recorded study are: as the journal describes them, or as its trainable does."""

import dataclasses
from collections.abc import Iterable

from pydantic import ValidationError

from study.record.journal import StudyRecord
from study.trainable import FIRST_TRAINABLE, Metric, Trainable, load_trainable


def trainable_path(record: StudyRecord) -> str:
    """Where the trainable of a study can be imported from."""
    return str(record.spec.get("trainable") or FIRST_TRAINABLE)


def trainable_in(record: StudyRecord) -> Trainable | None:
    """The trainable of a study; None if it cannot be imported here, which leaves the journal to speak for itself."""
    try:
        return load_trainable(trainable_path(record))
    except ValueError:
        return None


def metrics_of(record: StudyRecord) -> dict[str, Metric]:
    """The study's metrics by name, objectives included; those that nobody describes are missing."""
    recorded = record.spec.get("metrics")
    metrics = {item["name"]: Metric(**item) for item in recorded} if recorded else _as_the_trainable_says(record)
    for objective in record.spec.get("objectives", []):
        name, direction = objective["name"], objective["direction"]
        metrics[name] = dataclasses.replace(metrics.get(name, Metric(name)), direction=direction)
    return metrics


def objectives_of(record: StudyRecord) -> list[Metric]:
    """The objectives of the study, in its order."""
    metrics = metrics_of(record)
    return [metrics[objective["name"]] for objective in record.spec.get("objectives", [])]


def _as_the_trainable_says(record: StudyRecord) -> dict[str, Metric]:
    trainable = trainable_in(record)
    if trainable is None:
        return {}
    configs = [record.spec.get("base", {}), *(trial.config for trial in record.trials.values())]
    distinct = {str({**config, "seed": 0}): config for config in configs}
    described: list[Metric] = []
    for config in distinct.values():
        try:
            described += trainable.metrics(trainable.recorded(config))
        except ValidationError:  # a config of another version
            continue
    return merged(described)


def merged(described: Iterable[Metric]) -> dict[str, Metric]:
    """One metric for each name; where descriptions differ, only the words that they have in common."""
    metrics: dict[str, Metric] = {}
    for metric in described:
        known = metrics.setdefault(metric.name, metric)
        if known.label != metric.label:
            words = [word for word in known.label.split() if word in metric.label.split()]
            metrics[metric.name] = dataclasses.replace(known, label=" ".join(words))
        metrics[metric.name] = dataclasses.replace(
            metrics[metric.name],
            is_interim=known.is_interim or metric.is_interim,
            is_final=known.is_final or metric.is_final,
        )
    return metrics
