"""Results of an earlier study, or of a CSV file, that a search starts from."""

import csv
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from study.record.configurations import configurations
from study.record.journal import JOURNAL_NAME, read_study
from study.spec import PriorTrial, StudySpec
from study.spec.choices import require_choice


def prior_trials(source: Path, spec: StudySpec) -> tuple[PriorTrial, ...]:
    """The trials of ``source`` that ``spec`` can learn from: those with factor values in its space and its objectives.

    Args:
        source: a study's folder, of which the trustworthy configurations are used, or a CSV file with a column for each
            factor (empty where inactive) and for each objective.
        spec: the study that will start from these trials.

    Raises:
        ValueError: if there is no such file or folder, or if nothing in it fits.
    """
    if (source / JOURNAL_NAME).is_file():
        rows: Iterable[Mapping[str, Any]] = _study_rows(source, spec)
    elif source.is_file():
        with source.open(newline="") as file:
            rows = [{name: _parse(text) for name, text in row.items() if text} for row in csv.DictReader(file)]
    else:
        raise ValueError(f"--warm-start {source}: neither a study's folder nor a CSV file")
    priors = [prior for row in rows if (prior := _as_prior(row, spec)) is not None]
    if not priors:
        wanted = ", ".join([*(factor.name for factor in spec.factors), *(o.name for o in spec.objectives)])
        raise ValueError(f"--warm-start {source}: no trial in it has values of this study's {wanted}")
    return tuple(priors)


def _study_rows(study_dir: Path, spec: StudySpec) -> list[dict[str, Any]]:
    record = read_study(study_dir)
    done = [c for c in configurations(record, len(record.spec.get("seeds", [0]))) if c.is_trustworthy]
    return [c.params | {o.name: c.mean(o.name) for o in spec.objectives} for c in done]


def _as_prior(row: Mapping[str, Any], spec: StudySpec) -> PriorTrial | None:
    params = {factor.name: row[factor.name] for factor in spec.factors if factor.name in row}
    values = [row.get(objective.name) for objective in spec.objectives]
    try:
        require_choice(params, spec)
        numbers = tuple(float(value) for value in values if value is not None)
    except ValueError:
        return None
    is_whole = len(numbers) == len(values) and all(math.isfinite(number) for number in numbers)
    return PriorTrial(params, numbers) if is_whole else None


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
