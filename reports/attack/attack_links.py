"""Paths of the attack pages of trials, and links to existing ones; nothing here imports torch."""

import html
from pathlib import Path

from reports.page.page import Section
from study.record.journal import StudyRecord

REPORT_FOLDER = "report"


def attack_page_path(study_dir: Path, uid: str) -> Path:
    """Where the attack page of a trial of a study is written."""
    return study_dir / REPORT_FOLDER / f"attack_{uid}.html"


def attack_links(study_dir: Path, study: StudyRecord) -> list[Section]:
    """A section with a link to each attack page of the study's trials; no section if there are none."""
    pages = {uid: path for uid in study.trials if (path := attack_page_path(study_dir, uid)).is_file()}
    if not pages:
        return []
    items = (f'<li><a href="{html.escape(path.name)}">trial {html.escape(uid)}</a></li>' for uid, path in pages.items())
    caption = "What the attack of the evaluation does to test images, and accuracy against its radius."
    return [Section("Attacks on single trials", caption, f"<ul>{''.join(items)}</ul>")]
