"""How much of a robust accuracy is due to the probe? Sixteen trials on two encoders, each trained once.

python -m study.run --space search_spaces/probe_protocols.py
"""

from optuna.distributions import CategoricalDistribution

from study.spec import Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import TrialConfig

STUDY = StudySpec(
    name="probe_protocols",
    question="How far do probe, probed layer and the threat model move the accuracies of one and the same encoder?",
    base=TrialConfig(),
    factors=(
        Factor(name="adversary", distribution=CategoricalDistribution(["free", "none"])),
        Factor(name="probe", distribution=CategoricalDistribution(["central", "robust_central", "n_views"])),
        Factor(name="probe_layer", distribution=CategoricalDistribution(["hidden", "backbone"])),
        Factor(
            name="probe_threat",
            distribution=CategoricalDistribution(["image", "per_view"]),
            when={"probe": ("n_views",)},
        ),
    ),
    asks=("probe", "probe_layer", "probe_threat"),
    design=Grid(),
    laptop=LaptopPreset(base={"probe_views": 4, "eval_samples": 100}),
)
