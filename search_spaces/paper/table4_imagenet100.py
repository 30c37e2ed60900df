"""Table 4, the ImageNet-100 columns: free adversarial training at 224 pixels.

You provide the images: DIR holds train/<class>/ and test/<class>/ of the hundred classes.

python -m study.run --space search_spaces/paper/table4_imagenet100.py --preset paper --data-root DIR
"""

from search_spaces.paper._recipes import ROBUST_CENTRAL, emp_ssl, free, rows_study, simclr
from trainables.trial_config import TrialConfig

ROWS = (
    emp_ssl(free(5), 6) | ROBUST_CENTRAL,
    emp_ssl(free(5), 10) | ROBUST_CENTRAL,
    simclr(free(3), 167) | ROBUST_CENTRAL,
    simclr(free(5), 100) | ROBUST_CENTRAL,
)

STUDY = rows_study(
    name="paper_table4_imagenet100",
    question="Does free adversarial training on crops keep its lead over SimCLR on photographs?",
    rows=ROWS,
    # The size is assumed.
    base=TrialConfig(dataset="imagefolder", image_size=224),
)
