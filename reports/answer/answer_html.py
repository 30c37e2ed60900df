"""The head of a study's page: its title, question and answer, and cards of the configurations to choose."""

from collections.abc import Sequence

from markupsafe import Markup

from reports.answer.answer import Answer
from reports.page.html_templates import filled


def answer_head(title: str, answer: Answer, notes: Sequence[str] = ()) -> Markup:
    """The head of the page; everything is escaped, but for notes that are ``Markup``."""
    return filled("answer/templates/head.html", title=title, answer=answer, notes=notes)
