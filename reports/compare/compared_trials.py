"""Comparison of two evaluated trials: how their configs differ, and which examples each classified correctly."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from study.record.journal import JOURNAL_NAME, read_starts
from study.record.measures import examples_behind
from study.record.metrics import merged
from study.record.trial_folder import OUTCOMES_NAME, RESULT_NAME, read_outcomes
from study.settings import explain
from study.trainable import FIRST_TRAINABLE, Metric, Trainable, load_trainable

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EvaluatedTrial:
    """The contents of a trial's folder.

    Args:
        flags: share -> for each evaluated example, in order, whether it was right; may be empty.
        data_checksum: of the study's data; None for a trial without a study.
        trainable_path: what was run.
    """

    folder: Path
    config: Any
    metrics: Mapping[str, Any]
    flags: Mapping[str, Flags]
    data_checksum: str | None = None
    trainable_path: str = FIRST_TRAINABLE

    @cached_property
    def trainable(self) -> Trainable:
        """What was run."""
        return load_trainable(self.trainable_path)

    @cached_property
    def described(self) -> dict[str, Metric]:
        """Its metrics by name."""
        return {metric.name: metric for metric in self.trainable.metrics(self.config)}

    def num_examples(self, split: str) -> int:
        """The largest number of examples on a split that have flags; expensive metrics may use only the first ones."""
        return max(
            (len(flags) for name, flags in self.flags.items() if self.described.get(name, Metric(name)).split == split),
            default=0,
        )


@dataclass(frozen=True)
class PairedTest:
    """McNemar's exact test of two classifiers on the same examples.

    Args:
        num_examples: the number of examples that both were evaluated on.
        only_first, only_second: how many of them only the first or only the second classified correctly.
        p_value: two-sided.
    """

    num_examples: int
    only_first: int
    only_second: int
    p_value: float


def read_trial(folder: Path) -> EvaluatedTrial:
    """Reads what a trial left in its folder and, from the surrounding study, the checksum of its data.

    Raises:
        ValueError: if there is no result, or if it is damaged or from another version.
    """
    path = folder / RESULT_NAME
    if not path.is_file():
        raise ValueError(f"no trial in {folder}: it has no {RESULT_NAME}")
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        plain, metrics = dict(result["config"]), dict(result["metrics"])
        trainable_path = str(result.get("trainable") or FIRST_TRAINABLE)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the result of a trial: {error}") from None
    try:
        config = load_trainable(trainable_path).recorded(plain)
    except ValidationError as error:
        raise ValueError(f"{path}: this version does not accept the config: {explain(error)}") from None
    study_dir = study_around(folder)
    checksum = read_starts(study_dir).spec.get("data_checksum") if study_dir else None
    return EvaluatedTrial(folder, config, metrics, read_outcomes(folder), checksum, trainable_path)


def study_around(folder: Path) -> Path | None:
    """The absolute path of the study whose ``trials/`` contains a trial's folder; None for a trial without a study."""
    study_dir = folder.resolve().parent.parent
    return study_dir if (study_dir / JOURNAL_NAME).is_file() else None


def accuracy_of(trial: EvaluatedTrial, name: str) -> tuple[float, int] | None:
    """A share in percent and its number of examples, from the flags or else the metrics; None if it is missing."""
    if name in trial.flags:
        flags = trial.flags[name]
        return 100 * int(flags.sum()) / len(flags), len(flags)
    value = trial.metrics.get(name)
    count = examples_behind(trial.metrics, trial.described.get(name, Metric(name)))
    return (float(value), count) if value is not None and count else None


def compared_metrics(first: EvaluatedTrial, second: EvaluatedTrial) -> list[Metric]:
    """The metrics that at least one trial has, as both describe them; those on test come last."""
    metrics = merged([*first.described.values(), *second.described.values()]).values()
    measured = {*first.flags, *first.metrics, *second.flags, *second.metrics}
    return sorted((metric for metric in metrics if metric.name in measured), key=lambda metric: metric.split == "test")


def why_unpaired(first: EvaluatedTrial, second: EvaluatedTrial, metric: Metric) -> str:
    """Why trials A and B cannot be compared example by example in a share; '' if they can."""
    trainable, split, name = first.trainable, metric.split, metric.name
    has_it = [accuracy_of(trial, name) is not None for trial in (first, second)]
    if not all(has_it):
        return f"only {'A' if has_it[0] else 'B'} has it" if any(has_it) else "neither says over how many it is"
    missing = [letter for letter, trial in (("A", first), ("B", second)) if name not in trial.flags]
    if missing:
        return f"{' and '.join(missing)}: no {OUTCOMES_NAME} that says it of each example"
    if first.trainable_path != second.trainable_path:
        return "other trainables"
    other = f"other {trainable.examples}"
    for field in trainable.example_fields.get(split, ()):
        values = [getattr(trial.config, field) for trial in (first, second)]
        if values[0] != values[1]:
            return f"{other}: {field} is {json.dumps(values[0])} and {json.dumps(values[1])}"
    checksums = [trial.data_checksum for trial in (first, second) if trial.data_checksum is not None]
    if len(checksums) == 2:
        if len({trainable.examples_checksum(checksum) for checksum in checksums}) > 1:
            return f"{other}: the checksums of the data differ"
    else:
        places = [trainable.effective(trial.config) for trial in (first, second)]
        if moved := [field for field in trainable.location_fields if places[0].get(field) != places[1].get(field)]:
            return f"{other}, as far as is known: {moved[0]} differs and not both trials have a checksum of their data"
    counts = [trial.num_examples(split) for trial in (first, second)]
    return f"{other}: {counts[0]} and {counts[1]} of them" if counts[0] != counts[1] else ""


def paired_test(first: Flags, second: Flags) -> PairedTest:
    """McNemar's exact test on the common examples, which come first in both.

    Under the null hypothesis of equal accuracy, each classifier is equally likely to be the correct one on an example
    on which they differ: a two-sided binomial test. McNemar (1947), doi:10.1007/BF02295996.
    """
    num_examples = min(len(first), len(second))
    first, second = first[:num_examples], second[:num_examples]
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    p_value = min(1.0, 2 * _fair_flips_at_most(min(only_first, only_second), only_first + only_second))
    return PairedTest(num_examples, only_first, only_second, p_value)


def _fair_flips_at_most(heads: int, flips: int) -> float:
    """The exact probability of at most so many heads; in whole numbers, as importing scipy would take longer."""
    num_outcomes = itertools.accumulate(range(heads), lambda ways, k: ways * (flips - k) // (k + 1), initial=1)
    return sum(num_outcomes) / 2**flips


def config_differences(first: EvaluatedTrial, second: EvaluatedTrial) -> list[tuple[str, Any, Any]]:
    """Name and both values of every field that differs and has an effect in at least one config.

    A field without effect in a config has the value None there.
    """
    one, other = (trial.trainable.effective(trial.config) for trial in (first, second))
    names = dict.fromkeys([*type(first.config).model_fields, *type(second.config).model_fields])
    pairs = [(name, one.get(name), other.get(name)) for name in names]
    return [(name, left, right) for name, left, right in pairs if left != right]
