"""Table 5: free adversarial training with ResNet-50 as the encoder.

python -m study.run --space search_spaces/paper/table5.py --preset paper
"""

from search_spaces.paper._recipes import ROBUST_CENTRAL, emp_ssl, free, rows_study, simclr
from trainables.trial_config import TrialConfig

ROWS = (
    emp_ssl(free(7), 9) | ROBUST_CENTRAL,
    emp_ssl(free(3), 10) | ROBUST_CENTRAL,
    simclr(free(7), 150) | ROBUST_CENTRAL,
    simclr(free(3), 150) | ROBUST_CENTRAL,
)

STUDY = rows_study(
    name="paper_table5",
    question="Do the findings hold for a larger encoder, and do more replays help against larger perturbations?",
    rows=ROWS,
    base=TrialConfig(encoder="resnet50"),
)
