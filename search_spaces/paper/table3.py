"""Table 3: what adversarial training of the linear probe adds to a robust encoder.

python -m study.run --space search_spaces/paper/table3.py --preset paper
"""

from search_spaces.paper._recipes import CENTRAL, PGD_5, ROBUST_CENTRAL, emp_ssl, rows_study, simclr

ROWS = (
    simclr(PGD_5, 500),
    emp_ssl(PGD_5, 30),
)
PROBES = (CENTRAL, ROBUST_CENTRAL)

STUDY = rows_study(
    name="paper_table3",
    question="Does an adversarially trained probe bring out robustness that the encoder has already?",
    rows=ROWS,
    probes=PROBES,
)
