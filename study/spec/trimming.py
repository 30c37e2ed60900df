"""What is left of choices of factor values where a setting has fixed some of the factors."""

from pydantic import BaseModel

from study.spec.designs import Comparison
from study.spec.factors import Factor, Params


def trimmed_comparison(comparison: Comparison, base: BaseModel, factors: tuple[Factor, ...]) -> Comparison | None:
    """The comparison where only ``factors`` are left; None if its arms no longer differ, or lack a value."""
    names = {factor.name for factor in factors}
    if any(name not in names for arm in comparison.arms.values() for name in arm):
        return None
    given = {name: value for name, value in comparison.given.items() if name in names}
    parts = {arm: active_part(given | params, base, factors) for arm, params in comparison.arms.items()}
    kept = {arm: params for arm, params in parts.items() if params is not None}
    different = [params for place, params in enumerate(kept.values()) if params not in list(kept.values())[:place]]
    if len(different) < len(parts):
        return None
    common = {name: value for name, value in given.items() if all(name in params for params in kept.values())}
    arms = {arm: {name: params[name] for name in params if name not in common} for arm, params in kept.items()}
    return comparison.replace(arms=arms, given=common)


def active_part(params: Params, base: BaseModel, factors: tuple[Factor, ...]) -> Params | None:
    """``params`` without inactive factors, or None if an active factor has no value."""
    fields = base.model_dump()
    part: Params = {}
    for factor in factors:
        if factor.is_active(fields):
            if factor.name not in params:
                return None
            part[factor.name] = params[factor.name]
            fields |= factor.changes(params[factor.name])
    return part
