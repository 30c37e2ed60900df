"""Figure 5: how many views, as crops and as patches, probed on the whole image and on an average of views.

python -m study.run --space search_spaces/paper/figure5.py --preset paper
"""

from search_spaces.paper._recipes import CENTRAL, CROP, PATCH, PGD_5, emp_ssl, n_views, rows_study

NUMBERS = (4, 8, 16, 32)  # 8 and 32 are assumed
ROWS = (*(emp_ssl(PGD_5, 30, views) | {"num_views": number} for views in (CROP, PATCH) for number in NUMBERS),)
PROBES = (CENTRAL, n_views(32))  # the number of the probe's views is assumed

STUDY = rows_study(
    name="paper_figure5",
    question="How many crops or patches does robust EMP-SSL need, under which probe?",
    rows=ROWS,
    probes=PROBES,
    laptop_base={"eval_samples": 100},
)
