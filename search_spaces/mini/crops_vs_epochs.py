"""Can more crops per image take the place of epochs, at equal view passes?

python -m study.run --space search_spaces/mini/crops_vs_epochs.py --preset mini
"""

from search_spaces.mini._claim import claim

STUDY = claim(
    name="crops_vs_epochs",
    question="Can more crops per image make up for fewer epochs, at equal view passes?",
    arms={
        "4 crops, 40 epochs": {"num_views": 4, "epochs": 40},
        "16 crops, 10 epochs": {"num_views": 16, "epochs": 10},
    },
    means={"better": "Yes, and more.", "equal": "Yes.", "worse": "No, not fully."},
)
