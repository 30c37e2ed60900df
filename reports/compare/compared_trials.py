"""Comparison of two evaluated trials: how their configs differ, and which images each classified correctly."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from scipy.stats import binomtest

from study.record.journal import JOURNAL_NAME, read_study
from study.record.measures import ACCURACY, is_accuracy
from trainables.trial_config import TrialConfig, explain

Flags = npt.NDArray[np.bool_]
RESULT_NAME, FLAGS_NAME = "result.json", "flags.npz"
# The fields that determine which images are evaluated; data_root counts only without checksums (see why_unpaired).
IMAGE_FIELDS = {
    "val": ("dataset", "image_size", "split_seed", "eval_samples", "validation_fraction"),
    "test": ("dataset", "image_size", "split_seed", "eval_samples"),
}


@dataclass(frozen=True)
class EvaluatedTrial:
    """The contents of a trial's folder.

    Args:
        flags: accuracy -> for each evaluated image, in order, whether it was classified correctly; may be empty.
        data_checksum: of the study's images; None for a trial without a study.
    """

    folder: Path
    config: TrialConfig
    metrics: Mapping[str, Any]
    flags: Mapping[str, Flags]
    data_checksum: str | None = None


@dataclass(frozen=True)
class PairedTest:
    """McNemar's exact test of two classifiers on the same images.

    Args:
        num_images: the number of images that both were evaluated on.
        only_first, only_second: how many of them only the first or only the second classified correctly.
        p_value: two-sided.
    """

    num_images: int
    only_first: int
    only_second: int
    p_value: float


def read_trial(folder: Path) -> EvaluatedTrial:
    """Reads ``result.json``, ``flags.npz`` if present, and, from the surrounding study, the checksum of its images.

    Raises:
        ValueError: if there is no result, or if it is damaged or from another version.
    """
    path = folder / RESULT_NAME
    if not path.is_file():
        raise ValueError(f"no trial in {folder}: it has no {RESULT_NAME}")
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        config, metrics = TrialConfig(**result["config"]), dict(result["metrics"])
    except ValidationError as error:
        raise ValueError(f"{path}: this version does not accept the config: {explain(error)}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the result of a trial: {error}") from None
    return EvaluatedTrial(folder, config, metrics, _read_flags(folder / FLAGS_NAME), _data_checksum(folder))


def _read_flags(path: Path) -> dict[str, Flags]:
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            flags = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    for name, values in flags.items():
        if values.dtype != np.bool_ or values.ndim != 1 or len(values) == 0:
            raise ValueError(f"{path}: {name} is not one flag an image: {values.dtype}, shape {values.shape}")
    return {name: values for name, values in flags.items() if is_accuracy(name)}


def study_around(folder: Path) -> Path | None:
    """The absolute path of the study whose ``trials/`` contains a trial's folder; None for a trial without a study."""
    study_dir = folder.resolve().parent.parent
    return study_dir if (study_dir / JOURNAL_NAME).is_file() else None


def _data_checksum(folder: Path) -> str | None:
    study_dir = study_around(folder)
    if study_dir is None:
        return None
    checksum = read_study(study_dir).spec.get("data_checksum")
    return None if checksum is None else str(checksum)


def accuracy_of(trial: EvaluatedTrial, name: str) -> tuple[float, int] | None:
    """An accuracy in percent and the number of images, from the flags or else the metrics; None if it is missing."""
    if name in trial.flags:
        flags = trial.flags[name]
        return 100 * int(flags.sum()) / len(flags), len(flags)
    match = ACCURACY.fullmatch(name)
    assert match is not None
    count = trial.metrics.get("test_aa_n" if match["attack"] == "aa" else f"{match['split']}_n")
    value = trial.metrics.get(name)
    return (float(value), int(count)) if value is not None and count else None


def shared_accuracies(first: EvaluatedTrial, second: EvaluatedTrial) -> list[str]:
    """The accuracies that at least one trial has: validation first, then test, each in the order of the trials."""
    names = [name for trial in (first, second) for name in (*trial.flags, *trial.metrics) if is_accuracy(name)]
    return sorted(dict.fromkeys(names), key=lambda name: name.startswith("test_"))


def why_unpaired(first: EvaluatedTrial, second: EvaluatedTrial, name: str) -> str:
    """Why trials A and B cannot be compared image by image in the accuracy ``name``; '' if they can."""
    known = [accuracy_of(trial, name) is not None for trial in (first, second)]
    if not all(known):
        return f"only {'A' if known[0] else 'B'} has it"
    missing = [letter for letter, trial in (("A", first), ("B", second)) if name not in trial.flags]
    if missing:
        return f"{' and '.join(missing)}: no {FLAGS_NAME} that says it of each image"
    split = name.partition("_")[0]
    for field in IMAGE_FIELDS[split]:
        values = [getattr(trial.config, field) for trial in (first, second)]
        if values[0] != values[1]:
            return f"other images: {field} is {json.dumps(values[0])} and {json.dumps(values[1])}"
    if first.data_checksum is not None and second.data_checksum is not None:
        if first.data_checksum != second.data_checksum:
            return "other images: the checksums of the data differ"
    elif first.config.dataset == "imagefolder" and first.config.data_root != second.config.data_root:
        return "other images, as far as is known: data_root differs and not both trials have a checksum of their data"
    if "_aa_" not in name and len(first.flags[name]) != len(second.flags[name]):
        return f"other images: {len(first.flags[name])} and {len(second.flags[name])} of them"
    return ""


def paired_test(first: Flags, second: Flags) -> PairedTest:
    """McNemar's exact test on the common images, which come first in both.

    Under the null hypothesis of equal accuracy, each classifier is equally likely to be the correct one on an image on
    which they differ: a two-sided binomial test. McNemar (1947), doi:10.1007/BF02295996.
    """
    num_images = min(len(first), len(second))
    first, second = first[:num_images], second[:num_images]
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    discordant = only_first + only_second
    p_value = float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0
    return PairedTest(num_images, only_first, only_second, p_value)


def config_differences(first: TrialConfig, second: TrialConfig) -> list[tuple[str, Any, Any]]:
    """Name and both values of every field that differs and has an effect in at least one config.

    A field without effect in a config has the value None there.
    """
    effective = first.effective(), second.effective()
    names = [name for name in TrialConfig.model_fields if name in effective[0] or name in effective[1]]
    pairs = [(name, effective[0].get(name), effective[1].get(name)) for name in names]
    return [(name, one, other) for name, one, other in pairs if one != other]
