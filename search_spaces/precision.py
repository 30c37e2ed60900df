"""Does bf16 autocast change accuracy or robustness? CF-AMC-SSL in both precisions, over eight seeds.

python -m study.run --space search_spaces/precision.py
"""

from optuna.distributions import CategoricalDistribution

from study.spec import Comparison, Factor, Grid, StudySpec
from trainables.trial_config import TrialConfig

STUDY = StudySpec(
    name="precision",
    question="Does half precision cost accuracy or robustness?",
    base=TrialConfig(adversary="free", replays=3),
    factors=(Factor(name="precision", distribution=CategoricalDistribution(["fp32", "bf16"])),),
    compares=Comparison(
        arms={"single precision": {"precision": "fp32"}, "half precision": {"precision": "bf16"}},
        means={"better": "No.", "equal": "No.", "worse": "Yes."},
    ),
    design=Grid(),
    seeds=tuple(range(8)),
)
