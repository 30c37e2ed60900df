"""Conditions that leave combinations out: what they may say and mean, and that none of them is run as code."""

import json
from collections.abc import Callable

import pytest
from optuna.distributions import CategoricalDistribution
from pydantic import ValidationError

from study.spec import Factor, StudySpec
from study.spec.exclusions import holds, require_condition

MakeSpec = Callable[..., StudySpec]
NAMES = ["views", "epochs", "method", "rate"]
VALUES = {"views": 4, "epochs": 9, "method": "byol", "rate": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("views * epochs > 36", False),
        ("views * epochs >= 36", True),
        ("epochs % views != 0 and method == 'byol'", True),
        ("method in ('simclr', 'emp_ssl') or views < 2", False),
        ("not method in ['byol']", False),
        ("2 < views <= 4", True),
        ("epochs // views == 2", True),
        ("-views + 1 < 0", True),
        ("rate == None", True),
    ],
)
def test_conditions_mean_what_python_means(text: str, expected: bool) -> None:
    require_condition(text, NAMES)
    assert holds(text, VALUES) is expected is bool(eval(text, {}, VALUES))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("views * epochs", "must be a comparison"),
        ("views >", "not a condition"),
        ("", "not a condition"),
        ("viewz > 2", "unknown name 'viewz'; known are epochs, method, rate, views"),
        ("__import__('os').system('true') == 0", "no Call"),
        ("method.upper == 1", "no Attribute"),
        ("views ** epochs > 3", "no Pow"),
        ("[v for v in (1, 2)] == views", "no ListComp"),
        ("(lambda: 1) == views", "no Lambda"),
        ("(x := 3) > views", "no NamedExpr"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        require_condition(text, NAMES)


@pytest.mark.parametrize("text", ["rate > 1", "views / (epochs - 9) > 1", "method + 1 > 2"])
def test_what_cannot_be_computed_is_named_with_its_values(text: str) -> None:
    require_condition(text, NAMES)
    with pytest.raises(ValueError, match=r"cannot be computed where .*="):
        holds(text, VALUES)


def test_a_spec_says_why_a_choice_is_excluded(make_spec: MakeSpec) -> None:
    kind = Factor(name="kind", levels={"short": {"epochs": 1}, "long": {"epochs": 9}})
    views = Factor(name="num_views", distribution=CategoricalDistribution([2, 16]))
    spec = make_spec(factors=(views, kind), excluded=("num_views * epochs > 64", "kind == 'short' and num_views == 2"))
    assert spec.is_excluded({"num_views": 16, "kind": "long"}) == "num_views * epochs > 64"
    assert spec.is_excluded({"num_views": 2, "kind": "short"}) == "kind == 'short' and num_views == 2"
    assert spec.is_excluded({"num_views": 16, "kind": "short"}) is None
    plain = json.loads(json.dumps(spec.model_dump(mode="json")))
    assert plain["excluded"] == list(spec.excluded) and StudySpec.recorded(plain).excluded == spec.excluded


def test_an_inactive_factor_counts_with_the_field_of_the_base(make_spec: MakeSpec) -> None:
    spec = make_spec(excluded=("replays > 2",))
    params = {"num_views": 2, "epochs": 1, "view_scale_min": 0.1}
    assert (spec.is_excluded(params | {"adversary": "none"}) is not None) == (spec.base.replays > 2)  # type: ignore[attr-defined]
    assert spec.is_excluded(params | {"adversary": "free", "replays": 2}) is None


def test_a_condition_over_unknown_fields_is_refused(make_spec: MakeSpec) -> None:
    with pytest.raises(ValidationError, match="excluded 'num_vews > 2': unknown name 'num_vews'"):
        make_spec(excluded=("num_vews > 2",))
