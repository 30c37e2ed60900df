"""The answer of a study in plain text, as its report has written it; the engine itself never builds reports."""

from pathlib import Path

ANSWER_PATH = Path("report") / "answer.txt"  # in the study's folder
ANSWER_WIDTH = 100  # columns of its lines, at most


def read_answer(study_dir: Path) -> str:
    """The question, the answer and the recipes to choose from, in lines of at most 100 columns; '' if there are none.

    Example:
        >>> read_answer(Path("no_such_study"))
        ''
    """
    try:
        return (study_dir / ANSWER_PATH).read_text(encoding="utf-8")
    except OSError:
        return ""
