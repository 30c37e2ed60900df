"""How large should crops be, and does the answer change once the encoder must be robust?

python -m study.run --space search_spaces/scale_ranges.py
"""

from optuna.distributions import CategoricalDistribution

from study.spec import Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import TrialConfig

SQUARE = {"view_ratio_min": 1.0, "view_ratio_max": 1.0}
SCALES = {
    "crop, 0.08 to 1": {
        "view_scale_min": 0.08,
        "view_scale_max": 1.0,
        "view_ratio_min": 3 / 4,
        "view_ratio_max": 4 / 3,
    },
    "crop, 0.25 to 1": {
        "view_scale_min": 0.25,
        "view_scale_max": 1.0,
        "view_ratio_min": 3 / 4,
        "view_ratio_max": 4 / 3,
    },
    "patch, 0.25": {"view_scale_min": 0.25, "view_scale_max": 0.25} | SQUARE,
    "patch, 0.75": {"view_scale_min": 0.75, "view_scale_max": 0.75} | SQUARE,
}

STUDY = StudySpec(
    name="scale_ranges",
    question="Which crop scales suit a robust encoder, and are they those that suit a standard one?",
    base=TrialConfig(),
    factors=(
        Factor(name="views", levels=SCALES),
        Factor(name="adversary", distribution=CategoricalDistribution(["free", "none"])),
    ),
    asks=("views",),
    design=Grid(),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(seeds=(0,)),
)
