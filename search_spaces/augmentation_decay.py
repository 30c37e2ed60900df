"""Does augmentation that weakens during training serve a robust encoder better than a strong or a weak one throughout?

python -m study.run --space search_spaces/augmentation_decay.py
"""

from optuna.distributions import CategoricalDistribution

from study.spec import Comparison, Factor, Grid, LaptopPreset, StudySpec
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
    compares=Comparison(
        arms={"stays strong": {"views": "strong"}, "weakens": {"views": "strong to weak"}},
        given={"adversary": "free"},
        means={"better": "Yes.", "equal": "No, it is as good.", "worse": "No."},
    ),
    design=Grid(),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(seeds=(0,)),
)
