"""Fields of config models by name: read from a command line, checked, replaced, hashed."""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_origin

from pydantic import BaseModel, ValidationError

Config = TypeVar("Config", bound=BaseModel)
# Columns that the tables of a study have in addition to those of its factors.
COLUMN_NAMES = frozenset(
    ["uid", "number", "trial", "trials", "state", "reason", "purpose", "seed", "seeds", "num_lost", "is_lost", "budget",
     "command", "front_probability", "P(front)"]
)  # fmt: skip
LONGEST_SHOWN = 200  # characters of a value in a message


def parse_settings(settings: Sequence[str], model: type[BaseModel]) -> dict[str, Any]:
    """Turns ``["num_views=16", "adversary=free"]`` into fields and values, read as JSON where they parse as such.

    Raises:
        ValueError: for an entry without ``=`` or an unknown field, naming the closest known ones.
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"--set takes FIELD=VALUE, not {setting!r}")
        require_known_field(name, model)
        changes[name] = _parse_value(model.model_fields[name].annotation, text)
    return changes


def _parse_value(annotation: Any, text: str) -> Any:
    if annotation is str or get_origin(annotation) is Literal:
        return text
    if text.lower() in ("none", "true", "false"):
        text = {"none": "null"}.get(text.lower(), text.lower())
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def require_known_field(name: str, model: type[BaseModel]) -> None:
    """Raises ``ValueError`` naming the closest known fields unless ``name`` is a field of ``model``."""
    if name in model.model_fields:
        return
    close = difflib.get_close_matches(name, model.model_fields, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise ValueError(f"unknown field {name!r}{hint}")


def replaced(config: Config, changes: Mapping[str, Any]) -> Config:
    """A validated copy of ``config`` with ``changes``; raises like its constructor."""
    return type(config)(**(config.model_dump() | dict(changes)))


def content_hash(fields: Mapping[str, Any]) -> str:
    """16 hex digits that are equal exactly if all ``fields``, which are plain JSON values, are."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def explain(error: ValidationError) -> str:
    """One line for a pydantic error: each field, its rule and the value that broke it."""
    parts = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        given = repr(item["input"])
        is_short = field and item["type"] != "missing" and len(given) <= LONGEST_SHOWN
        parts.append(f"{field}: {message} (got {given})" if is_short else f"{field}: {message}" if field else message)
    return "; ".join(parts)
