"""Which encoders gain most from adversarial full fine-tuning? Each is trained once and evaluated in three ways.

python -m study.run --space search_spaces/fine_tuning.py

The probes are those of ACL, DynACL and DeACL: standard and adversarial linear fine-tuning of the backbone's features
(SLF, ALF), and adversarial full fine-tuning (AFF), whose compute is counted as training.
"""

from typing import Any

from optuna.distributions import CategoricalDistribution

from study.spec import Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import TrialConfig

PROBES: dict[str, dict[str, Any]] = {
    "SLF": {"probe": "central"},
    "ALF": {"probe": "robust_central"},
    "ALF, TRADES": {"probe": "robust_central", "probe_loss": "trades"},
    "AFF, TRADES": {"probe": "full_finetuning", "probe_loss": "trades"},
}
METHODS: dict[str, dict[str, Any]] = {
    "EMP-SSL": {"method": "emp_ssl"},
    "SimCLR": {"method": "simclr", "num_views": 2},
    "supervised": {"method": "supervised", "num_views": 1},
}

STUDY = StudySpec(
    name="fine_tuning",
    question="Which encoders gain most from adversarial full fine-tuning?",
    base=TrialConfig(
        probe_layer="backbone", probe_protocol="acl", probe_attack_steps=10, probe_attack_step_255=2.0,
        eval_knn_neighbours=20,
    ),
    factors=(
        Factor(name="pretraining", levels=METHODS),
        Factor(name="adversary", distribution=CategoricalDistribution(["none", "free"])),
        Factor(name="probes", levels=PROBES),
    ),
    asks=("probes",),
    design=Grid(),
    laptop=LaptopPreset(base={"probe_epochs": 10, "probe_learning_rate": 0.1, "probe_attack_steps": 5}),
)  # fmt: skip
