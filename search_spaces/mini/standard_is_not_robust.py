"""Is an encoder that was pretrained without an adversary not robust under a plain probe?

python -m study.run --space search_spaces/mini/standard_is_not_robust.py --preset mini
"""

from search_spaces.mini._claim import claim

STUDY = claim(
    name="standard_is_not_robust",
    question="Does adversarial pretraining make an encoder robust that standard pretraining leaves open to attacks?",
    arms={
        "standard, 30 epochs, plain probe": {"adversary": "none", "epochs": 30, "probe": "central"},
        "free m=3, 10 epochs, plain probe": {"probe": "central"},
    },
)
