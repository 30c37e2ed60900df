"""A claim of the paper as a study: arms that differ in a few fields of CF-AMC-SSL, compared over a few seeds.

Not itself a space.
"""

from collections.abc import Mapping
from typing import Any, Literal

from study.spec import Comparison, Factor, Grid, StudySpec
from trainables.trial_config import TrialConfig

Recipe = dict[str, Any]

MEANS = {"better": "Confirmed.", "equal": "Contradicted: no difference.", "worse": "Contradicted."}


def claim(
    name: str,
    question: str,
    arms: Mapping[str, Recipe],
    means: Mapping[Literal["better", "equal", "worse"], str] | None = None,
    pairs: int = 3,
    base: TrialConfig | None = None,
) -> StudySpec:
    """A study whose answer says whether the second of its arms has the higher robust accuracy.

    Args:
        name: of the study, behind ``mini_``.
        question: of the claim.
        arms: name -> the fields in which it differs from ``base``; the first is what the others are compared with.
        means: what a verdict says of the claim; by default that the second arm is ahead.
        pairs: seeds of each arm.
        base: what all arms share; by default CF-AMC-SSL: 16 crops, free training with m = 3, 10 epochs.
    """
    return StudySpec(
        name=f"mini_{name}",
        question=question,
        base=base or TrialConfig(),
        factors=(Factor(name="recipe", levels=dict(arms)),),
        compares=Comparison(arms={arm: {"recipe": arm} for arm in arms}, pairs=pairs, means=means or MEANS),
        design=Grid(),
        seeds=tuple(range(pairs)),
    )
