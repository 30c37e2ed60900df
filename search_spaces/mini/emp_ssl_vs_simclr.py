"""Is EMP-SSL more robust than SimCLR under the same augmentation and view passes?

python -m study.run --space search_spaces/mini/emp_ssl_vs_simclr.py --preset mini
"""

from search_spaces.mini._claim import claim

STUDY = claim(
    name="emp_ssl_vs_simclr",
    question="Is EMP-SSL on 16 crops more robust than SimCLR on 2, under equal augmentation and view passes?",
    arms={
        "SimCLR, 2 crops, 80 epochs": {"method": "simclr", "num_views": 2, "epochs": 80, "batch_size": 500},
        "EMP-SSL, 16 crops, 10 epochs": {"method": "emp_ssl", "num_views": 16, "epochs": 10},
    },
)
