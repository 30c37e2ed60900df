"""Shows what the evaluation's attack does to a trial: attacked test images, and accuracy against the radius.

    python -m reports.attack runs/crops_vs_epochs t0003
    python -m reports.attack runs/crops_vs_epochs t0003 --radius 4 --samples 100
    python -m reports.attack one_trial

For a complete trial of a study, the page is ``report/attack_<trial>.html`` in the study's folder, and an artifact of
the trial's run if the study has an MLflow store. For a trial without a study, it is ``attack.html`` in its folder.

Exit status: 0 if the page was written, 2 if the folder holds no such trial or its images are not found.
"""

import argparse
import html
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from reports.attack.attack_curve import CurvePoint, attack_flags, curve_points, falls_at_255
from reports.attack.attack_links import attack_page_path
from reports.attack.attack_sections import attack_text, curve_section, sheet_section
from reports.attack.attacked_images import attacked_images, sheet_radius_255
from reports.compare.compared_studies import is_study
from reports.compare.compared_trials import EvaluatedTrial, read_trial, study_around
from reports.page.page import fact_list, utc_text, whole_page, write_page
from study.record.journal import read_study
from study.tracking.artifacts import log_to_trial
from trainables.datasets import TrialData, load_data
from trainables.probe import ProbedClassifier
from trainables.run_trial import load_classifier, parse_device, print_decoding

SHOWN_IMAGES = 18


@dataclass(frozen=True)
class ChosenTrial:
    """The trial to attack; ``study_dir`` is None for a trial without a study."""

    folder: Path
    uid: str
    study_dir: Path | None

    @property
    def page_path(self) -> Path:
        """Where the trial's page is written."""
        return self.folder / "attack.html" if self.study_dir is None else attack_page_path(self.study_dir, self.uid)


def choose_trial(folder: Path, uid: str | None) -> ChosenTrial:
    """The trial ``uid`` of the study in ``folder``; for ``uid`` None, the trial whose own folder is ``folder``.

    Raises:
        ValueError: if there is no such trial, or it is not complete.
    """
    if is_study(folder):
        study_dir: Path | None = folder
        if uid is None:
            raise ValueError(f"{folder} is a study: name one of its complete trials: {_complete(folder)}")
    elif uid is not None:
        raise ValueError(f"no study in {folder}, so it has no trial {uid}")
    else:
        study_dir, uid = study_around(folder), folder.resolve().name
    if study_dir is None:
        return ChosenTrial(folder, uid, None)
    trials = read_study(study_dir).trials
    if uid not in trials:
        raise ValueError(f"{study_dir} has no trial {uid}; complete are {_complete(study_dir)}")
    if trials[uid].state != "complete":
        raise ValueError(f"trial {uid} is {trials[uid].state}, not complete; complete are {_complete(study_dir)}")
    return ChosenTrial(study_dir / "trials" / uid, uid, study_dir)


def _complete(study_dir: Path) -> str:
    return ", ".join(trial.uid for trial in read_study(study_dir).with_state("complete")) or "none yet"


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


def attack_page(
    chosen: ChosenTrial,
    device: torch.device,
    tell: Callable[[str], None],
    radius_255: float | None = None,
    samples: int | None = None,
) -> str:
    """Attacks the trial and returns its page.

    Args:
        chosen: the trial.
        device: where to compute.
        tell: called with a line for each radius of the curve.
        radius_255: for the attacked images that are shown, in units of 1/255; None for the evaluation's middle radius.
        samples: attack the first so many test images; None for all that the evaluation used.

    Raises:
        ValueError: if result, weights or images are missing or damaged, or do not belong together.
    """
    trial = read_trial(chosen.folder)
    config = trial.config
    radius_255 = sheet_radius_255(config) if radius_255 is None else radius_255
    classifier = load_classifier(chosen.folder, config, device)
    data = load_verified(trial, samples)
    flags = attack_flags(classifier, data.test, config, tell)
    points = curve_points(flags, trial, is_stochastic=classifier.is_stochastic)
    shown = attacked_images(classifier, data, config, falls_at_255(flags), radius_255, SHOWN_IMAGES)
    name = chosen.uid if chosen.study_dir is None else f"{chosen.study_dir.resolve().name}, trial {chosen.uid}"
    sections = [curve_section(points, config), sheet_section(shown, radius_255, config)]
    return whole_page(f"{name}: attack", _header(name, trial, points, classifier), sections)


def _header(name: str, trial: EvaluatedTrial, points: Sequence[CurvePoint], classifier: ProbedClassifier) -> str:
    config = trial.config
    facts = {
        "Trial": f"{config.method}, adversary {config.adversary}, {config.encoder}, seed {config.seed}",
        "Images": f"{points[0].num_images:,} test images of {config.dataset}, {config.image_size} pixels; "
        + ("no checksum of them was recorded" if trial.data_checksum is None else "their checksum is the recorded one"),
        "Attack": attack_text(config),
        "Computed": f"{utc_text()}, on {classifier.head.weight.device.type}, torch {torch.__version__}",
    }
    notes = [f"The trial failed a check: {warning}." for warning in trial.metrics.get("validity") or []]
    notes += disagreements(points)
    shown = "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes)
    return f"<header><h1>{html.escape(name)}: attack</h1>{shown}{fact_list(facts)}</header>"


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


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line, attacks, writes the page and logs it."""
    options = _parser().parse_args(arguments)
    try:
        if options.radius is not None and not 0 < options.radius <= 255:
            raise ValueError(f"--radius must be within (0, 255]: {options.radius:g}")
        if options.samples is not None and options.samples < 1:
            raise ValueError(f"--samples must be at least 1: {options.samples}")
        device = parse_device(options.device)
        chosen = choose_trial(options.folder, options.trial)
        write_page(attack_page(chosen, device, print, options.radius, options.samples), chosen.page_path)
    except (ValueError, OSError) as error:
        print(f"reports.attack: {error}", file=sys.stderr)
        return 2
    print(chosen.page_path)
    if chosen.study_dir is not None:
        print(log_to_trial(chosen.study_dir, chosen.uid, chosen.page_path))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reports.attack", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="runs/<study>, or the folder of a trial")
    parser.add_argument("trial", nargs="?", help="which trial of the study, e.g. t0003")
    parser.add_argument("--radius", type=float, metavar="R", help="of the images shown, in 1/255 (default: the middle "
                        "one of the evaluation)")  # fmt: skip
    parser.add_argument("--samples", type=int, metavar="N", help="attack the first N test images alone (default: all "
                        "that the evaluation used)")  # fmt: skip
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
