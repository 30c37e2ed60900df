"""Table 6: AutoAttack on six encoders of Table 4.

python -m study.run --space search_spaces/paper/table6.py --preset paper
"""

from search_spaces.paper._recipes import PGD_5, ROBUST_CENTRAL, emp_ssl, free, rows_study, simclr
from trainables.trial_config import TrialConfig

ROWS = (
    emp_ssl(PGD_5, 30) | ROBUST_CENTRAL,
    emp_ssl(free(3), 10) | ROBUST_CENTRAL,
    emp_ssl(free(5), 6) | ROBUST_CENTRAL,
    simclr(PGD_5, 500) | ROBUST_CENTRAL,
    simclr(free(3), 167) | ROBUST_CENTRAL,
    simclr(free(5), 100) | ROBUST_CENTRAL,
)

STUDY = rows_study(
    name="paper_table6",
    question="Is the robustness of Table 4 still there under AutoAttack?",
    rows=ROWS,
    # Assumed: accuracies with two decimals need all test images.
    base=TrialConfig(eval_autoattack_samples=10_000),
    laptop_base={"eval_autoattack_samples": 20},
)
