"""Which of the differences makes the recipe that the search found better than CF-AMC-SSL?

python -m study.run --space search_spaces/mini/ablate_found_recipe.py --preset mini
"""

from search_spaces.mini.found_recipe import FOUND
from study.spec import Ablation, StudySpec
from trainables.trial_config import TrialConfig

CF_AMC_SSL = TrialConfig()

STUDY = StudySpec(
    name="mini_ablate_found_recipe",
    question="Which difference between CF-AMC-SSL and the recipe that the search found brings robustness?",
    design=Ablation(
        from_=CF_AMC_SSL,
        to=CF_AMC_SSL.replace(epochs=5, **FOUND),
        groups={
            "updates": ("batch_size", "learning_rate"),
            "loss": ("invariance_weight", "coding_rate_eps2"),
        },
        greedy=False,
    ),
)
