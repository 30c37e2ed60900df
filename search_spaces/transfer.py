"""Does robustness survive a change of the data? Encoders pretrained on CIFAR-10 are probed and attacked on CIFAR-100.

python -m study.run --space search_spaces/transfer.py

``--set probe_dataset=stl10 --name transfer_stl10`` asks the same of other images, ``--set probe_dataset=none
--name untransferred`` without transfer; both find the encoders of this study and train none.
"""

from optuna.distributions import CategoricalDistribution

from study.spec import Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import TrialConfig

STUDY = StudySpec(
    name="transfer",
    question="Does the robustness of an encoder survive where only the probe has seen the images?",
    base=TrialConfig(dataset="cifar10", probe_dataset="cifar100"),
    factors=(
        Factor(name="adversary", distribution=CategoricalDistribution(["free", "pgd", "none"])),
        Factor(name="probe", distribution=CategoricalDistribution(["central", "robust_central"])),
    ),
    design=Grid(),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(
        base={"dataset": "cifar10", "image_size": 32, "train_images": 3000, "probe_train_images": 5000},
        seeds=(0,),
    ),
)
