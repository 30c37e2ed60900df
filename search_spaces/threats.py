"""Does robustness to one threat carry over to others? Training and probe against l-infinity or l2, or against nothing.

python -m study.run --space search_spaces/threats.py

Every trial is attacked in both norms and evaluated on common corruptions. These are generated: see docs/fidelity.md.
"""

from typing import Any

from study.spec import Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import PAPER_STEP_255, Norm, TrialConfig

STEP_PER_RADIUS = PAPER_STEP_255 / 8  # the paper's, for every threat


def trained_against(norm: Norm, radius_255: float) -> dict[str, Any]:
    """Free adversarial training of the encoder, and an adversarially trained probe, against the same threat."""
    threat = {"norm": norm, "radius_255": radius_255, "step_255": STEP_PER_RADIUS * radius_255}
    return (
        {"adversary": "free", "probe": "robust_central"}
        | {f"attack_{name}": value for name, value in threat.items()}
        | {f"probe_attack_{name}": value for name, value in threat.items()}
    )


STUDY = StudySpec(
    name="threats",
    question="Does robustness to one threat carry over to others?",
    base=TrialConfig(eval_l2_radii_255=(64.0, 128.0, 256.0), eval_corruptions="generated"),
    factors=(
        Factor(
            name="trained against",
            levels={
                "nothing": {"adversary": "none", "probe": "central"},
                "linf, 4/255": trained_against("linf", 4.0),
                "linf, 8/255": trained_against("linf", 8.0),
                "l2, 64/255": trained_against("l2", 64.0),
                "l2, 128/255": trained_against("l2", 128.0),
            },
        ),
    ),
    objectives=("val_clean", "val_pgd_8", "val_pgd_l2_128", "val_corrupted"),
    design=Grid(),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(seeds=(0, 1)),
)
