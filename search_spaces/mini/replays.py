"""How many replays of a batch are best, at equal view passes?

python -m study.run --space search_spaces/mini/replays.py --preset mini
"""

from search_spaces.mini._claim import claim

STUDY = claim(
    name="replays",
    question="How many replays m of free training give the most robust encoder, at equal view passes?",
    arms={
        "m=3, 10 epochs": {"replays": 3, "epochs": 10},
        "m=1, 30 epochs": {"replays": 1, "epochs": 30},
        "m=5, 6 epochs": {"replays": 5, "epochs": 6},
    },
    means={"better": "More than with m=3.", "equal": "As much as with m=3.", "worse": "Less than with m=3."},
)
