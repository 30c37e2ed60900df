"""Figure 2: sizes of patches for SimCLR and of crops for EMP-SSL, PGD training, probed on the whole image.

python -m study.run --space search_spaces/paper/figure2.py --preset paper
"""

from search_spaces.paper._recipes import CENTRAL, CROP, PATCH, PGD_5, crop, emp_ssl, patch, rows_study, simclr

# Sizes other than crop and patch are assumed: the paper's text names none.
ROWS = (
    simclr(PGD_5, 500, CROP) | CENTRAL,
    simclr(PGD_5, 500, patch(0.25)) | CENTRAL,
    simclr(PGD_5, 500, patch(0.5)) | CENTRAL,
    simclr(PGD_5, 500, patch(0.75)) | CENTRAL,
    emp_ssl(PGD_5, 30, PATCH) | CENTRAL,
    emp_ssl(PGD_5, 30, CROP) | CENTRAL,
    emp_ssl(PGD_5, 30, crop(0.25)) | CENTRAL,
    emp_ssl(PGD_5, 30, crop(0.5)) | CENTRAL,
)

STUDY = rows_study(
    name="paper_figure2",
    question="How do the sizes of views move accuracy and robustness, for SimCLR and for EMP-SSL?",
    rows=ROWS,
)
