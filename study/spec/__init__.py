"""What a study is: base config, factors, objectives, search design and early stopping; imports no torch and no Ray."""

from study.spec.designs import Ablation, Budget, Comparison, Confirmation, Design, Grid, Plateau, Search
from study.spec.factors import Constraint, Factor, Objective, Params, PriorTrial
from study.spec.samplers import SAMPLERS
from study.spec.stopping import STOPPING, MoAsha, NoStopping, PausingMoAsha, RayAsha, Rungs, Stopping
from study.spec.study_spec import LaptopPreset, StudySpec

__all__ = [
    "SAMPLERS",
    "STOPPING",
    "Ablation",
    "Budget",
    "Comparison",
    "Confirmation",
    "Constraint",
    "Design",
    "Factor",
    "Grid",
    "LaptopPreset",
    "MoAsha",
    "NoStopping",
    "Objective",
    "Params",
    "PausingMoAsha",
    "Plateau",
    "PriorTrial",
    "RayAsha",
    "Rungs",
    "Search",
    "Stopping",
    "StudySpec",
]
