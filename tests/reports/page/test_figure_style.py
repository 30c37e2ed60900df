"""How the values of factors are written."""

from typing import Any

import pytest

from reports.page.figure_style import factor_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"), (0.30000000000000004, "0.3"), (0.08, "0.08"), (1.0, "1"), (123456.0, "123456"),
        (1e-4, "1e-4"), (0.00025, "2.5e-4"), (-1e-05, "-1e-5"), (0.001, "0.001"), (1e6, "1e6"), (1.25e7, "1.25e7"),
        (0.0, "0"), (1000000, "1000000"), (True, "true"), ("free", "free"), ([0.1 + 0.2, 8], "[0.3, 8]"),
        ((4.0, 8.0), "[4, 8]"), ({"a": 1}, '{"a": 1}'), (None, "–"), (float("nan"), "–"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_a_factor_is_written_as_a_person_would(value: Any, text: str) -> None:
    assert factor_text(value) == text
