"""Does a clean teacher buy robustness cheaper? A student that is distilled from it, against EMP-SSL with free training.

Every recipe takes 480 view passes per image (on a laptop 60), those of the teacher included.

python -m study.run --space search_spaces/two_stages.py
"""

from typing import Any

from study.spec import Comparison, Factor, Grid, LaptopPreset, StudySpec
from trainables.trial_config import TrialConfig

STUDENT: dict[str, Any] = {"method": "deacl", "num_views": 1, "augmentation": "padded_crop"}


def recipes(num_views: int, epochs: int, student_passes: int) -> dict[str, dict[str, Any]]:
    """Each recipe's fields; a student's passes per image and epoch are 7 with PGD-5, 6 with m = 3, 3 with one step."""
    emp_ssl = {"method": "emp_ssl", "num_views": num_views, "augmentation": "emp_ssl"}
    return {
        "EMP-SSL, free": emp_ssl | {"adversary": "free", "epochs": epochs},
        "teacher, then PGD": STUDENT | {"adversary": "pgd", "epochs": student_passes // 7},
        "teacher, then free": STUDENT | {"adversary": "free", "epochs": student_passes // 6},
        "teacher, then FGSM": STUDENT | {"adversary": "fgsm", "epochs": student_passes // 3},
    }


STUDY = StudySpec(
    name="two_stages",
    question="Does a clean teacher buy robustness cheaper than adversarial self-supervised learning at equal passes?",
    base=TrialConfig(
        probe_layer="backbone",
        attack_batchnorm="eval",
        teacher_method="emp_ssl",
        teacher_num_views=16,
        teacher_epochs=9,
    ),
    factors=(Factor(name="recipe", levels=recipes(num_views=16, epochs=10, student_passes=336)),),
    compares=Comparison(
        arms={name: {"recipe": name} for name in ("EMP-SSL, free", "teacher, then PGD")},
        means={"better": "Yes.", "equal": "No, not cheaper.", "worse": "No."},
    ),
    design=Grid(),
    seeds=(0, 1, 2),
    laptop=LaptopPreset(
        seeds=(0,),
        base={"teacher_num_views": 6, "teacher_epochs": 3},
        factors=(Factor(name="recipe", levels=recipes(num_views=4, epochs=5, student_passes=42)),),
    ),
)
