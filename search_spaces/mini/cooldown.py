"""Does a schedule that trainings of other lengths can branch from cost accuracy or robustness?

python -m study.run --space search_spaces/mini/cooldown.py --preset mini
"""

from search_spaces.mini._claim import claim

STUDY = claim(
    name="cooldown",
    question="Does a constant learning rate with a cooldown, which other lengths can share, do as well as the cosine?",
    arms={
        "cosine": {"lr_schedule": "cosine"},
        "cooldown": {"lr_schedule": "cooldown", "learning_rate": 0.21, "cooldown_share": 0.2},
    },
    means={"better": "Yes, and better.", "equal": "Yes.", "worse": "No."},
)
