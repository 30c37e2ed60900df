"""Configurations in words, for any names and values."""

from pathlib import Path

import pytest

from study.record.answer import ANSWER_PATH, read_answer
from study.record.recipe import Words, recipe_words, varying
from trainables.robust_ssl import ROBUST_SSL

WORDS: Words = {"n": "{} views", "scale": "smallest crop {:.2f}", "kind": {"none": "standard training", "True": "on"}}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"n": 8, "kind": "none", "scale": 0.1}, "8 views, standard training, smallest crop 0.10"),
        ({"n": 1}, "1 view"),
        ({"n": 8, "kind": "other"}, "8 views · kind other"),
        ({"n": "from", "kind": True}, "n from · on"),
        ({"n": None, "x <b>": [1, {"a": 2}]}, 'x <b> [1, {"a": 2}]'),
        ({"x <b>": 0.123456789}, "x <b> 0.1235"),
        ({}, ""),
    ],
)
def test_active_factors_in_their_order(params: dict[str, object], expected: str) -> None:
    assert recipe_words(params, ["n", "kind", "scale", "x <b>"], WORDS) == expected


def test_only_what_varies_is_said() -> None:
    choices = [{"a": 1, "b": "x", "c": [1]}, {"a": 2, "b": "x"}, {"a": 2, "b": "x", "c": [1]}]
    assert varying(["a", "b", "c"], choices) == ["a", "c"], "an inactive factor is another value"
    assert varying(["a", "b"], choices[:1]) == ["a", "b"] and varying(["a"], []) == ["a"]


def test_the_words_of_robust_ssl_are_those_of_its_fields() -> None:
    assert set(ROBUST_SSL.words) <= set(ROBUST_SSL.config.model_fields)
    params = {"num_views": 8, "epochs": 1, "adversary": "free", "replays": 3, "view_scale_min": 0.08}
    words = "8 views, 1 epoch, free training, 3 replays, smallest crop 0.08"
    assert recipe_words(params, list(params), ROBUST_SSL.words) == words


def test_the_answer_is_read_as_written(tmp_path: Path) -> None:
    assert read_answer(tmp_path) == ""
    (tmp_path / ANSWER_PATH).parent.mkdir()
    (tmp_path / ANSWER_PATH).write_text("Ja, größer.\n", encoding="utf-8")
    assert read_answer(tmp_path) == "Ja, größer.\n"


def test_values_that_do_not_fit_their_words_are_said_plainly() -> None:
    words = {"scale": "smallest crop {:.2f}", "steps": "{:d} steps"}
    assert recipe_words({"scale": [0.1, 1], "steps": 2.5}, ["scale", "steps"], words) == "scale [0.1, 1] · steps 2.5"
