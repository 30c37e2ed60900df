"""Figure 3: sizes of patches for SimCLR under three probes.

python -m study.run --space search_spaces/paper/figure3.py --preset paper
"""

from search_spaces.paper._recipes import CENTRAL, CROP, PGD_5, n_views, patch, rows_study, simclr

# Sizes other than crop and patch are assumed: the paper's text names none.
ROWS = (
    simclr(PGD_5, 500, CROP),
    simclr(PGD_5, 500, patch(0.25)),
    simclr(PGD_5, 500, patch(0.5)),
    simclr(PGD_5, 500, patch(0.75)),
)
PROBES = (CENTRAL, n_views(32), n_views(64))

STUDY = rows_study(
    name="paper_figure3",
    question="Do larger patches make SimCLR more robust, and does averaging over views in the probe pay?",
    rows=ROWS,
    probes=PROBES,
    laptop_base={"eval_samples": 100},
)
