"""Table 2: standard pretraining, probed on the whole image and on averages of 32 and 64 views.

python -m study.run --space search_spaces/paper/table2.py --preset paper
"""

from search_spaces.paper._recipes import CENTRAL, PATCH, STANDARD, emp_ssl, n_views, rows_study, simclr

# The number of patches in training is assumed.
ROWS = (
    simclr(STANDARD, 500),
    emp_ssl(STANDARD, 30, PATCH),
)
PROBES = (CENTRAL, n_views(32), n_views(64))

STUDY = rows_study(
    name="paper_table2",
    question="Does either method withstand an attack after standard pretraining, and do more views in the probe help?",
    rows=ROWS,
    probes=PROBES,
    laptop_base={"eval_samples": 100},
)
