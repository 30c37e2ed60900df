"""Kept studies say what the table says of them, and carry no path of images."""

from pathlib import Path

import pytest

from benchmarks.claims import keep, main
from study.verify import main as verify

KEPT = Path(__file__).resolve().parents[2] / "docs" / "results" / "mini"
STUDY = "mini_crops_vs_patches"


def test_the_table_in_the_docs_is_that_of_the_kept_studies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(KEPT)]) == 0
    differences = [line.split(" | ")[4:6] for line in capsys.readouterr().out.splitlines()[2:]]
    page = (KEPT.parent / "mini.md").read_text()
    assert len(differences) == 5 and all(f"| {robust} | {clean} |" in page for robust, clean in differences)


def test_a_kept_study_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(KEPT / STUDY, tmp_path)
    assert verify([str(tmp_path / STUDY)]) == 0, capsys.readouterr().out
    assert (tmp_path / STUDY / "journal.jsonl").read_bytes() == (KEPT / STUDY / "journal.jsonl").read_bytes()
