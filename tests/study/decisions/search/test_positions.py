"""Factor values as positions and as columns."""

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from study.decisions.search.positions import Position, columns, params_at, units_of
from study.spec import Factor, Search, StudySpec
from trainables.trial_config import TrialConfig

CONDITIONAL = (
    Factor(name="adversary", distribution=CategoricalDistribution(["free", "none", "pgd"])),
    Factor(name="replays", distribution=IntDistribution(2, 9), when={"adversary": ("free",)}),
    Factor(name="num_views", distribution=CategoricalDistribution([8, 2, 4])),
)


def spec_of(*factors: Factor) -> StudySpec:
    return StudySpec(name="x", question="?", base=TrialConfig(), factors=factors, design=Search(trials=3))


@pytest.mark.parametrize(
    "distribution",
    [
        IntDistribution(1, 3),
        IntDistribution(2, 20, step=3),
        IntDistribution(1, 64, log=True),
        FloatDistribution(0.1, 0.5),
        FloatDistribution(0.1, 0.5, step=0.1),
        FloatDistribution(1e-5, 1, log=True),
    ],
)
def test_positions_are_drawn_as_optuna_draws(distribution: BaseDistribution) -> None:
    """Quantiles of 4,000 even positions and of Optuna's own uniform draws differ by at most their noise."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    theirs = [study.ask({"x": distribution}).params["x"] for _ in range(1500)]
    factor = Factor(name="epochs", distribution=distribution)
    ours = [_value(factor, unit) for unit in np.linspace(0, 1, 4000, endpoint=False)]
    low, high = factor.extremes()
    assert low <= min(ours) and max(ours) <= high
    scale = np.log if getattr(distribution, "log", False) else np.asarray
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        difference = scale(np.quantile(ours, share)) - scale(np.quantile(theirs, share))
        assert abs(difference) <= 0.07 * (scale(high) - scale(low)) + 1e-9, share


def _value(factor: Factor, unit: float) -> float:
    position, domain = Position({"epochs": unit}), factor.domain()
    if isinstance(domain, IntDistribution):
        return position.suggest_int("epochs", domain.low, domain.high, step=domain.step, log=domain.log)
    assert isinstance(domain, FloatDistribution)
    return position.suggest_float("epochs", domain.low, domain.high, step=domain.step, log=domain.log)


def test_values_and_positions_are_each_others_inverse() -> None:
    spec = spec_of(
        *CONDITIONAL,
        Factor(name="view_scale_min", distribution=FloatDistribution(0.08, 0.5)),
        Factor(name="learning_rate", distribution=FloatDistribution(1e-3, 1, log=True)),
        Factor(name="epochs", distribution=IntDistribution(1, 40, log=True)),
    )
    rng = np.random.default_rng(0)
    for units in rng.random((60, len(spec.factors))):
        params = params_at(dict(zip([f.name for f in spec.factors], units, strict=True)), spec)
        again = params_at(units_of(params, spec), spec)
        assert again.keys() == params.keys()
        for name, value in params.items():
            assert again[name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_columns_of_categories_numbers_and_conditional_factors() -> None:
    spec = spec_of(*CONDITIONAL)
    assert columns({"adversary": "free", "replays": 9, "num_views": 8}, spec) == [1, 0, 0, 0.9375, 1, 1]
    assert columns({"adversary": "pgd", "num_views": 2}, spec) == [0, 0, 1, 0.5, 0, 0]
    assert columns({"adversary": "none", "num_views": 4}, spec) == [0, 1, 0, 0.5, 0, 0.5]


def test_two_categories_are_one_column_and_levels_have_no_order() -> None:
    spec = spec_of(
        Factor(name="adversary", distribution=CategoricalDistribution(["free", "none"])),
        Factor(name="recipe", levels={"short": {"epochs": 1}, "long": {"epochs": 9}, "longer": {"epochs": 20}}),
    )
    assert columns({"adversary": "none", "recipe": "long"}, spec) == [1, 0, 1, 0]
