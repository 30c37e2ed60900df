"""Kept studies say what the table says of them, and carry no path of images."""

from pathlib import Path

import pytest

from benchmarks.claims import keep, main
from study.verify import main as verify

KEPT = Path(__file__).resolve().parents[2] / "docs" / "results" / "mini"
STUDIES = sorted(path.parent.name for path in KEPT.glob("*/journal.jsonl"))


def test_the_table_in_the_docs_is_that_of_the_kept_studies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(KEPT)]) == 0
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    differences = [line[4:6] for line in lines[2:]]
    assert lines[0][-2:] == ["paper: pgd_8", "paper: clean |"]
    printed = {line[1]: line[-2:] for line in lines[2:]}
    assert printed["16 crops against 16 patches"] == ["+11.8", "+14.0 |"], "75.88 - 61.83, 33.34 - 21.53 in its table 1"
    assert printed["cooldown against cosine"] == ["–", "– |"], "one row stands for both"
    page = (KEPT.parent / "mini.md").read_text()
    assert len(differences) == 10 and all(f"| {robust} | {clean} |" in page for robust, clean in differences)


@pytest.mark.parametrize("study", STUDIES)
def test_a_kept_study_is_whole(study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(KEPT / study, tmp_path)
    assert verify([str(tmp_path / study)]) == 0, capsys.readouterr().out
    assert (tmp_path / study / "journal.jsonl").read_bytes() == (KEPT / study / "journal.jsonl").read_bytes()
