"""Does an adversarially trained linear probe bring out robustness that a plain one leaves unused?

python -m study.run --space search_spaces/mini/robust_probe.py --preset mini
"""

from search_spaces.mini._claim import claim

STUDY = claim(
    name="robust_probe",
    question="Does an adversarially trained probe bring out more robustness of the same encoder than a plain one?",
    arms={"plain probe": {"probe": "central"}, "robust probe": {"probe": "robust_central"}},
)
