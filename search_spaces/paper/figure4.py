"""Figure 4: sizes of crops for EMP-SSL under three probes.

python -m study.run --space search_spaces/paper/figure4.py --preset paper
"""

from search_spaces.paper._recipes import CENTRAL, CROP, PATCH, PGD_5, crop, emp_ssl, n_views, rows_study

# Sizes other than crop and patch are assumed: the paper's text names none.
ROWS = (
    emp_ssl(PGD_5, 30, PATCH),
    emp_ssl(PGD_5, 30, CROP),
    emp_ssl(PGD_5, 30, crop(0.25)),
    emp_ssl(PGD_5, 30, crop(0.5)),
)
PROBES = (CENTRAL, n_views(32), n_views(64))

STUDY = rows_study(
    name="paper_figure4",
    question="Do crops make EMP-SSL more robust than its patches, and does averaging over views in the probe pay?",
    rows=ROWS,
    probes=PROBES,
    laptop_base={"eval_samples": 100},
)
