"""All checks of the attack on the trials of a study's front, and where they are kept beside each trial."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from reports.attack.attack_page import all_checks, load_verified
from reports.attack.check_sections import CHECKS_NAME
from reports.compare.compared_trials import read_trial
from study.files import replacing
from study.record.front import front_of
from study.record.journal import read_study
from study.record.trial_folder import trial_folder
from trainables.evaluation.check_table import BY_NAME, PREFIX, failed_checks
from trainables.run_trial import load_classifier
from trainables.trial_config import TrialConfig


def check_front(study_dir: Path, device: torch.device, tell: Callable[[str], None]) -> dict[str, list[str]]:
    """Makes all checks on every complete trial of the front; the report of the study shows them from then on.

    Args:
        study_dir: the study's folder.
        device: where to compute.
        tell: called with a line for each trial.

    Returns:
        Trial -> the checks that it failed.

    Raises:
        ValueError: if there is no front yet, or a trial's result, weights or images are missing or do not belong
            together, or it is of another trainable.
    """
    trials = [trial.uid for member in front_of(read_study(study_dir)) for trial in member.completed]
    if not trials:
        raise ValueError(f"no trial of {study_dir} is on its front")
    failed = {}
    for uid in trials:
        trial = read_trial(trial_folder(study_dir, uid))
        if not isinstance(trial.config, TrialConfig):
            raise ValueError(f"only trials of {TrialConfig.trainable} can be checked, not of {trial.trainable_path}")
        classifier = load_classifier(trial_folder(study_dir, uid), trial.config, device)
        metrics = all_checks(classifier, load_verified(trial, None), trial)
        with replacing(trial_folder(study_dir, uid) / CHECKS_NAME) as unfinished:
            unfinished.write_text(json.dumps(metrics))
        failed[uid] = failed_checks(metrics)
        tell(f"{uid}: {_in_words(metrics, failed[uid])}")
    return failed


def _in_words(metrics: Mapping[str, Any], failed: list[str]) -> str:
    if not failed:
        return "all checks passed"
    return "; ".join(BY_NAME[name].failure.format(value=metrics[f"{PREFIX}{name}"]) for name in failed)
