"""Fills the HTML templates of the pages; all text is escaped, other than ``Markup``."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

REPORTS = Path(__file__).resolve().parents[1]


def filled(template: str, **values: Any) -> Markup:
    """The template at ``template``, a path below ``reports/``, with ``values``."""
    return Markup(_templates().get_template(template).render(values).strip())


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(REPORTS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
