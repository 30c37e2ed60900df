"""The space of methods compares those of one stage without labels at equal view passes."""

import pytest

from search_spaces.methods import STUDY
from study.spec.choices import enumerate_grid
from trainables.pretraining.methods import METHODS


@pytest.mark.parametrize("preset", ["paper", "laptop"])
def test_every_method_meets_every_adversary_at_equal_view_passes(preset: str) -> None:
    spec = STUDY.with_preset(preset)
    found = [spec.config(params, seed=0) for params in enumerate_grid(spec)]
    passes = {config.epochs * config.view_passes_per_image() for config in found}
    assert passes == {480 if preset == "paper" else 120}
    assert len({config.augmentation for config in found}) == 1
    pairs = [(config.method, config.adversary) for config in found]
    assert sorted(pairs) == sorted(
        (method, adversary)
        for method in METHODS
        if not METHODS[method].needs_labels and not METHODS[method].has_teacher
        for adversary in ("none", "pgd", "free", "fgsm")
    )
