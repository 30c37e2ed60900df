"""The report of a running study: its pace on a clock of our own, its thread with builds that are none, its process."""

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from study.display.live_report import LiveReport, ReportPace, ReportProcess
from study.record.journal import Journal
from study.spec import StudySpec

END, OTHER = {"event": "finished", "uid": "t0000"}, {"event": "reported", "uid": "t0000"}


class Clock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Builder:
    """Counts builds; ``problems`` are what they return, one after another. A build waits until it may go on."""

    def __init__(self, *problems: str | None) -> None:
        self.problems = list(problems)
        self.num_builds, self.is_stopped = 0, threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def build(self) -> str | None:
        self.num_builds += 1
        self.may_go_on.wait()
        return self.problems.pop(0) if self.problems else None

    def stop(self) -> None:
        self.is_stopped.set()
        self.may_go_on.set()


class Heard:
    """What a live report calls back."""

    def __init__(self) -> None:
        self.num_written = 0
        self.failures: list[str] = []

    def on_written(self) -> None:
        self.num_written += 1


def build(pace: ReportPace, clock: Clock, seconds: float) -> None:
    with pace.building():
        clock.now += seconds


def wait_until(holds: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends_at
        time.sleep(0.005)


def test_the_first_end_of_a_trial_makes_the_report_due_at_once() -> None:
    pace = ReportPace(Clock())
    assert pace.seconds_left() is None
    pace.take_note()
    assert pace.seconds_left() == 0


def test_the_next_one_waits_for_a_minute_and_for_the_end_of_a_trial() -> None:
    clock = Clock()
    pace = ReportPace(clock)
    pace.take_note()
    build(pace, clock, seconds=2.0)
    clock.now += 600
    assert pace.seconds_left() is None, "nothing has ended since"
    pace.take_note()
    assert pace.seconds_left() == 0
    build(pace, clock, seconds=2.0)
    pace.take_note()
    assert pace.seconds_left() == 60
    clock.now += 59
    assert pace.seconds_left() == 1


def test_a_report_that_took_long_rests_twenty_times_as_long() -> None:
    clock = Clock()
    pace = ReportPace(clock)
    build(pace, clock, seconds=25.0)
    pace.take_note()
    assert pace.seconds_left() == 500


def test_what_ends_while_the_report_is_built_belongs_to_the_next() -> None:
    clock = Clock()
    pace = ReportPace(clock)
    pace.take_note()
    with pace.building():
        pace.take_note()
    assert pace.seconds_left() == 60


def test_a_build_that_fails_rests_too() -> None:
    clock = Clock()
    pace = ReportPace(clock)
    with pytest.raises(OSError, match="no space"), pace.building():
        clock.now += 4
        raise OSError("no space")
    pace.take_note()
    assert pace.seconds_left() == 80


def test_it_is_refreshed_where_trials_end_and_the_pause_has_passed() -> None:
    clock, builder, heard = Clock(), Builder(), Heard()
    live = LiveReport(builder, heard.on_written, heard.failures.append, ReportPace(clock))
    with live:
        live.on_event(OTHER)
        live.on_event(END)
        wait_until(lambda: heard.num_written == 1)
        live.on_event(END)
        time.sleep(0.05)
        assert builder.num_builds == 1
        clock.now += 60
        live.on_event(OTHER)
        time.sleep(0.05)
        assert builder.num_builds == 1, "only the end of a trial wakes it"
        live.on_event(END)
        wait_until(lambda: heard.num_written == 2)
    assert heard.failures == []


def test_a_failure_is_told_once_and_the_next_report_is_built() -> None:
    clock, builder, heard = Clock(), Builder("no space", "no space", None), Heard()
    live = LiveReport(builder, heard.on_written, heard.failures.append, ReportPace(clock))
    with live:
        for count in (1, 2, 3):
            live.on_event(END)
            wait_until(lambda count=count: builder.num_builds == count)  # type: ignore[misc]
            wait_until(lambda: live._pace.seconds_left() is None)
            clock.now += 1e6
        wait_until(lambda: heard.num_written == 1)
    assert heard.failures == ["no space"]


def test_a_build_under_way_is_stopped_at_the_end_and_not_told_of() -> None:
    builder, heard = Builder("killed"), Heard()
    builder.may_go_on.clear()
    with LiveReport(builder, heard.on_written, heard.failures.append, ReportPace(Clock())) as live:
        live.on_event(END)
        wait_until(lambda: builder.num_builds == 1)
    assert builder.is_stopped.is_set() and (heard.num_written, heard.failures) == (0, [])


def test_the_process_writes_the_page_of_a_study_that_is_being_run(
    make_spec: Callable[..., StudySpec], tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "s")
    journal.write("created", study="s", spec=make_spec().to_plain(), environment={})
    assert ReportProcess(tmp_path / "s").build() is None
    journal.close()
    page = tmp_path / "s" / "report" / "index.html"
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]
    assert "was running when this page was made" in page.read_text()


def test_the_process_says_in_a_line_what_went_wrong(tmp_path: Path) -> None:
    problem = ReportProcess(tmp_path).build()
    assert problem == f"reports.build: no study in {tmp_path}: it has no journal.jsonl"


def test_a_process_that_cannot_be_started_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    assert "No such file" in (ReportProcess(tmp_path).build() or "")


def test_a_killed_process_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.1.tmp").touch()  # somebody else's

    def start(process: ReportProcess) -> subprocess.Popen[str]:
        script = "touch report/index.$$.tmp; echo; exec sleep 60"
        started = subprocess.Popen(
            ["sh", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert started.stdout is not None
        started.stdout.readline()
        started.stdout, started_stdout = None, started.stdout
        started_stdout.close()
        return started

    monkeypatch.setattr(ReportProcess, "_start", start)
    process = ReportProcess(tmp_path)
    process.stop()  # before it was started, as may happen at the very end of a study
    began = time.monotonic()
    assert process.build() == "exit status -15" and time.monotonic() - began < 30
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["index.1.tmp"]
