"""Specs of small studies; nothing here trains."""

from collections.abc import Callable
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from study.spec import Factor, Search, StudySpec
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

MakeSpec = Callable[..., StudySpec]


@pytest.fixture
def make_spec() -> MakeSpec:
    """Makes specs with a conditional factor; keyword arguments replace parts."""

    def make(**changes: Any) -> StudySpec:
        parts: dict[str, Any] = {
            "name": "constructed",
            "question": "Does the engine keep its word?",
            "base": TrialConfig(**LAPTOP, eval_losses=("cross_entropy",)),  # made-up numbers follow from its hash
            "factors": (
                Factor(name="num_views", distribution=CategoricalDistribution([2, 4, 8])),
                Factor(name="epochs", distribution=CategoricalDistribution([1, 2, 3])),
                Factor(name="adversary", distribution=CategoricalDistribution(["free", "none"])),
                Factor(name="replays", distribution=CategoricalDistribution([2, 3]), when={"adversary": ("free",)}),
                Factor(name="view_scale_min", distribution=FloatDistribution(0.08, 0.5)),
            ),
            "design": Search(trials=10, sampler="tpe"),
        }
        return StudySpec(**(parts | changes))

    return make
