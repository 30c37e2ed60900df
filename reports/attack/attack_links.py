"""Links from a study's report to the attack pages of its trials; nothing here imports torch."""

from pathlib import Path

from reports.attack.chosen_trial import attack_page_path
from reports.page.html_templates import filled
from reports.page.page import Section
from study.record.trials import TrialTable


def attack_links(table: TrialTable, study_dir: Path) -> list[Section]:
    """A section with a link to each attack page of the study's trials; no section if there are none."""
    pages = {uid: path for uid in table.study.trials if (path := attack_page_path(study_dir, uid)).is_file()}
    if not pages:
        return []
    caption = "What the attack of the evaluation does to test images, and accuracy against its radius."
    return [Section("Attacks on single trials", caption, filled("attack/templates/links.html", pages=pages))]
