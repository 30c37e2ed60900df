"""A configuration in words: the values of the factors that tell it from the others of its study."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Words = Mapping[str, str | Mapping[str, str]]  # see ``Trainable.words``


def recipe_words(params: Mapping[str, Any], factors: Sequence[str], words: Words | None = None) -> str:
    """The active ones of ``factors`` with their values, in words where ``words`` has some.

    Args:
        params: factor values; those that are missing or None are not active.
        factors: what to name, in this order.
        words: factor -> how its value is said (``Trainable.words``).

    Example:
        >>> recipe_words({"width": 8, "rate": 0.1, "decay": None}, ["width", "rate", "decay"])
        'width 8 · rate 0.1'
        >>> words = {"views": "{} views", "training": {"none": "standard training"}, "scale": "smallest crop {:.2f}"}
        >>> recipe_words({"views": 1, "training": "none", "scale": 0.1}, ["views", "training", "scale"], words)
        '1 view, standard training, smallest crop 0.10'
    """
    active = [(name, params[name]) for name in factors if params.get(name) is not None]
    texts = [_said(name, value, (words or {}).get(name)) for name, value in active]
    plain = [f"{name} {_plain(value)}" for name, value in active]
    return (" · " if any(text in plain for text in texts) else ", ").join(texts)


def varying(factors: Sequence[str], choices: Iterable[Mapping[str, Any]]) -> list[str]:
    """The factors that have more than one value among ``choices`` of factor values; all if none has.

    Example:
        >>> varying(["width", "rate"], [{"width": 8, "rate": 1}, {"width": 4, "rate": 1}])
        ['width']
    """
    texts: dict[str, set[str]] = {name: set() for name in factors}
    for params in choices:
        for name in factors:
            texts[name].add(_plain(params.get(name)))
    return [name for name in factors if len(texts[name]) > 1] or list(factors)


def _said(name: str, value: Any, how: str | Mapping[str, str] | None) -> str:
    """A factor and its value in words; just both of them where there are no words for such a value."""
    plain = f"{name} {_plain(value)}"
    if isinstance(how, Mapping):
        return how.get(str(value), plain)
    if how is None or isinstance(value, str):  # the level of an ablation, say
        return plain
    try:
        text = how.format(value)
    except (ValueError, TypeError, LookupError):  # a list, say, where a number was expected
        return plain
    return text.removesuffix("s") if value == 1 else text


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)
