"""Table 6: AutoAttack on six encoders of Table 4.

python -m study.run --space search_spaces/paper/table6.py --preset paper
"""

from search_spaces.paper._recipes import PGD_5, ROBUST_CENTRAL, emp_ssl, free, laptop_levels, levels, simclr
from study.spec import Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import TrialConfig

ROWS = (
    emp_ssl(PGD_5, 30) | ROBUST_CENTRAL,
    emp_ssl(free(3), 10) | ROBUST_CENTRAL,
    emp_ssl(free(5), 6) | ROBUST_CENTRAL,
    simclr(PGD_5, 500) | ROBUST_CENTRAL,
    simclr(free(3), 167) | ROBUST_CENTRAL,
    simclr(free(5), 100) | ROBUST_CENTRAL,
)

STUDY = StudySpec(
    name="paper_table6",
    question="Is the robustness of Table 4 still there under AutoAttack?",
    # Assumed: accuracies with two decimals need all test images.
    base=TrialConfig(eval_autoattack_samples=10_000),
    factors=(Factor(name="recipe", levels=levels(ROWS)),),
    design=Grid(),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(
        base={"eval_autoattack_samples": 20},
        factors=(Factor(name="recipe", levels=laptop_levels(ROWS)),),
        seeds=(0,),
    ),
)
