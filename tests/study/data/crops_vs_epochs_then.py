"""Can more crops per image make up for fewer epochs, and what does adversarial training cost on top?

python -m study.run --space search_spaces/crops_vs_epochs.py
"""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from study.spec import Factor, LaptopPreset, MoAsha, Search, StudySpec
from trainables.trial_config import TrialConfig

ADVERSARY = Factor(name="adversary", distribution=CategoricalDistribution(["free", "pgd", "none"]))
REPLAYS = Factor(name="replays", distribution=CategoricalDistribution([3, 5]), when={"adversary": ("free",)})
SMALLEST_CROP = Factor(name="view_scale_min", distribution=FloatDistribution(0.08, 0.5, step=0.02))

STUDY = StudySpec(
    name="crops_vs_epochs",
    question="Can more crops per image make up for fewer epochs in adversarial self-supervised learning?",
    base=TrialConfig(),
    factors=(
        Factor(name="num_views", distribution=CategoricalDistribution([4, 8, 16, 32])),
        Factor(name="epochs", distribution=CategoricalDistribution([3, 6, 10, 18, 30])),
        ADVERSARY,
        REPLAYS,
        SMALLEST_CROP,
    ),
    references=(
        {"num_views": 16, "epochs": 30, "adversary": "none", "view_scale_min": 0.08},
        {"num_views": 16, "epochs": 10, "adversary": "free", "replays": 3, "view_scale_min": 0.08},
    ),
    design=Search(trials=60),
    stopping=MoAsha(first_rung=48),
    laptop=LaptopPreset(
        factors=(
            Factor(name="num_views", distribution=CategoricalDistribution([2, 4, 8])),
            Factor(name="epochs", distribution=CategoricalDistribution([1, 2, 3])),
            ADVERSARY,
            Factor(name="replays", distribution=CategoricalDistribution([2, 3]), when={"adversary": ("free",)}),
            SMALLEST_CROP,
        ),
        references=(
            {"num_views": 4, "epochs": 3, "adversary": "none", "view_scale_min": 0.08},
            {"num_views": 4, "epochs": 3, "adversary": "free", "replays": 3, "view_scale_min": 0.08},
        ),
        design=Search(trials=14),
        stopping=MoAsha(first_rung=12),
    ),
)
