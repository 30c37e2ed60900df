"""The sections of an attack page: the curve with its table, and the sheet of attacked images."""

import base64
import html
import io
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from reports.attack.attack_curve import CurvePoint
from reports.attack.attack_figure import curve_figure
from reports.attack.attacked_images import AttackedImage
from reports.page.page import Section
from reports.page.report_table import ReportTable, table_of
from trainables.trial_config import TrialConfig

INTERVAL_TEXT = (
    "Radii are in units of 1/255 of the pixel range. Wilson 95% intervals cover the drawing of the test images, not "
    "the seed of the training."
)
LARGEST_PIXELATED = 64  # pixels; images up to this size are enlarged with sharp pixel edges


def attack_text(config: TrialConfig) -> str:
    """The evaluation's attack in words."""
    starts = "the image itself"
    if config.eval_restarts > 1:
        starts += f" and {config.eval_restarts - 1} random starts"
    return (
        f"PGD-{config.eval_pgd_steps}: {config.eval_pgd_steps} signed gradient steps of {config.eval_step_255:g}/255 "
        f"up the cross-entropy, projected onto the l∞ ball, from {starts}"
    )


def curve_section(points: Sequence[CurvePoint], config: TrialConfig) -> Section:
    """The curve, how it treats images that are broken at only some radii, and its table."""
    figure = {"attack_curve": curve_figure(points, config.eval_pgd_steps)}
    caption = f"{_rule_text(config)} {_worst_case_text(points)} {INTERVAL_TEXT}"
    return Section("Accuracy against radius", caption, figures=figure, tables=(_curve_table(points, config),))


def _rule_text(config: TrialConfig) -> str:
    radii = ", ".join(f"{radius:g}" for radius in config.eval_radii_255)
    return (
        f"Each radius is attacked by itself, with PGD-{config.eval_pgd_steps}. As in the evaluation of the trial, an "
        f"image that is misclassified clean, or falls at a radius of the evaluation ({radii} of 255), counts as fallen "
        "at every larger one, whose ball contains the smaller one: so the curve goes through the recorded accuracies. "
        "An image that falls only at a radius between them is not carried over."
    )


def _worst_case_text(points: Sequence[CurvePoint]) -> str:
    most = max(point.accuracy - point.worst_case for point in points)
    if most == 0:
        return "Carrying those over as well would change nothing here."
    return f"The dotted line carries those over as well: it lies at most {most:.1f} points lower."


def _curve_table(points: Sequence[CurvePoint], config: TrialConfig) -> ReportTable:
    title = f"Test accuracy (%) under PGD-{config.eval_pgd_steps} by radius, with Wilson 95% intervals"
    rows = [vars(point) | {"low": point.interval[0], "high": point.interval[1]} for point in points]
    for row in rows:
        del row["interval"]
    return table_of("attack_curve", title, rows, {
        "radius": lambda row: f"{row['radius_255']:g}/255" if row["radius_255"] else "0 (clean)",
        "accuracy": lambda row: f"{row['accuracy']:.2f} [{row['low']:.1f}, {row['high']:.1f}]",
        "n": lambda row: f"{row['num_images']:,}",
        "recorded": lambda row: "–" if row["recorded"] is None else f"{row['recorded']:.2f}",
        "images that differ": lambda row: "–" if row["num_differing"] is None else row["num_differing"],
        "worst case up to it": lambda row: f"{row['worst_case']:.2f}",
    })  # fmt: skip


def sheet_section(images: Sequence[AttackedImage], radius_255: float, config: TrialConfig) -> Section:
    """The images, their magnified perturbations and adversarial versions, with the predicted classes."""
    factor = magnification(radius_255)
    kind = ' pixelated"' if config.image_size <= LARGEST_PIXELATED else '"'
    cards = "".join(_card(image, radius_255, factor) for image in images)
    title = f"Images, perturbations × {factor} and adversarial versions at {radius_255:g}/255"
    return Section(title, _sheet_caption(images, radius_255, config), f'<div class="sheet{kind}>{cards}</div>')


def magnification(radius_255: float) -> int:
    """The factor for showing perturbations: the largest integer, at least 1, that stays in range around mid-gray."""
    return max(1, math.floor(127.5 / radius_255))


def _sheet_caption(images: Sequence[AttackedImage], radius_255: float, config: TrialConfig) -> str:
    wrong = sum(image.clean_prediction != image.true_class for image in images)
    fallen = sum(image.adversarial_prediction != image.true_class for image in images) - wrong
    views = f" The attack is on the {config.probe_views} views of each image, of which the first is shown."
    is_per_view = config.probe == "n_views" and config.probe_threat == "per_view"
    return (
        f"The first {len(images)} test images in the order of the evaluation, not chosen by how they fare: {wrong} "
        f"wrong without an attack (and not attacked), {fallen} wrong under PGD-{config.eval_pgd_steps} at "
        f"{radius_255:g}/255, {len(images) - wrong - fallen} right. From left to right: the image; the perturbation, "
        f"multiplied by {magnification(radius_255)} and put on mid-gray, which stands for no change; their sum, as the "
        "classifier sees it. As in the evaluation, the attack on an image ends as soon as it is found "
        f"misclassified.{views if is_per_view else ''}"
    )


def _card(image: AttackedImage, radius_255: float, factor: int) -> str:
    shown = [
        (image.clean, f"test image {image.index}", f"true {image.true_class}", image.clean_prediction),
        (0.5 + factor * image.perturbation, f"its perturbation × {factor}", f"perturbation × {factor}", None),
        (image.adversarial, "its adversarial version", f"at {radius_255:g}/255", image.adversarial_prediction),
    ]
    parts = "".join(_part(*part, image.true_class) for part in shown)
    return f"<figure>{parts}<figcaption>{_fate(image)}</figcaption></figure>"


def _part(pixels: npt.NDArray[np.float32], alt: str, title: str, prediction: str | None, true_class: str) -> str:
    said = ""
    if prediction is not None:
        doubt = ' class="doubt"' if prediction != true_class else ""
        said = f"<br><span{doubt}>predicted {html.escape(prediction)}{' ✗' if doubt else ''}</span>"
    return f'<div><img src="{png_uri(pixels)}" alt="{alt}"><small>{html.escape(title)}{said}</small></div>'


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
