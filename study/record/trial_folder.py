"""The folder of a trial, ``runs/<study>/trials/<uid>``: which files it holds, how they are written and read."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from study.files import replacing

RESULT_NAME, OUTCOMES_NAME = "result.json", "flags.npz"
CRASH_NAME = "crash.txt"  # where Python was when a signal such as SIGSEGV ended its process
Outcomes = npt.NDArray[np.bool_]


def trial_folder(study_dir: Path, uid: str) -> Path:
    """Where the files of a trial of a study are."""
    return study_dir / "trials" / uid


def has_checkpoint(study_dir: Path, uid: str) -> bool:
    """Whether a trial has kept something to go on from."""
    return any(trial_folder(study_dir, uid).glob("checkpoint.*"))


def discard_checkpoints(folder: Path) -> None:
    """Removes what a trial kept in order to resume; to be called once its result is in the journal.

    What a crash of its process left is kept.
    """
    for path in folder.glob("checkpoint.*"):
        path.unlink(missing_ok=True)
    crash = folder / CRASH_NAME
    if crash.is_file() and crash.stat().st_size == 0:
        crash.unlink(missing_ok=True)


def save_result(
    folder: Path, trainable: str, config: Mapping[str, Any], metrics: Mapping[str, Any], outcomes: Mapping[str, Any]
) -> None:
    """Writes ``flags.npz`` (per example, if there are any) and last ``result.json`` (config and metrics)."""
    if outcomes:
        with replacing(folder / OUTCOMES_NAME) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, **outcomes)
    result = {"trainable": trainable, "config": dict(config), "metrics": dict(metrics)}
    with replacing(folder / RESULT_NAME) as unfinished:
        unfinished.write_text(json.dumps(result, indent=2))


def read_outcomes(folder: Path) -> dict[str, Outcomes]:
    """For each accuracy, which examples were right; empty if the trial kept none.

    Raises:
        ValueError: if the file is damaged.
    """
    path = folder / OUTCOMES_NAME
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            outcomes = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    for name, values in outcomes.items():
        if values.dtype != np.bool_ or values.ndim != 1 or len(values) == 0:
            raise ValueError(f"{path}: {name} is not one flag an example: {values.dtype}, shape {values.shape}")
    return outcomes
