"""The curve against closed forms: classifiers whose distance to the boundary is known for every image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reports.attack.attack_curve import CurvePoint, attack_flags, curve_points, falls_at_255
from reports.attack.attack_figure import curve_figure
from reports.attack.attack_sections import curve_section
from reports.compare.compared_trials import EvaluatedTrial
from reports.page.export import export_report
from study.record.intervals import wilson_95
from trainables.data.datasets import ImageSet
from trainables.evaluation.probe import ProbedClassifier
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

CONFIG = TrialConfig(**LAPTOP).replace(eval_radii_255=(4.0, 8.0), eval_pgd_steps=10)
# Gray levels above the boundary of ``Brightness``; the first image is misclassified.
DISTANCES = (-0.5, 0.5, 2.5, 4.5, 7.5, 7.5, 12.5, 16.5, 40.5)


class Brightness(nn.Module):
    """Class 1 for images brighter than 127.5/255: one at gray level 128 + d falls at radii above d + 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(9.0))

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, 2)."""
        margin = self.gain * (pixels.flatten(1).mean(dim=1) - 127.5 / 255)
        return torch.stack([-margin, margin], dim=1)


class Pocket(nn.Module):
    """Wrong only where the mean is 5 gray levels above 128: PGD of a radius that goes past it finds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, 2); class 0 everywhere but in the pocket, and less surely so the brighter the image."""
        mean = self.gain * pixels.flatten(1).mean(dim=1)
        is_inside = ((mean * 255 - 133).abs() < 0.4).float()
        return torch.stack([torch.ones_like(mean), 2 * is_inside + 0.1 * mean], dim=1)


class Coin(ProbedClassifier):
    """Right with a chance of one half at every look, whatever the image and the attack."""

    def __init__(self) -> None:
        config = CONFIG.replace(probe="n_views", probe_view_draw="redrawn", eval_eot_samples=1, eval_pgd_steps=2)
        super().__init__(Brightness(), nn.Linear(1, 2), config)  # type: ignore[arg-type]
        self.num_looks = 0

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 2)."""
        self.num_looks += 1
        is_right = torch.rand(len(images), generator=torch.Generator().manual_seed(self.num_looks)) < 0.5
        return torch.stack([~is_right, is_right], dim=1).float() + 0 * images.mean()


def gray(levels: np.ndarray, label: int) -> ImageSet:
    images = np.broadcast_to(levels.astype(np.uint8)[:, None, None, None], (len(levels), 3, 8, 8)).copy()
    return ImageSet(images, np.full(len(levels), label, dtype=np.int64))


def bright() -> ImageSet:
    return gray(127.5 + np.array(DISTANCES), 1)


def evaluated(**flags: np.ndarray) -> EvaluatedTrial:
    return EvaluatedTrial(Path("t"), CONFIG, {}, flags)


def test_each_image_falls_at_the_first_radius_beyond_its_distance() -> None:
    told: list[str] = []
    flags = attack_flags(Brightness().eval(), bright(), CONFIG, told.append)
    assert list(flags) == list(range(17))
    for radius, correct in flags.items():
        assert correct.tolist() == [distance > radius for distance in DISTANCES]
    assert falls_at_255(flags).tolist() == [0, 1, 3, 5, 8, 8, 13, np.inf, np.inf]
    assert told[0] == "clean: 88.9% of 9 test images" and told[5] == "PGD-10 at 5/255: 55.6% of 9 test images"


def test_other_radii_of_the_evaluation_are_on_the_curve_too() -> None:
    config = CONFIG.replace(eval_radii_255=(2.25, 24.0))
    flags = attack_flags(Brightness().eval(), bright(), config, lambda line: None)
    assert list(flags) == [0, 1, 2, 2.25, *range(3, 17), 24]
    assert flags[24.0].tolist() == [distance > 24 for distance in DISTANCES]


def test_nothing_left_to_attack() -> None:
    flags = attack_flags(Brightness().eval(), gray(np.array([100, 90]), 1), CONFIG, lambda line: None)
    assert not any(correct.any() for correct in flags.values()) and falls_at_255(flags).tolist() == [0, 0]


@pytest.mark.parametrize("radii", [(4.0, 8.0), (5.0, 8.0)])
def test_what_falls_at_a_radius_of_the_evaluation_is_carried_on_and_no_other(radii: tuple[float, ...]) -> None:
    flags = attack_flags(Pocket().eval(), gray(np.array([128, 128]), 0), CONFIG.replace(eval_radii_255=radii), print)
    fallen = {radius for radius, correct in flags.items() if not correct.all()}
    assert fallen == ({5} if 5 not in radii else set(range(5, 17)))
    points = curve_points(flags, evaluated())
    assert [point.worst_case for point in points] == [100.0] * 5 + [0.0] * 12


def test_an_unlucky_look_of_a_random_classifier_is_not_carried_on() -> None:
    flags = attack_flags(Coin().eval(), gray(np.full(400, 128), 1), CONFIG.replace(eval_pgd_steps=2), lambda line: None)
    for point in curve_points(flags, evaluated(), is_stochastic=True):
        assert point.worst_case == point.accuracy == pytest.approx(50, abs=10), point  # four standard errors


def test_points_have_intervals_and_what_was_recorded() -> None:
    flags = attack_flags(Brightness().eval(), bright(), CONFIG, lambda line: None)
    other = flags[8].copy()
    other[[4, 8]] = ~other[[4, 8]]
    trial = evaluated(test_clean=flags[0], test_pgd_4=np.append(flags[4], True), test_pgd_8=other)
    points = curve_points(flags, trial)
    assert points[8].accuracy == pytest.approx(100 / 3) and points[8].num_images == 9
    assert points[8].interval == wilson_95(100 / 3, 9)
    assert [(point.radius_255, point.num_differing) for point in points if point.recorded is not None] == [
        (0, 0), (4, 0), (8, 2),
    ]  # fmt: skip
    assert points[8].recorded == pytest.approx(100 / 3)  # as many, though not the same ones
    # Of metrics without flags only what is of as many images.
    metrics = {"test_pgd_8": 30.0, "test_n": 9, "test_clean": 80.0}
    assert curve_points(flags, EvaluatedTrial(Path("t"), CONFIG, metrics, {}))[8].recorded == 30.0
    assert curve_points(flags, EvaluatedTrial(Path("t"), CONFIG, metrics | {"test_n": 8}, {}))[8].recorded is None


def point(radius: float, accuracy: float, worst_case: float, recorded: float | None = None) -> CurvePoint:
    return CurvePoint(radius, 50, accuracy, wilson_95(accuracy, 50), worst_case, recorded, 0 if recorded else None)


def test_figure_has_band_curve_records_and_a_worst_case_where_it_differs() -> None:
    points = [point(0, 90, 90, 90), point(5, 60, 60), point(6, 70, 60), point(8, 40, 40, 40)]
    band, curve, worst, recorded = curve_figure(points, 20).data
    assert list(curve.x) == [0, 5, 6, 8] and list(curve.y) == [90, 60, 70, 40]
    assert list(worst.y) == [90, 60, 60, 40] and list(recorded.x) == [0, 8] and list(recorded.y) == [90, 40]
    low, high = wilson_95(60, 50)
    assert (band.y[1], band.y[-2]) == (high, low) and (band.x[1], band.x[-2]) == (5, 5)
    assert curve.hovertext[1] == f"5/255: 60.0% [{low:.1f}, {high:.1f}], n=50" and curve.name.startswith("PGD-20")
    assert len(curve_figure([points[0], points[1]], 20).data) == 3


def test_section_says_the_rule_and_what_it_costs(tmp_path: Path) -> None:
    points = [point(0, 90, 90, 90), point(5, 60, 60), point(6, 70, 60)]
    section = curve_section(points, CONFIG)
    assert "(4, 8 of 255)" in section.method and "at most 10.0 points lower" in section.caption
    assert "would change nothing here" in curve_section(points[:2], CONFIG).caption
    (table,) = section.tables
    first, _, last = table.text.to_dict("records")
    assert (first["radius"], first["n"], first["recorded"]) == ("0 (clean)", "50", "90.00")
    assert last["accuracy"].startswith("70.00 [") and (last["worst case up to it"], last["recorded"]) == ("60.00", "–")
    export_report([section], tmp_path)
    assert (tmp_path / "tables" / "attack_curve.csv").read_text().splitlines()[0].startswith("radius_255,num_images,")
