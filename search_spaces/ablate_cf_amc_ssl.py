"""What makes CF-AMC-SSL better than robust SimCLR: the crops, the loss, or free adversarial training?

python -m study.run --space search_spaces/ablate_cf_amc_ssl.py

Trains the recipes between the two; they differ in method (with number of views), adversary and epochs.
"""

from study.spec import Ablation, LaptopPreset, StudySpec
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

SIMCLR_PGD = TrialConfig(
    method="simclr", num_views=2, projector_dim=128, batch_size=512, augmentation="simclr", adversary="pgd", epochs=500
)
CF_AMC_SSL = TrialConfig()
SMALL_SIMCLR_PGD = {"method": "simclr", "num_views": 2, "augmentation": "simclr", "adversary": "pgd", "epochs": 6}
GROUPS = {"method": ("method", "num_views", "projector_dim"), "schedule": ("epochs", "batch_size")}

STUDY = StudySpec(
    name="ablate_cf_amc_ssl",
    question="Which difference between robust SimCLR and CF-AMC-SSL brings robustness, and at what cost?",
    design=Ablation(from_=SIMCLR_PGD, to=CF_AMC_SSL, groups=GROUPS),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(
        design=Ablation(
            from_=TrialConfig(**(LAPTOP | SMALL_SIMCLR_PGD)),
            to=TrialConfig(**LAPTOP),
            groups=GROUPS,
        ),
        seeds=(0, 1),
    ),
)
