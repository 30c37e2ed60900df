"""Which self-supervised objective gives the most robust features per compute, against which adversary?

python -m study.run --space search_spaces/methods.py

Every trial makes the same number of view passes, 30 for each view that EMP-SSL has of an image, with the same colours
and crops; the epochs follow from the adversary. Methods of two views leave the first one clean, EMP-SSL perturbs all.
"""

from typing import Any

from optuna.distributions import CategoricalDistribution

from study.spec import Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import TrialConfig

MANY, FEW = 16, 4  # views of EMP-SSL, in full and on a laptop
PASSES = {"none": 1, "PGD-4": 5, "free, m = 3": 3, "FGSM": 2}  # of a perturbed view in one epoch
ADVERSARIES: dict[str, dict[str, Any]] = {
    "none": {"adversary": "none"},
    "PGD-4": {"adversary": "pgd", "pgd_steps": 4},
    "free, m = 3": {"adversary": "free", "replays": 3},
    "FGSM": {"adversary": "fgsm"},
}


def factors(many: int) -> tuple[Factor, ...]:
    """The factors, where EMP-SSL has ``many`` views; the first view of two is passed once per update."""
    updates = {name: fields.get("replays", 1) for name, fields in ADVERSARIES.items()}
    two = {name: 30 * many // (PASSES[name] + updates[name]) for name in ADVERSARIES}
    return (
        Factor(name="views", levels={"two": {"num_views": 2}, "many": {"method": "emp_ssl", "num_views": many}}),
        Factor(
            name="method",
            distribution=CategoricalDistribution(["simclr", "barlow_twins", "vicreg", "byol"]),
            when={"num_views": (2,)},
        ),
        Factor(
            name="training",
            levels={name: fields | {"epochs": two[name]} for name, fields in ADVERSARIES.items()},
            when={"num_views": (2,)},
        ),
        Factor(
            name="training_of_many_views",
            levels={name: fields | {"epochs": 30 // PASSES[name]} for name, fields in ADVERSARIES.items()},
            when={"num_views": (many,)},
        ),
    )


STUDY = StudySpec(
    name="methods",
    question="Which self-supervised objective gives the most robust features per compute?",
    base=TrialConfig(method="simclr", num_views=2),
    factors=factors(MANY),
    asks=("method", "views"),
    design=Grid(),
    seeds=(0, 1, 2),
    # A target network of momentum 0.996 hardly leaves its random start in a thousand updates.
    laptop=LaptopPreset(base={"train_images": 800, "byol_momentum": 0.9}, factors=factors(FEW), seeds=(0,)),
)
