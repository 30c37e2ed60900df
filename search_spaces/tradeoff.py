"""The trade-off space: views, epochs, adversary and crop scale, small enough to be trained in full.

python -m study.run --space search_spaces/tradeoff.py

With ``--sampler grid --audit 1`` every combination runs to its end and reports at every rung: a table of learning
curves on which searches and early stopping can be compared.
"""

from typing import Any

from optuna.distributions import CategoricalDistribution

from study.spec import Factor, LaptopPreset, MoAsha, Params, Search, StudySpec
from trainables.trial_config import TrialConfig

ADVERSARIES: dict[str, dict[str, Any]] = {
    "none": {"adversary": "none"},
    "PGD-5": {"adversary": "pgd"},
    "free, m = 2": {"adversary": "free", "replays": 2},
    "free, m = 3": {"adversary": "free", "replays": 3},
}


def recipe(num_views: int, epochs: int) -> Params:
    """CF-AMC-SSL with m = 3, which the paper recommends."""
    return {"num_views": num_views, "epochs": epochs, "training": "free, m = 3", "view_scale_min": 0.08}


STUDY = StudySpec(
    name="tradeoff",
    question="Which mix of views, epochs, adversary and crop scale buys accuracy and robustness at the least compute?",
    base=TrialConfig(),
    factors=(
        Factor(name="num_views", distribution=CategoricalDistribution([4, 8, 16])),
        Factor(name="epochs", distribution=CategoricalDistribution([5, 10, 30])),
        Factor(name="training", levels=ADVERSARIES),
        Factor(name="view_scale_min", distribution=CategoricalDistribution([0.08, 0.3])),
    ),
    design=Search(trials=40, believed=(recipe(num_views=16, epochs=10),)),
    stopping=MoAsha(first_rung=160),
    laptop=LaptopPreset(
        factors=(
            Factor(name="num_views", distribution=CategoricalDistribution([2, 4, 8])),
            Factor(name="epochs", distribution=CategoricalDistribution([1, 2, 4])),
            Factor(name="training", levels=ADVERSARIES),
            Factor(name="view_scale_min", distribution=CategoricalDistribution([0.08, 0.3])),
        ),
        design=Search(trials=40, believed=(recipe(num_views=4, epochs=2),)),
        stopping=MoAsha(first_rung=24),
    ),
)
