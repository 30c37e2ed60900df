"""Is the recipe that the search found better than CF-AMC-SSL, with seeds that the search has not seen (``--seed 3``)?

python -m study.run --space search_spaces/mini/found_recipe.py --preset mini --seed 3

The recipe is trial t0029 of docs/results/mini/mini_better_recipe, with its numbers rounded, at 0.5 and at 0.8 of the
passes of CF-AMC-SSL.
"""

from search_spaces.mini._claim import claim
from trainables.trial_config import TrialConfig

FOUND = {
    "batch_size": 50,
    "view_scale_min": 0.6,
    "learning_rate": 0.17,
    "attack_radius_255": 9.6,
    "invariance_weight": 94.0,
    "coding_rate_eps2": 0.05,
}

STUDY = claim(
    name="found_recipe",
    question="Is the recipe that the search found more robust than CF-AMC-SSL, at half the compute?",
    arms={
        "CF-AMC-SSL": {"epochs": 10},
        "found, 5 epochs": {**FOUND, "epochs": 5},
        "found, 8 epochs": {**FOUND, "epochs": 8},
    },
    means={"better": "Yes.", "equal": "It is as robust.", "worse": "No."},
    pairs=5,
    base=TrialConfig(eval_autoattack_samples=200),
)
