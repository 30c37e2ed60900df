"""The paper's training recipes: the fields of each row of its tables, its name, its laptop size, as a study.

Not itself a space.

Values marked 'assumed' are not in the paper's text; docs/fidelity.md says where the others come from.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from study.spec import Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import TrialConfig

Recipe = dict[str, Any]

CROP = {"view_scale_min": 0.08, "view_scale_max": 1.0, "view_ratio_min": 3 / 4, "view_ratio_max": 4 / 3}
PATCH = {"view_scale_min": 0.25, "view_scale_max": 0.25, "view_ratio_min": 1.0, "view_ratio_max": 1.0}

STANDARD = {"adversary": "none"}
PGD_5 = {"adversary": "pgd", "pgd_steps": 5, "attack_radius_255": 8.0}
CENTRAL = {"probe": "central"}
ROBUST_CENTRAL = {"probe": "robust_central"}

PAPER_LOSSES = ("cross_entropy",)  # of PGD in the paper's evaluation

PROBE_WORDS = {"central": "central", "robust_central": "robust central (r-LE)", "n_views": "{probe_views} views"}
# Divisor of the data epochs on a laptop, so that rows keep their order of cost.
LAPTOP_DIVISORS = {"emp_ssl": 5, "simclr": 50, "supervised": 50}
# The paper's number of views -> the number on a laptop, in training and in a probe.
LAPTOP_NUM_VIEWS = {1: 1, 2: 2, 4: 2, 8: 3, 16: 4, 32: 6}
LAPTOP_PROBE_VIEWS = {32: 4, 64: 8}


def patch(scale: float) -> Recipe:
    """Square views of a fixed share of the image's area."""
    return {"view_scale_min": scale, "view_scale_max": scale, "view_ratio_min": 1.0, "view_ratio_max": 1.0}


def crop(smallest: float) -> Recipe:
    """Random crops of at least a share of the image's area."""
    return CROP | {"view_scale_min": smallest}


def free(replays: int) -> Recipe:
    """Free adversarial training with m = ``replays``."""
    return {"adversary": "free", "replays": replays, "attack_radius_255": 8.0}


def emp_ssl(adversary: Recipe, epochs: int, views: Recipe = CROP) -> Recipe:
    """EMP-SSL on 16 views."""
    return {
        "method": "emp_ssl",
        "num_views": 16,
        "projector_dim": 1024,
        "batch_size": 100,
        "augmentation": "emp_ssl",
        "epochs": epochs,
        **views,
        **adversary,
    }


def simclr(adversary: Recipe, epochs: int, views: Recipe = CROP) -> Recipe:
    """SimCLR; its two views are augmented differently from EMP-SSL's, as in the authors' code."""
    return {
        "method": "simclr",
        "num_views": 2,
        "projector_dim": 128,
        "batch_size": 512,
        "augmentation": "simclr",
        "epochs": epochs,
        **views,
        **adversary,
    }


def supervised(adversary: Recipe, epochs: int) -> Recipe:
    """Supervised training; the paper gives only m and the epochs."""
    return {
        "method": "supervised",
        "num_views": 1,
        "probe": "own_head",
        "batch_size": 100,  # assumed
        "augmentation": "emp_ssl",  # assumed
        "epochs": epochs,
        **CROP,  # assumed
        **adversary,
    }


def n_views(probe_views: int) -> Recipe:
    """The probe on features averaged over views."""
    return {"probe": "n_views", "probe_views": probe_views}


def rows_study(
    name: str,
    question: str,
    rows: Iterable[Recipe],
    probes: Iterable[Recipe] = (),
    base: TrialConfig | None = None,
    laptop_base: Mapping[str, Any] | None = None,
) -> StudySpec:
    """A grid of recipes, crossed with ``probes`` if there are any, over three seeds; on a laptop over one.

    Args:
        base: what all rows have in common beside the defaults.
        laptop_base: what a laptop changes in it.
    """
    rows, probes = list(rows), list(probes)
    return StudySpec(
        name=name,
        question=question,
        base=(base or TrialConfig()).replace(eval_losses=PAPER_LOSSES),
        factors=_factors(rows, probes),
        asks=("probe",) if probes else (),
        design=Grid(),
        seeds=(0, 1, 2),
        laptop=LaptopPreset(
            base=dict(laptop_base or {}),
            factors=_factors([on_laptop(row) for row in rows], [_probe_on_laptop(probe) for probe in probes]),
            seeds=(0,),
        ),
    )


def _factors(rows: list[Recipe], probes: list[Recipe]) -> tuple[Factor, ...]:
    """The rows, named after their settings, and the probes as levels of factors."""
    recipe = Factor(name="recipe", levels={name_of(row): row for row in rows})
    if not probes:
        return (recipe,)
    words = {PROBE_WORDS[probe["probe"]].format(**probe): probe for probe in probes}
    return recipe, Factor(name="probe", levels=words)


def _probe_on_laptop(probe: Recipe) -> Recipe:
    """The probe over fewer views."""
    return probe | {"probe_views": LAPTOP_PROBE_VIEWS[probe["probe_views"]]} if "probe_views" in probe else probe


def on_laptop(recipe: Recipe) -> Recipe:
    """The recipe with fewer views, batches of 50 and a fraction of the epochs."""
    return recipe | {
        "num_views": LAPTOP_NUM_VIEWS[recipe["num_views"]],
        "projector_dim": 128,
        "batch_size": 50,
        "epochs": max(1, round(recipe["epochs"] / LAPTOP_DIVISORS[recipe["method"]])),
    }


def name_of(recipe: Recipe) -> str:
    """The row as the paper's tables name it, e.g. 'EMP-SSL, 16 crops, free m=3, 10 epochs'."""
    training = {"none": "standard", "pgd": "PGD-{pgd_steps}", "free": "free m={replays}"}[recipe["adversary"]]
    method = {"emp_ssl": "EMP-SSL", "simclr": "SimCLR", "supervised": "supervised"}[recipe["method"]]
    views = "" if recipe["method"] == "supervised" else f" {recipe['num_views']} {_views_words(recipe)},"
    return f"{method},{views} {training}, {{epochs}} epochs".format(**recipe).replace(", 1 epochs", ", 1 epoch")


def _views_words(recipe: Recipe) -> str:
    low, high = recipe["view_scale_min"], recipe["view_scale_max"]
    if low == high:
        return "patches" if low == PATCH["view_scale_min"] else f"patches of {low:g}"
    return "crops" if low == CROP["view_scale_min"] else f"crops from {low:g}"
