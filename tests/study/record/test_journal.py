"""The journal: what it says, what it survives and what it refuses."""

import json
import math
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.files import is_storage_fault
from study.record.journal import JOURNAL_NAME, Journal, read_journal, read_study, replay
from study.record.journal_lines import parse_journal
from study.trainable import FIRST_TRAINABLE

EVENTS: list[dict[str, Any]] = [
    {"event": "created", "time": 1.0, "study": "s", "spec": {"trials": 2}, "environment": {"python": "a"}},
    {"event": "proposed", "time": 2.0, "uid": "t0000", "number": 0, "params": {"epochs": 1}, "config": {"seed": 0}},
    {"event": "launched", "time": 3.0, "uid": "t0000", "attempt": 1},
    {"event": "proposed", "time": 4.0, "uid": "t0001", "number": 1, "params": {"epochs": 2}, "config": {"seed": 0}},
    {"event": "launched", "time": 5.0, "uid": "t0001", "attempt": 1},
    {"event": "reported", "time": 6.0, "uid": "t0001", "metrics": {"milestone": 12, "val_clean": 40.0}},
    {"event": "decided", "time": 7.0, "uid": "t0001", "milestone": 12, "decision": "stop", "reason": "place 2 of 2"},
    {"event": "interrupted", "time": 8.0, "reason": "the driver was told to stop"},
    {"event": "resumed", "time": 9.0, "spec": {"trials": 4}, "environment": {"python": "b"}},
    {"event": "finished", "time": 10.0, "uid": "t0001", "state": "stopped", "reason": "place 2 of 2", "metrics": {}},
    {"event": "launched", "time": 11.0, "uid": "t0000", "attempt": 2},
    {"event": "of a later version", "time": 12.0, "uid": "t0000"},
    {"event": "finished", "time": 13.0, "uid": "t0000", "state": "complete", "reason": "", "metrics": {"val_clean": 9}},
    {"event": "proposed", "time": 14.0, "uid": "t0002", "number": 2, "params": {}, "config": {}},
]


def write_lines(study_dir: Path, text: str) -> Path:
    study_dir.mkdir(parents=True, exist_ok=True)
    path = study_dir / JOURNAL_NAME
    path.write_text(text)
    return path


def as_lines(events: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def test_replay_gives_the_record_that_the_events_tell_of() -> None:
    record = replay(EVENTS)
    assert (record.name, record.ended, record.last_event, record.last_event_at) == ("s", False, "proposed", 14.0)
    assert record.spec == {"trials": 4, "trainable": FIRST_TRAINABLE}
    assert record.environments == [{"python": "a"}, {"python": "b"}]
    assert list(record.trials) == ["t0000", "t0001", "t0002"]
    first, second, third = record.trials.values()
    assert (first.state, first.attempts, first.launched_at, first.ended_at) == ("complete", 2, 3.0, 13.0)
    assert (first.params, first.config, first.metrics) == ({"epochs": 1}, {"seed": 0}, {"val_clean": 9})
    assert (second.state, second.reason, second.metrics) == ("stopped", "place 2 of 2", {})
    assert second.reports == [{"milestone": 12, "val_clean": 40.0}]
    assert [decision["decision"] for decision in second.decisions] == ["stop"]
    assert (third.state, third.attempts, third.launched_at) == ("proposed", 0, None)
    assert record.with_state("stopped", "proposed") == [second, third]


def test_a_resumed_study_has_not_ended() -> None:
    ended = [*EVENTS, {"event": "ended", "time": 15.0}]
    assert replay(ended).ended
    assert not replay([*ended, {"event": "resumed", "time": 16.0, "environment": {}}]).ended


def test_events_survive_reopening(tmp_path: Path) -> None:
    for event in EVENTS:  # a process of its own for each, as it were
        journal = Journal(tmp_path)
        fields = {name: value for name, value in event.items() if name not in ("event", "time")}
        journal.write(event["event"], **fields)
        written = journal.record
        journal.close()
    reopened = Journal(tmp_path)
    assert reopened.record == written == read_study(tmp_path)
    assert not reopened.is_new
    reopened.close()
    assert len((tmp_path / JOURNAL_NAME).read_text().splitlines()) == len(EVENTS)


# Cut at each byte of the last line but its last, which would leave a whole line.
@pytest.mark.parametrize("num_bytes", range(1, len(as_lines(EVENTS[5:6]))))
def test_a_half_written_last_line_is_dropped(tmp_path: Path, num_bytes: int) -> None:
    whole, half = as_lines(EVENTS[:5]), as_lines(EVENTS[5:6])[:num_bytes]
    path = write_lines(tmp_path, whole + half)
    assert read_study(tmp_path) == replay(EVENTS[:5])
    assert path.read_text() == whole + half, "reading must not change the file"
    with pytest.warns(UserWarning, match="half-written last line"):
        journal = Journal(tmp_path)
    assert path.read_text() == whole
    assert journal.record == replay(EVENTS[:5])
    journal.write("interrupted", reason="test")
    journal.close()
    text = path.read_text()
    assert text.startswith(whole) and json.loads(text[len(whole) :])["event"] == "interrupted"
    assert list(read_study(tmp_path).trials) == ["t0000", "t0001"]


def test_a_half_written_first_line_leaves_a_new_study(tmp_path: Path) -> None:
    write_lines(tmp_path, as_lines(EVENTS[:1])[:30])
    with pytest.warns(UserWarning, match="half-written last line"):
        journal = Journal(tmp_path)
    assert journal.is_new
    journal.close()


@pytest.mark.parametrize("broken", ["{'event': 1}\n", "\n", "[1]\n", '{"event": "proposed", "uid\n', "\x00\x00\n"])
def test_a_broken_line_in_the_middle_is_refused(tmp_path: Path, broken: str) -> None:
    text = as_lines(EVENTS[:2]) + broken + as_lines(EVENTS[3:])
    path = write_lines(tmp_path, text)
    for open_study in (read_study, Journal):
        with pytest.raises(ValueError, match=rf"{JOURNAL_NAME}, line 3: not (JSON|an event)"):
            open_study(tmp_path)
    assert path.read_text() == text


@pytest.mark.parametrize("event", [*EVENTS[:5], {"event": "finished", "time": 9, "uid": "t0000", "state": "failed"}])
def test_a_field_of_another_kind_is_refused(event: dict[str, Any]) -> None:
    good = json.dumps(event).encode() + b"\n"
    assert not parse_journal(good).problems
    for name, value in event.items():
        for other in ([value], None, {"a": value} if not isinstance(value, dict) else 7):
            changed = json.dumps(event | {name: other}).encode() + b"\n"
            (problem,) = parse_journal(changed).problems
            assert "not an event" in problem if name in ("event", "time") else f"with a '{name}' that is no" in problem
    assert parse_journal(b"[" * 100_000 + b"\n").problems == ["line 1: not JSON; the file was changed or damaged"]


def written(study_dir: Path) -> list[bytes]:
    """The lines of a journal that says what EVENTS say, as this version writes them."""
    journal = Journal(study_dir)
    for event in EVENTS:
        journal.write(event["event"], **{name: value for name, value in event.items() if name not in ("event", "time")})
    journal.close()
    return journal.path.read_bytes().splitlines(keepends=True)


def test_time_does_not_run_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for now in (1000.0, 10.0, 1001.0):
        monkeypatch.setattr("time.time", lambda now=now: now)
        journal = Journal(tmp_path)
        journal.write("resumed", environment={})
        journal.close()
    assert [event["time"] for event in read_journal(tmp_path).events] == [1000.0, 1000.0, 1001.0]


def flip(lines: list[bytes], place: int, bit: int) -> None:
    line = bytearray(lines[place])
    line[bit // 8 % (len(line) - 1)] ^= 1 << bit % 8
    lines[place] = bytes(line)


@pytest.mark.parametrize(
    ("change", "number"),
    [
        (lambda lines: lines.__setitem__(12, lines[12].replace(b"complete", b"stopped")), 13),
        (lambda lines: lines.pop(5), 6),
        (lambda lines: lines.insert(3, lines[3]), 5),  # the copy may stand where it stands, but not what follows it
        (lambda lines: lines.insert(7, b'{"event": "ended", "time": 7.5}\n'), 9),
        (lambda lines: lines.__setitem__(slice(2, 4), lines[3:1:-1]), 3),
    ],
)
def test_a_changed_line_is_found(tmp_path: Path, change: Callable[[list[bytes]], Any], number: int) -> None:
    lines = written(tmp_path)
    change(lines)
    (tmp_path / JOURNAL_NAME).write_bytes(b"".join(lines))
    for open_study in (read_study, Journal):
        with pytest.raises(ValueError, match=rf"{JOURNAL_NAME}, line {number}: changed .*head -n {number - 1} keeps"):
            open_study(tmp_path)
    (tmp_path / JOURNAL_NAME).write_bytes(b"".join(lines[: number - 1]))
    assert len(read_journal(tmp_path).events) == number - 1, "what it says to do helps"


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """Also one in the check, or in its name, which is then found by the line that follows."""
    lines = written(tmp_path)
    for bit in range(0, 8 * len(lines[4]), 3):
        changed = list(lines)
        flip(changed, 4, bit)
        assert parse_journal(b"".join(changed)).problems, f"bit {bit}"
    assert not parse_journal(b"".join(lines)).problems


def test_a_journal_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    """Its lines have no check; the first line that has one vouches for the last that has none."""
    path = write_lines(tmp_path, as_lines(EVENTS[:5]))
    journal = Journal(tmp_path)
    journal.write("interrupted", reason="test")
    journal.close()
    assert len(read_journal(tmp_path).events) == 6
    path.write_text(path.read_text().replace('"uid": "t0001", "attempt": 1', '"uid": "t0001", "attempt": 2'))
    with pytest.raises(ValueError, match="line 6: changed after"):
        read_study(tmp_path)


def test_what_cannot_be_written_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    lines = written(tmp_path)
    journal = Journal(tmp_path)
    before = replay(read_journal(tmp_path).events)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:  # half of the line is written, as on a disk that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (sum(map(len, lines)) + 40, limits[1]))
        with pytest.raises(OSError) as error:
            journal.write("interrupted", reason="test")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)
    assert is_storage_fault(error.value)
    assert (tmp_path / JOURNAL_NAME).read_bytes() == b"".join(lines) and journal.record == before
    journal.write("ended")
    journal.close()
    assert read_journal(tmp_path).events[-1]["event"] == "ended" and read_study(tmp_path).ended


def test_numbers_survive_and_non_finite_ones_become_null(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    metrics = {"third": 1 / 3, "nan": math.nan, "nested": [math.inf, {"low": -math.inf}, (1, 2.5)], "big": 2**60}
    expected = {"third": 1 / 3, "nan": None, "nested": [None, {"low": None}, [1, 2.5]], "big": 2**60}
    event = journal.write("reported", uid="t0000", metrics=metrics)
    journal.close()
    assert event["metrics"] == expected
    line = (tmp_path / JOURNAL_NAME).read_text()
    assert json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["metrics"] == expected


def test_one_journal_is_open_for_writing_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("created", study="s", spec={}, environment={})
    with pytest.raises(ValueError, match="is being run by another process"):
        Journal(tmp_path)
    assert read_study(tmp_path).name == "s", "reading a running study is allowed"
    journal.close()
    Journal(tmp_path).close()


def test_reading_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no study in .*missing: it has no {JOURNAL_NAME}"):
        read_study(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
