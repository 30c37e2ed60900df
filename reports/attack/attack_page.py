"""The attack page of one trial: its weights and images are loaded, attacked, and shown."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from markupsafe import Markup

from reports.attack.attack_curve import CurvePoint, attack_flags, curve_points, falls_at_255
from reports.attack.attack_sections import attack_text, curve_section, sheet_section
from reports.attack.attacked_images import attacked_images, sheet_radius_255
from reports.attack.check_sections import section_of
from reports.attack.chosen_trial import ChosenTrial
from reports.compare.compared_trials import EvaluatedTrial, read_trial
from reports.page.page import page_header, utc_text, whole_page
from trainables.data.datasets import TrialData, load_data
from trainables.evaluation.check_table import LIMITS, PREFIX, check_metrics
from trainables.evaluation.probe import ProbedClassifier
from trainables.evaluation.robust_accuracy import correct_under_attack
from trainables.evaluation.validity import MAX_CHECKED_IMAGES, checks_of_attack
from trainables.run_trial import load_classifier, print_decoding
from trainables.trial_config import TrialConfig

SHOWN_IMAGES = 18


def attack_page(
    chosen: ChosenTrial,
    device: torch.device,
    tell: Callable[[str], None],
    radius_255: float | None = None,
    samples: int | None = None,
    *,
    with_checks: bool = False,
) -> str:
    """Attacks the trial and returns its page.

    Args:
        chosen: the trial.
        device: where to compute.
        tell: called with a line for each radius of the curve.
        radius_255: for the attacked images that are shown, in units of 1/255; None for the evaluation's middle radius.
        samples: attack the first so many test images; None for all that the evaluation used.
        with_checks: also make all checks of the attack, on validation images.

    Raises:
        ValueError: if result, weights or images are missing or damaged, do not belong together, or are of a trial of
            another trainable.
    """
    trial = read_trial(chosen.folder)
    config = trial.config
    if not isinstance(config, TrialConfig):
        raise ValueError(f"only trials of {TrialConfig.trainable} can be attacked, not of {trial.trainable_path}")
    radius_255 = sheet_radius_255(config) if radius_255 is None else radius_255
    classifier = load_classifier(chosen.folder, config, device)
    data = load_verified(trial, samples)
    flags = attack_flags(classifier, data.test, config, tell)
    points = curve_points(flags, trial, is_stochastic=classifier.is_stochastic)
    shown = attacked_images(classifier, data, config, falls_at_255(flags), radius_255, SHOWN_IMAGES)
    sections = [curve_section(points, config), sheet_section(shown, radius_255, config)]
    if with_checks:
        sections.append(section_of({chosen.uid: all_checks(classifier, data, trial)}))
    title = f"{chosen.name}: attack"
    return whole_page(title, _header(title, trial, points, device), sections)


def all_checks(classifier: ProbedClassifier, data: TrialData, trial: EvaluatedTrial) -> dict[str, Any]:
    """The checks as metrics: those of the recorded ones that are not of the attack, and all of the attack made now."""
    images, labels = data.validation.tensors(MAX_CHECKED_IMAGES)
    flags = correct_under_attack(classifier, images, labels, trial.config)
    found = checks_of_attack(classifier, images, labels, flags, trial.config.replace(eval_checks="all"))
    made = check_metrics(found)
    recorded = {name: value for name, value in trial.metrics.items() if name.startswith(PREFIX)}
    return recorded | made | {LIMITS: (recorded.get(LIMITS) or {}) | made[LIMITS]}


def load_verified(trial: EvaluatedTrial, samples: int | None) -> TrialData:
    """The trial's images, with the first ``samples`` test images, or for None all that its evaluation used.

    Raises:
        ValueError: if images are missing, or do not have the checksum that the study recorded.
    """
    data = load_data(trial.config, print_decoding)
    if trial.data_checksum not in (None, data.checksum):
        raise ValueError(
            f"the images are not those of the study: checksum {data.checksum[:12]} here, {trial.data_checksum[:12]} "
            "recorded"
        )
    if samples is None:
        return data
    return replace(data, test=data.test.take(np.arange(min(samples, len(data.test.labels)))))


def _header(title: str, trial: EvaluatedTrial, points: Sequence[CurvePoint], device: torch.device) -> Markup:
    config = trial.config
    facts = {
        "Trial": f"{config.method}, adversary {config.adversary}, {config.encoder}, seed {config.seed}",
        "Images": f"{points[0].num_images:,} test images of {config.probed_dataset}, {config.image_size} pixels; "
        + ("no checksum of them was recorded" if trial.data_checksum is None else "their checksum is the recorded one"),
        "Attack": attack_text(config),
        "Computed": f"{utc_text()}, on {device.type}, torch {torch.__version__}",
    }
    notes = [f"The trial failed a check: {warning}." for warning in trial.metrics.get("validity") or []]
    return page_header(title, facts, notes + disagreements(points))


def disagreements(points: Sequence[CurvePoint]) -> list[str]:
    """Notes on where the curve differs from what the trial recorded for the same images."""
    found = [
        f"{point.recorded:.2f} recorded and {point.accuracy:.2f} found at {point.radius_255:g}/255"
        for point in points
        if point.recorded is not None and (point.recorded != point.accuracy or point.num_differing)
    ]
    if not found:
        return []
    why = "it was computed on another device or by another version of torch, or the weights are not those recorded"
    return [f"Not the recorded numbers, because {why}: {'; '.join(found)}."]
