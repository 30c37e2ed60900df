"""The sections of an attack page: the curve with its table, and the sheet of attacked images."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from reports.attack.attack_curve import CurvePoint
from reports.attack.attack_figure import curve_figure
from reports.attack.attacked_images import AttackedImage
from reports.page.html_templates import filled
from reports.page.page import Section
from reports.page.report_table import ReportTable
from trainables.robust_ssl import losses_in_words
from trainables.trial_config import TrialConfig

LARGEST_PIXELATED = 64  # pixels; images up to this size are enlarged with sharp pixel edges


def attack_text(config: TrialConfig) -> str:
    """The evaluation's attack in words."""
    starts = "the image itself"
    if config.eval_restarts > 1:
        starts += f" and {config.eval_restarts - 1} random starts"
    return (
        f"PGD-{config.eval_pgd_steps}: {config.eval_pgd_steps} signed gradient steps of {config.eval_step_255:g}/255 "
        f"up the {' and then the '.join(losses_in_words(config))}, projected onto the l∞ ball, from {starts}"
    )


def curve_section(points: Sequence[CurvePoint], config: TrialConfig) -> Section:
    """The curve, how it treats images that are broken at only some radii, and its table."""
    radii, steps = ", ".join(f"{radius:g}" for radius in config.eval_radii_255), config.eval_pgd_steps
    most = max(point.accuracy - point.worst_case for point in points)
    caption = "Carrying over images that fall between the radii of the evaluation as well would change nothing here."
    if most > 0:
        caption = (
            "The dotted line carries over images that fall between the radii of the evaluation as well: it lies at "
            f"most {most:.1f} points lower."
        )
    method = (
        f"Each radius is attacked by itself, with PGD-{steps}. As in the evaluation of the trial, an image that is "
        f"misclassified clean, or falls at a radius of the evaluation ({radii} of 255), counts as fallen at every "
        "larger one, whose ball contains the smaller one: so the curve goes through the recorded accuracies. An image "
        "that falls only at a radius between them is not carried over. Radii are in units of 1/255 of the pixel range. "
        "Wilson 95% intervals cover the drawing of the test images, not the seed of the training."
    )
    figures = {"attack_curve": curve_figure(points, steps)}
    return Section("Accuracy against radius", caption, "", figures, (_curve_table(points, config),), method=method)


def _curve_table(points: Sequence[CurvePoint], config: TrialConfig) -> ReportTable:
    title = f"Test accuracy (%) under PGD-{config.eval_pgd_steps} by radius, with Wilson 95% intervals"
    rows = [asdict(point) | {"low": point.interval[0], "high": point.interval[1]} for point in points]
    texts = [
        {
            "radius": f"{point.radius_255:g}/255" if point.radius_255 else "0 (clean)",
            "accuracy": f"{point.accuracy:.2f} [{point.interval[0]:.1f}, {point.interval[1]:.1f}]",
            "n": f"{point.num_images:,}",
            "recorded": "–" if point.recorded is None else f"{point.recorded:.2f}",
            "images that differ": "–" if point.num_differing is None else str(point.num_differing),
            "worst case up to it": f"{point.worst_case:.2f}",
        }
        for point in points
    ]
    return ReportTable("attack_curve", title, pd.DataFrame(rows).drop(columns="interval"), pd.DataFrame(texts))


def sheet_section(images: Sequence[AttackedImage], radius_255: float, config: TrialConfig) -> Section:
    """The images, their magnified perturbations and adversarial versions, with the predicted classes."""
    factor, steps = magnification(radius_255), config.eval_pgd_steps
    wrong = sum(image.clean_prediction != image.true_class for image in images)
    fallen = sum(image.adversarial_prediction != image.true_class for image in images) - wrong
    caption = (
        f"The first {len(images)} test images in the order of the evaluation, not chosen by how they fare: {wrong} "
        f"wrong without an attack (and not attacked), {fallen} wrong under PGD-{steps} at {radius_255:g}/255, "
        f"{len(images) - wrong - fallen} right."
    )
    method = (
        f"From left to right: the image; the perturbation, multiplied by {factor} and put on mid-gray, which stands "
        "for no change; their sum, as the classifier sees it. As in the evaluation, the attack on an image ends as "
        "soon as it is found misclassified."
    )
    if config.probe == "n_views" and config.probe_threat == "per_view":
        method += f" The attack is on the {config.probe_views} views of each image, of which the first is shown."
    cards = [{"parts": _parts(image, radius_255, factor), "fate": _fate(image)} for image in images]
    is_pixelated = config.image_size <= LARGEST_PIXELATED
    body = filled("attack/templates/sheet.html", cards=cards, is_pixelated=is_pixelated)
    title = f"Images, perturbations × {factor} and adversarial versions at {radius_255:g}/255"
    return Section(title, caption, body, method=method)


def magnification(radius_255: float) -> int:
    """The factor for showing perturbations: the largest integer, at least 1, that stays in range around mid-gray."""
    return max(1, math.floor(127.5 / radius_255))


def _parts(image: AttackedImage, radius_255: float, factor: int) -> list[dict[str, Any]]:
    shown = [
        (image.clean, f"test image {image.index}", f"true {image.true_class}", image.clean_prediction),
        (0.5 + factor * image.perturbation, f"its perturbation × {factor}", f"perturbation × {factor}", None),
        (image.adversarial, "its adversarial version", f"at {radius_255:g}/255", image.adversarial_prediction),
    ]
    return [
        {"source": png_uri(pixels), "alt": alt, "title": title, "prediction": prediction,
         "is_wrong": prediction != image.true_class}
        for pixels, alt, title, prediction in shown
    ]  # fmt: skip


def _fate(image: AttackedImage) -> str:
    if image.falls_at_255 == 0:
        return "wrong without an attack"
    if math.isinf(image.falls_at_255):
        return "right at every radius of the curve"
    return f"first falls at {image.falls_at_255:g}/255"


def png_uri(pixels: npt.NDArray[np.float32]) -> str:
    """An image (S, S, 3) in [0, 1] as the data URI of a PNG: values outside are clipped, all rounded to 1/255."""
    content = io.BytesIO()
    Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)).save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
