"""What a study is doing, told from a summary and what came after it, against the whole journal."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.constructed_study import write_journal
from study.record import summary
from study.record.journal import JOURNAL_NAME, StudyRecord, read_study
from study.record.summary import SUMMARY_NAME, read_for_status
from study.status import StudyStatus, render


def shown(record: StudyRecord) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(render(StudyStatus(record, is_driven=True, now=1_700_001_000.0)))
    return captured.get()


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Of the journal of 60 trials; 20 are enough for a summary."""
    monkeypatch.setattr(summary, "LEAST_TRIALS", 20)
    write_journal(tmp_path / "whole", 60, 1)
    (tmp_path / "s").mkdir()
    return (tmp_path / "whole" / JOURNAL_NAME).read_bytes().splitlines(keepends=True)


def test_what_is_shown_does_not_depend_on_when_the_summary_was_written(tmp_path: Path, lines: list[bytes]) -> None:
    journal, told = tmp_path / "s" / JOURNAL_NAME, tmp_path / "s" / SUMMARY_NAME
    for first in range(150, len(lines), 60):
        journal.write_bytes(b"".join(lines[:first]))
        read_for_status(tmp_path / "s")
        written = told.read_bytes()
        for later in (first, first + 1, first + 40, len(lines)):
            journal.write_bytes(b"".join(lines[:later]))
            assert shown(read_for_status(tmp_path / "s")) == shown(read_study(tmp_path / "s"))
            assert told.read_bytes() == written, "it was enough"
        told.unlink()


def test_a_new_one_follows_from_the_one_before(
    tmp_path: Path, lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "MOST_BEHIND", 50)
    journal, told = tmp_path / "s" / JOURNAL_NAME, tmp_path / "s" / SUMMARY_NAME
    journal.write_bytes(b"".join(lines[:150]))
    read_for_status(tmp_path / "s")
    monkeypatch.setattr(summary, "read_lines", None)  # from now on, the journal is not read from its beginning
    for end in (200, 250, len(lines)):
        journal.write_bytes(b"".join(lines[:end]))
        for _ in range(2):
            assert shown(read_for_status(tmp_path / "s")) == shown(read_study(tmp_path / "s"))
            assert json.loads(told.read_text())["size"] == journal.stat().st_size


def test_a_further_seed_is_looked_up_in_the_journal(tmp_path: Path, lines: list[bytes]) -> None:
    """Its configuration may not be in the summary, or may leave the front."""
    write_journal(tmp_path / "seeds", 60, 2)
    whole = (tmp_path / "seeds" / JOURNAL_NAME).read_bytes().splitlines(keepends=True)
    for end in range(150, len(whole), 25):
        (tmp_path / "s" / JOURNAL_NAME).write_bytes(b"".join(whole[:end]))
        assert shown(read_for_status(tmp_path / "s")) == shown(read_study(tmp_path / "s"))


@pytest.mark.parametrize("place", [30, 155])
def test_a_change_before_or_after_its_end_is_found(tmp_path: Path, lines: list[bytes], place: int) -> None:
    journal = tmp_path / "s" / JOURNAL_NAME
    journal.write_bytes(b"".join(lines[:150]))
    read_for_status(tmp_path / "s")
    changed = lines[place].replace(b'"time": 17', b'"time": 18')
    journal.write_bytes(b"".join([*lines[:place], changed, *lines[place + 1 :]]))
    with pytest.raises(ValueError, match=f"line {place + 1}: changed"):
        read_for_status(tmp_path / "s")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 0}'])
def test_a_damaged_summary_is_made_again(tmp_path: Path, lines: list[bytes], content: str) -> None:
    (tmp_path / "s" / JOURNAL_NAME).write_bytes(b"".join(lines))
    (tmp_path / "s" / SUMMARY_NAME).write_text(content)
    assert shown(read_for_status(tmp_path / "s")) == shown(read_study(tmp_path / "s"))
    assert len((tmp_path / "s" / SUMMARY_NAME).read_text()) > 1000
