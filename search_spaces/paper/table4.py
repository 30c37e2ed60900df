"""Table 4: CF-AMC-SSL against PGD training, SimCLR and supervised free training, on CIFAR-10 or CIFAR-100.

The ImageNet-100 columns are a separate space, table4_imagenet100.py.

python -m study.run --space search_spaces/paper/table4.py --preset paper
"""

from search_spaces.paper._recipes import PGD_5, ROBUST_CENTRAL, emp_ssl, free, laptop_levels, levels, simclr, supervised
from study.spec import Factor, Grid, LaptopPreset, StudySpec

ROWS = (
    emp_ssl(PGD_5, 30) | ROBUST_CENTRAL,
    emp_ssl(free(3), 10) | ROBUST_CENTRAL,
    emp_ssl(free(5), 6) | ROBUST_CENTRAL,
    simclr(PGD_5, 500) | ROBUST_CENTRAL,
    simclr(free(3), 167) | ROBUST_CENTRAL,
    simclr(free(5), 100) | ROBUST_CENTRAL,
    emp_ssl(free(5), 18) | ROBUST_CENTRAL,
    emp_ssl(free(12), 10) | ROBUST_CENTRAL,
    supervised(free(3), 300),
    supervised(free(7), 300),
)

STUDY = StudySpec(
    name="paper_table4",
    question="How do accuracy, robustness and cost of free training depend on replays, epochs and method?",
    factors=(Factor(name="recipe", levels=levels(ROWS)),),
    design=Grid(),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(
        factors=(Factor(name="recipe", levels=laptop_levels(ROWS)),),
        seeds=(0,),
    ),
)
