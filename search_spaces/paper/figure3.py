"""Figure 3: sizes of patches for SimCLR under three probes.

python -m study.run --space search_spaces/paper/figure3.py --preset paper
"""

from search_spaces.paper._recipes import (
    CENTRAL,
    CROP,
    PGD_5,
    laptop_levels,
    laptop_probe_levels,
    levels,
    n_views,
    patch,
    probe_levels,
    simclr,
)
from study.spec import Factor, Grid, LaptopPreset, StudySpec

# Sizes other than crop and patch are assumed: the paper's text names none.
ROWS = (
    simclr(PGD_5, 500, CROP),
    simclr(PGD_5, 500, patch(0.25)),
    simclr(PGD_5, 500, patch(0.5)),
    simclr(PGD_5, 500, patch(0.75)),
)
PROBES = (CENTRAL, n_views(32), n_views(64))

STUDY = StudySpec(
    name="paper_figure3",
    question="Do larger patches make SimCLR more robust, and does averaging over views in the probe pay?",
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
