"""The report of a running study: its thread with builds that are none, its process."""

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import wait_until

from study.display.live_report import LiveReport, ReportProcess
from study.record.journal import Journal
from study.spec import StudySpec

END, OTHER = {"event": "finished", "uid": "t0000"}, {"event": "reported", "uid": "t0000"}


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


def test_it_is_refreshed_where_trials_end_and_the_pause_has_passed() -> None:
    builder, heard, pauses = Builder(), Heard(), []

    def pause(build_seconds: float) -> float:
        pauses.append(build_seconds)
        return 0.3

    with LiveReport(builder, heard.on_written, heard.failures.append, pause) as live:
        live.on_event(OTHER)
        time.sleep(0.05)
        assert builder.num_builds == 0, "only the end of a trial wakes it"
        live.on_event(END)
        wait_until(lambda: heard.num_written == 1)
        began = time.monotonic()
        live.on_event(END)
        live.on_event(END)
        wait_until(lambda: heard.num_written == 2)
        assert time.monotonic() - began > 0.2, "after the pause"
        time.sleep(0.5)
        assert builder.num_builds == 2, "nothing has ended since"
    assert heard.failures == [] and len(pauses) == 2 and all(0 <= seconds < 20 for seconds in pauses)


def test_what_ends_while_the_report_is_built_belongs_to_the_next() -> None:
    builder, heard = Builder(), Heard()
    builder.may_go_on.clear()
    with LiveReport(builder, heard.on_written, heard.failures.append, lambda seconds: 0.0) as live:
        live.on_event(END)
        wait_until(lambda: builder.num_builds == 1)
        live.on_event(END)
        builder.may_go_on.set()
        wait_until(lambda: heard.num_written == 2)


def test_a_failure_is_told_once_and_the_next_report_is_built() -> None:
    builder, heard = Builder("no space", "no space", None), Heard()
    with LiveReport(builder, heard.on_written, heard.failures.append, lambda seconds: 0.0) as live:
        for count in (1, 2, 3):
            live.on_event(END)
            wait_until(lambda count=count: builder.num_builds == count)  # type: ignore[misc]
        wait_until(lambda: heard.num_written == 1)
    assert heard.failures == ["no space"]


def test_a_build_under_way_is_stopped_at_the_end_and_not_told_of() -> None:
    builder, heard = Builder("killed"), Heard()
    builder.may_go_on.clear()
    with LiveReport(builder, heard.on_written, heard.failures.append) as live:
        live.on_event(END)
        wait_until(lambda: builder.num_builds == 1)
    assert builder.is_stopped.is_set() and (heard.num_written, heard.failures) == (0, [])


def test_the_process_writes_the_page_of_a_study_that_is_being_run(
    make_spec: Callable[..., StudySpec], tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "s")
    journal.write("created", study="s", spec=make_spec().model_dump(mode="json"), environment={})
    assert ReportProcess(tmp_path / "s").build() is None
    journal.close()
    page = tmp_path / "s" / "report" / "index.html"
    assert {path.name for path in page.parent.iterdir()} == {"answer.txt", "index.html"}
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
