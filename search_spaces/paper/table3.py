"""Table 3: what adversarial training of the linear probe adds to a robust encoder.

python -m study.run --space search_spaces/paper/table3.py --preset paper
"""

from search_spaces.paper._recipes import (
    CENTRAL,
    PGD_5,
    ROBUST_CENTRAL,
    emp_ssl,
    laptop_levels,
    laptop_probe_levels,
    levels,
    probe_levels,
    simclr,
)
from study.spec import Factor, Grid, LaptopPreset, StudySpec

ROWS = (
    simclr(PGD_5, 500),
    emp_ssl(PGD_5, 30),
)
PROBES = (CENTRAL, ROBUST_CENTRAL)

STUDY = StudySpec(
    name="paper_table3",
    question="Does an adversarially trained probe bring out robustness that the encoder has already?",
    factors=(
        Factor(name="recipe", levels=levels(ROWS)),
        Factor(name="probe", levels=probe_levels(PROBES)),
    ),
    design=Grid(),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(
        factors=(
            Factor(name="recipe", levels=laptop_levels(ROWS)),
            Factor(name="probe", levels=laptop_probe_levels(PROBES)),
        ),
        seeds=(0,),
    ),
)
