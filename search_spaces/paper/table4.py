"""Table 4: CF-AMC-SSL against PGD training, SimCLR and supervised free training, on CIFAR-10 or CIFAR-100.

The ImageNet-100 columns are a separate space, table4_imagenet100.py.

python -m study.run --space search_spaces/paper/table4.py --preset paper
"""

from search_spaces.paper._recipes import PGD_5, ROBUST_CENTRAL, emp_ssl, free, rows_study, simclr, supervised

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

STUDY = rows_study(
    name="paper_table4",
    question="How do accuracy, robustness and cost of free training depend on replays, epochs and method?",
    rows=ROWS,
)
