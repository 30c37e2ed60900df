"""Table 1: crops against patches, EMP-SSL against SimCLR, PGD against free adversarial training.

python -m study.run --space search_spaces/paper/table1.py --preset paper
"""

from search_spaces.paper._recipes import CROP, PATCH, PGD_5, ROBUST_CENTRAL, emp_ssl, free, rows_study, simclr

ROWS = (
    emp_ssl(PGD_5, 30, PATCH) | ROBUST_CENTRAL,
    emp_ssl(PGD_5, 30, CROP) | ROBUST_CENTRAL,
    simclr(PGD_5, 500, CROP) | ROBUST_CENTRAL,
    simclr(PGD_5, 500, PATCH) | ROBUST_CENTRAL,
    emp_ssl(free(3), 10, PATCH) | ROBUST_CENTRAL,
    simclr(free(3), 167, CROP) | ROBUST_CENTRAL,
    emp_ssl(free(3), 10, CROP) | ROBUST_CENTRAL,
)

STUDY = rows_study(
    name="paper_table1",
    question="Do crops beat patches, and EMP-SSL SimCLR, under attack, and is free training as good for less?",
    rows=ROWS,
)
