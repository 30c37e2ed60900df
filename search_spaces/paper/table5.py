"""Table 5: free adversarial training with ResNet-50 as the encoder.

python -m study.run --space search_spaces/paper/table5.py --preset paper
"""

from search_spaces.paper._recipes import ROBUST_CENTRAL, emp_ssl, free, laptop_levels, levels, simclr
from study.spec import Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import TrialConfig

ROWS = (
    emp_ssl(free(7), 9) | ROBUST_CENTRAL,
    emp_ssl(free(3), 10) | ROBUST_CENTRAL,
    simclr(free(7), 150) | ROBUST_CENTRAL,
    simclr(free(3), 150) | ROBUST_CENTRAL,
)

STUDY = StudySpec(
    name="paper_table5",
    question="Do the findings hold for a larger encoder, and do more replays help against larger perturbations?",
    base=TrialConfig(encoder="resnet50"),
    factors=(Factor(name="recipe", levels=levels(ROWS)),),
    design=Grid(),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(
        factors=(Factor(name="recipe", levels=laptop_levels(ROWS)),),
        seeds=(0,),
    ),
)
