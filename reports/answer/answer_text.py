"""The answer of a study as plain text, for a terminal and for MLflow."""

import textwrap
from pathlib import Path

from reports.answer.answer import Answer
from reports.answer.notable import Notable
from study.files import replacing
from study.record.answer import ANSWER_PATH, ANSWER_WIDTH


def answer_text(answer: Answer) -> str:
    """Question, answer and recipes, in lines of at most 100 columns; ends with a line feed."""
    paragraphs = [answer.question]
    for one in answer.statements:
        paragraphs.append(" ".join(part for part in (f"{one.lead}:", one.text, one.more, one.beside) if part))
    paragraphs += [answer.found, answer.region, *(_recipe(one, answer.chance) for one in answer.notable)]
    return "\n\n".join(_filled(text) for text in paragraphs if text) + "\n"


def write_answer(answer: Answer, study_dir: Path) -> None:
    """Writes the text to ``report/answer.txt``, where ``study.record.answer`` reads it."""
    with replacing(study_dir / ANSWER_PATH) as unfinished:
        unfinished.write_text(answer_text(answer), encoding="utf-8")


def _recipe(one: Notable, chance: str) -> str:
    values = "; ".join(
        f"{value.name[:1].lower()}{value.name[1:]} {value.text}{f' ({value.over})' if value.over else ''}"
        for value in one.values
    )
    return f"{' = '.join(one.titles)}: {one.recipe} ({one.uid}); {values}; {chance} {one.probability:.2f}."


def _filled(text: str) -> str:
    lines = " ".join(text.split())  # a question may have line feeds
    return textwrap.fill(lines, ANSWER_WIDTH, break_on_hyphens=False)
