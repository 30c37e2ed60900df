"""Is free training as robust as PGD training, at equal view passes and at equal updates?

python -m study.run --space search_spaces/mini/free_vs_pgd.py --preset mini
"""

from search_spaces.mini._claim import claim

STUDY = claim(
    name="free_vs_pgd",
    question="Is free training at least as robust as PGD-5, at equal view passes and at equal updates?",
    arms={
        "free m=3, 10 epochs": {},
        "PGD-5, 5 epochs (equal passes)": {"adversary": "pgd", "epochs": 5},
        "PGD-5, 30 epochs (equal updates)": {"adversary": "pgd", "epochs": 30},
    },
    means={"better": "No: PGD-5 is ahead.", "equal": "Yes: equal.", "worse": "Yes: free training is ahead."},
)
