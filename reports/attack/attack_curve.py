"""Test accuracy against the radius of the attack, image by image, compared with what the trial recorded.

The radii are 0 to 16/255 and those of the trial's evaluation. As in the evaluation, an image that is misclassified
without an attack, or broken at a radius of the evaluation, counts as broken at every larger radius; the curve therefore
passes through the recorded accuracies. An image that is broken only at a radius in between is not carried over to
larger radii, because the evaluation did not attack there; ``CurvePoint.worst_case`` is the accuracy if it were.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from reports.compare.compared_trials import EvaluatedTrial, Flags, accuracy_of
from study.record.intervals import wilson_95
from trainables.data.datasets import ImageSet
from trainables.evaluation.robust_accuracy import correct_under_attack, is_stochastic, percent_correct
from trainables.trial_config import TrialConfig

CURVE_RADII_255 = tuple(float(radius) for radius in range(17))


@dataclass(frozen=True)
class CurvePoint:
    """The accuracy at one radius; all accuracies are in percent, over the same ``num_images`` test images.

    Args:
        radius_255: in units of 1/255 of the pixel range; 0 is clean.
        accuracy: by the rule of the evaluation.
        interval: Wilson 95% interval of ``accuracy``, (low, high).
        worst_case: the accuracy if every image broken by an attack at any radius up to this one counts as broken; for a
            classifier that draws new views at each evaluation it is ``accuracy``, as repeated evaluations break more
            images by chance.
        recorded: the accuracy that the trial recorded for these images; None if it recorded none.
        num_differing: images whose recorded flag differs; None if there are no recorded flags.
    """

    radius_255: float
    num_images: int
    accuracy: float
    interval: tuple[float, float]
    worst_case: float
    recorded: float | None
    num_differing: int | None


def attack_flags(
    classifier: nn.Module, test: ImageSet, config: TrialConfig, tell: Callable[[str], None]
) -> dict[float, Flags]:
    """Attacks every test image at every radius of the curve.

    Args:
        classifier: of the trial, in evaluation mode.
        test: the N images that the evaluation used, in its order, or only the first of them.
        config: of the trial.
        tell: called with a line for each radius.

    Returns:
        Radius in units of 1/255, ascending -> which images (N,) are classified correctly.
    """
    found = correct_under_attack(classifier, *test.tensors(), config)
    evaluated = {0.0: found["clean"]} | {radius: found[f"pgd_{radius:g}"] for radius in config.eval_radii_255}
    flags: dict[float, Flags] = {}
    for radius in sorted({*CURVE_RADII_255, *evaluated}):
        if radius not in evaluated:
            survivors = evaluated[max(smaller for smaller in evaluated if smaller < radius)]
            if is_stochastic(classifier):  # one unlucky evaluation says nothing about the next radius
                survivors = np.ones_like(survivors)
            flags[radius] = _attacked_once(classifier, test, survivors, radius, config)
        else:
            flags[radius] = evaluated[radius]
        attack = f"PGD-{config.eval_pgd_steps} at {radius:g}/255" if radius > 0 else "clean"
        tell(f"{attack}: {100 * flags[radius].mean():.1f}% of {len(test.labels):,} test images")
    return flags


def _attacked_once(
    classifier: nn.Module, test: ImageSet, survivors: Flags, radius_255: float, config: TrialConfig
) -> Flags:
    """Which images (N,) of the ``survivors`` withstand the attack at one radius; the other images are not attacked."""
    rows = survivors.nonzero()[0]
    correct = np.zeros_like(survivors)
    if len(rows) > 0:
        found = correct_under_attack(classifier, *test.take(rows).tensors(), config, (radius_255,))
        correct[rows] = found[f"pgd_{radius_255:g}"]
    return correct


def curve_points(
    flags: Mapping[float, Flags], trial: EvaluatedTrial, *, is_stochastic: bool = False
) -> list[CurvePoint]:
    """The curve from ``attack_flags``, with what ``trial`` recorded for the same images."""
    points = []
    withstood = list(flags.values()) if is_stochastic else np.logical_and.accumulate(list(flags.values()))
    for (radius, correct), all_withstood in zip(flags.items(), withstood, strict=True):
        accuracy, num_images = percent_correct(correct), len(correct)
        recorded, num_differing = _recorded(trial, "test_clean" if radius == 0 else f"test_pgd_{radius:g}", correct)
        points.append(
            CurvePoint(radius, num_images, accuracy, wilson_95(accuracy, num_images), percent_correct(all_withstood),
                       recorded, num_differing)
        )  # fmt: skip
    return points


def _recorded(trial: EvaluatedTrial, name: str, correct: Flags) -> tuple[float | None, int | None]:
    if name in trial.flags and len(trial.flags[name]) >= len(correct):
        recorded = trial.flags[name][: len(correct)]
        return percent_correct(recorded), int((recorded != correct).sum())
    known = accuracy_of(trial, name)
    return (known[0] if known is not None and known[1] == len(correct) else None), None


def falls_at_255(flags: Mapping[float, Flags]) -> npt.NDArray[np.float64]:
    """For each image (N,) the smallest radius of the curve at which it is misclassified; infinity if at none."""
    radii = np.array([*flags, np.inf])
    broken = ~np.stack([*flags.values(), np.zeros_like(next(iter(flags.values())))])
    return radii[broken.argmax(axis=0)]
