"""Is there a recipe that is more accurate, more robust and cheaper than CF-AMC-SSL?

python -m study.run --space search_spaces/mini/better_recipe.py --preset mini

The region of interest is what CF-AMC-SSL reaches on validation images with the mini preset (mean of three seeds) at 0.9
of its compute. What is found is judged with other seeds, in ``found_recipe.py``.
"""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from study.spec import Budget, Factor, MoAsha, Objective, Search, StudySpec
from trainables.trial_config import TrialConfig

CF_AMC_SSL = {
    "num_views": 16,
    "epochs": 10,
    "replays": 3,
    "batch_size": 100,
    "view_scale_min": 0.08,
    "learning_rate": 0.3,
    "attack_radius_255": 8.0,
    "invariance_weight": 200.0,
    "coding_rate_eps2": 0.2,
}

STUDY = StudySpec(
    name="mini_better_recipe",
    question="Which recipe is more robust and more accurate than CF-AMC-SSL, for less compute?",
    base=TrialConfig(),
    factors=(
        Factor(name="num_views", distribution=CategoricalDistribution([2, 4, 8, 16, 32])),
        Factor(name="epochs", distribution=CategoricalDistribution([2, 5, 10, 20, 40])),
        Factor(name="replays", distribution=CategoricalDistribution([1, 2, 3, 5, 8])),
        Factor(name="batch_size", distribution=CategoricalDistribution([50, 100, 200])),
        Factor(name="view_scale_min", distribution=FloatDistribution(0.08, 0.6)),
        Factor(name="learning_rate", distribution=FloatDistribution(0.1, 3, log=True)),
        Factor(name="attack_radius_255", distribution=FloatDistribution(4, 12)),
        Factor(name="invariance_weight", distribution=FloatDistribution(20, 1000, log=True)),
        Factor(name="coding_rate_eps2", distribution=FloatDistribution(0.05, 1, log=True)),
    ),
    excluded=("num_views * epochs * replays > 480", "num_views * epochs * replays < 40"),
    objectives=(
        Objective("val_pgd_8", "maximize", at_least=14.7),
        Objective("val_clean", "maximize", at_least=42.8),
        Objective("train_pflop", "minimize", at_most=0.036),
    ),
    references=(CF_AMC_SSL,),
    design=Search(trials=60, budget=Budget(spent={"train_pflop": 0.6})),
    stopping=MoAsha(first_rung=80),
)
