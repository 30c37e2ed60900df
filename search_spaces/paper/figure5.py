"""Figure 5: how many views, as crops and as patches, probed on the whole image and on an average of views.

python -m study.run --space search_spaces/paper/figure5.py --preset paper
"""

from search_spaces.paper._recipes import (
    CENTRAL,
    CROP,
    PATCH,
    PGD_5,
    emp_ssl,
    laptop_levels,
    laptop_probe_levels,
    levels,
    n_views,
    probe_levels,
)
from study.spec import Factor, Grid, LaptopPreset, StudySpec

NUMBERS = (4, 8, 16, 32)  # 8 and 32 are assumed
ROWS = (*(emp_ssl(PGD_5, 30, views) | {"num_views": number} for views in (CROP, PATCH) for number in NUMBERS),)
PROBES = (CENTRAL, n_views(32))  # the number of the probe's views is assumed

STUDY = StudySpec(
    name="paper_figure5",
    question="How many crops or patches does robust EMP-SSL need, under which probe?",
    factors=(
        Factor(name="recipe", levels=levels(ROWS)),
        Factor(name="probe", levels=probe_levels(PROBES)),
    ),
    design=Grid(),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(
        base={"eval_samples": 100},
        factors=(
            Factor(name="recipe", levels=laptop_levels(ROWS)),
            Factor(name="probe", levels=laptop_probe_levels(PROBES)),
        ),
        seeds=(0,),
    ),
)
