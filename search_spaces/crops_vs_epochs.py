"""Can more crops per image make up for fewer epochs, and what does adversarial training cost on top?

python -m study.run --space search_spaces/crops_vs_epochs.py
"""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from study.spec import Comparison, Factor, LaptopPreset, MoAsha, Search, StudySpec
from trainables.trial_config import TrialConfig

ADVERSARY = Factor(name="adversary", distribution=CategoricalDistribution(["free", "pgd", "none"]))
REPLAYS = Factor(name="replays", distribution=CategoricalDistribution([3, 5]), when={"adversary": ("free",)})
SMALLEST_CROP = Factor(name="view_scale_min", distribution=FloatDistribution(0.08, 0.5, step=0.02))

MEANS = {"better": "Yes, and more.", "equal": "Yes.", "worse": "No, not fully."}


def comparison(few: tuple[int, int], many: tuple[int, int], pairs: int) -> Comparison:
    """Two numbers of views and epochs of equal product, so that both arms make the same number of view passes."""
    return Comparison(
        arms={
            "few crops, many epochs": {"num_views": few[0], "epochs": few[1]},
            "many crops, few epochs": {"num_views": many[0], "epochs": many[1]},
        },
        given={"adversary": "free", "replays": 3, "view_scale_min": 0.08},
        pairs=pairs,
        means=MEANS,
    )


STUDY = StudySpec(
    name="crops_vs_epochs",
    question="Can more crops per image make up for fewer epochs in adversarial self-supervised learning?",
    base=TrialConfig(),
    factors=(
        Factor(name="num_views", distribution=CategoricalDistribution([4, 8, 16, 32])),
        Factor(name="epochs", distribution=CategoricalDistribution([3, 5, 10, 20, 30, 40])),
        ADVERSARY,
        REPLAYS,
        SMALLEST_CROP,
    ),
    references=({"num_views": 16, "epochs": 30, "adversary": "none", "view_scale_min": 0.08},),
    compares=comparison(few=(4, 40), many=(16, 10), pairs=3),
    design=Search(trials=60),
    stopping=MoAsha(first_rung=48),
    laptop=LaptopPreset(
        factors=(
            Factor(name="num_views", distribution=CategoricalDistribution([2, 4, 8])),
            Factor(name="epochs", distribution=CategoricalDistribution([1, 2, 4])),
            ADVERSARY,
            Factor(name="replays", distribution=CategoricalDistribution([2, 3]), when={"adversary": ("free",)}),
            SMALLEST_CROP,
        ),
        references=({"num_views": 4, "epochs": 4, "adversary": "none", "view_scale_min": 0.08},),
        compares=comparison(few=(2, 4), many=(8, 1), pairs=6),
        design=Search(trials=5),
        stopping=MoAsha(first_rung=12),
    ),
)
