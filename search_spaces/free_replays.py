"""How many replays are worth their view passes, for crops and for patches, at equal data epochs?

python -m study.run --space search_spaces/free_replays.py
"""

from optuna.distributions import CategoricalDistribution

from study.spec import Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import TrialConfig

STUDY = StudySpec(
    name="free_replays",
    question="How many replays of free adversarial training are worth their view passes, for crops and for patches?",
    base=TrialConfig(adversary="free"),
    factors=(
        Factor(name="replays", distribution=CategoricalDistribution([1, 3, 5, 12])),
        Factor(
            name="views",
            levels={
                "crop": {
                    "view_scale_min": 0.08,
                    "view_scale_max": 1.0,
                    "view_ratio_min": 3 / 4,
                    "view_ratio_max": 4 / 3,
                },
                "patch": {"view_scale_min": 0.25, "view_scale_max": 0.25, "view_ratio_min": 1.0, "view_ratio_max": 1.0},
            },
        ),
    ),
    asks=("replays", "views"),
    design=Grid(),
    laptop=LaptopPreset(
        factors=(
            Factor(name="replays", distribution=CategoricalDistribution([1, 3])),
            Factor(
                name="views",
                levels={
                    "crop": {"view_scale_min": 0.08, "view_scale_max": 1.0},
                    "patch": {"view_scale_min": 0.25, "view_scale_max": 0.25, "view_ratio_min": 1, "view_ratio_max": 1},
                },
            ),
        ),
    ),
)
