"""Recipes of continuous factors, each trained for 1, 2 and 4 epochs: what ``digits_curves.csv.gz`` holds.

    python -m study.run --space search_spaces/tables/recipes_by_epochs.py --concurrency 1
    python -m benchmarks.record_curves --study runs/recipes_by_epochs --table benchmarks/data/digits_curves.csv.gz

The numbers of views and the adversaries, which decide what an epoch costs, are crossed. Within each of their cells,
the continuous factors are points of a scrambled Sobol' sequence of the cell's own. Consecutive recipes are of
different cells, so that the first ones are balanced, too. The rate is constant up to its cooldown: a recipe's longer
trials begin with the training of its shorter ones.
"""

from itertools import product
from typing import Any

from optuna.distributions import CategoricalDistribution
from scipy.stats import qmc

from study.spec import Factor, Grid, LaptopPreset, NoStopping, StudySpec
from trainables.every_epoch import EveryEpochConfig

NUM_VIEWS = (2, 4, 8)
ADVERSARIES: dict[str, dict[str, Any]] = {
    "none": {"adversary": "none"},
    "free, m = 2": {"adversary": "free", "replays": 2},
    "free, m = 3": {"adversary": "free", "replays": 3},
}
EPOCHS = (1, 2, 4)
# Continuous factor -> its bounds and how many digits of a value are kept; all are spread evenly by ratio.
BOUNDS = {"learning_rate": (0.005, 3.0), "view_scale_min": (0.05, 0.9), "attack_radius_255": (2.0, 32.0)}
POINTS_PER_CELL = 16


def recipes() -> dict[str, dict[str, Any]]:
    """Name -> fields, in the order in which they are recorded."""
    found: dict[str, dict[str, Any]] = {}
    cells = [*product(NUM_VIEWS, ADVERSARIES)]
    sequences = [qmc.Sobol(len(BOUNDS), seed=cell).random(POINTS_PER_CELL) for cell in range(len(cells))]
    for point in range(POINTS_PER_CELL):
        for (num_views, adversary), sequence in zip(cells, sequences, strict=True):
            fields: dict[str, Any] = {"num_views": num_views} | ADVERSARIES[adversary]
            for place, (name, (low, high)) in zip(sequence[point], BOUNDS.items(), strict=True):
                if name != "attack_radius_255" or adversary != "none":
                    fields[name] = float(f"{low * (high / low) ** place:.3g}")
            found[f"r{len(found):03d}"] = fields
    return found


STUDY = StudySpec(
    name="recipes_by_epochs",
    question="What do views, adversary, learning rate, crops, radius and epochs buy, each for its compute?",
    base=EveryEpochConfig(),
    factors=(
        Factor(name="recipe", levels=recipes()),
        Factor(name="epochs", distribution=CategoricalDistribution(list(EPOCHS))),
    ),
    objectives=("val_clean", "val_pgd_16", "train_pflop"),
    design=Grid(),
    stopping=NoStopping(),
    laptop=LaptopPreset(
        base={
            # 300 images of the digits' own size, and evaluations that do not cost more than the training.
            "image_size": 8,
            "train_images": 300,
            "validation_fraction": 0.4,
            "batch_size": 25,
            "lr_schedule": "cooldown",
            "free_step": "radius",
            "probe_attack_radius_255": 16.0,
            "probe_attack_step_255": 6.0,
            "probe_attack_steps": 4,
            "eval_radii_255": (16.0,),
            "eval_losses": ("cross_entropy",),
            "eval_pgd_steps": 10,
            "eval_samples": 500,
            "rung_radii_255": (16.0,),
            "rung_images": 250,
            "rung_probe_epochs": 3,
        },
    ),
)
