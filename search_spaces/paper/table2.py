"""Table 2: standard pretraining, probed on the whole image and on averages of 32 and 64 views.

python -m study.run --space search_spaces/paper/table2.py --preset paper
"""

from search_spaces.paper._recipes import (
    CENTRAL,
    PATCH,
    STANDARD,
    emp_ssl,
    laptop_levels,
    laptop_probe_levels,
    levels,
    n_views,
    probe_levels,
    simclr,
)
from study.spec import Factor, Grid, LaptopPreset, StudySpec

# The number of patches in training is assumed.
ROWS = (
    simclr(STANDARD, 500),
    emp_ssl(STANDARD, 30, PATCH),
)
PROBES = (CENTRAL, n_views(32), n_views(64))

STUDY = StudySpec(
    name="paper_table2",
    question="Does either method withstand an attack after standard pretraining, and do more views in the probe help?",
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
