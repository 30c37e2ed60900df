"""Does augmentation that weakens during training serve a robust encoder better than a strong or a weak one throughout?

python -m study.run --space search_spaces/augmentation_decay.py
"""

from optuna.distributions import CategoricalDistribution

from study.spec import Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import TrialConfig

STRONG = {"augmentation": "emp_ssl", "view_scale_min": 0.08, "augmentation_decay": "none"}

STUDY = StudySpec(
    name="augmentation_decay",
    question="Does augmentation that weakens during training serve a robust encoder better than one that stays?",
    base=TrialConfig(),
    factors=(
        Factor(
            name="views",
            levels={
                "strong": STRONG,
                "strong to weak": STRONG | {"augmentation_decay": "linear"},
                "weak": {"augmentation": "none", "view_scale_min": 0.9, "augmentation_decay": "none"},
            },
        ),
        Factor(name="adversary", distribution=CategoricalDistribution(["free", "none"])),
    ),
    design=Grid(),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(seeds=(0,)),
)
