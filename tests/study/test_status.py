"""What a study is doing, as another terminal sees it: constructed journals, and a real second process as the driver."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from command_run import ROOT
from patience import PATIENCE_SECONDS
from rich.console import Console

from study import status as status_module
from study.record.journal import JOURNAL_NAME, Journal, has_driver, read_journal
from study.spec import MoAsha, StudySpec
from study.status import main, read_status, render

MakeSpec = Callable[..., StudySpec]
SPENT = "; 500 TFLOP of training compute spent"
HOLD_THE_JOURNAL = """
import sys, time
from pathlib import Path
from study.record.journal import Journal

journal = Journal(Path(sys.argv[1]))
print("open", flush=True)
time.sleep(300)
"""


@pytest.fixture
def study_dir(make_spec: MakeSpec, tmp_path: Path) -> Path:
    """Two trials have ended, two are at work, one of them for the second time; an event a minute."""
    spec = make_spec(stopping=MoAsha(first_rung=2, eta=2))
    config = spec.base.replace(num_views=4, epochs=3, adversary="none")
    journal = Journal(tmp_path / "s")
    journal.write("created", study="s", spec=spec.model_dump(mode="json"), environment={})
    for number, views in enumerate((2, 4, 8, 8)):
        params = {"num_views": views, "view_scale_min": 0.25 if number else 0.5}
        plain = config.replace(**params).model_dump(mode="json")
        journal.write("proposed", uid=f"t{number:04d}", number=number, params=params, config=plain)
        journal.write("launched", uid=f"t{number:04d}", attempt=1)
    result = {"view_passes": 600, "val_clean": 51.234567, "val_pgd_8": 20.0, "train_pflop": 0.5}
    journal.write("finished", uid="t0000", state="complete", reason="", metrics=result)
    for milestone, clean in ((200, 30.0), (400, 35.0)):
        metrics = {"milestone": milestone, "view_passes": milestone + 80, "val_clean": clean, "val_pgd_8": 10.0}
        journal.write("reported", uid="t0001", metrics=metrics)
        reason = f"place 1 of 1 at {milestone} view passes"
        journal.write("decided", uid="t0001", milestone=milestone, decision="continue", reason=reason)
    journal.write("finished", uid="t0003", state="failed", reason="TrialDiverged: nan", metrics={})
    journal.write("interrupted", reason="the driver was told to stop")
    journal.write("resumed", environment={})
    journal.write("launched", uid="t0001", attempt=2)
    journal.close()
    lines = read_journal(tmp_path / "s").events
    timed = [json.dumps(event | {"time": 1000.0 + 60 * minute}) + "\n" for minute, event in enumerate(lines)]
    (tmp_path / "s" / JOURNAL_NAME).write_text("".join(timed))
    return tmp_path / "s"


@pytest.fixture
def start_driver() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Opens a journal for writing in another process."""
    started: list[subprocess.Popen[str]] = []

    def start(study_dir: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLD_THE_JOURNAL, str(study_dir)]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None and started[-1].stdout.readline() == "open\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def shown(study_dir: Path) -> list[str]:
    """Plain lines, seen half an hour after the first event."""
    console = Console(file=StringIO(), width=250)
    console.print(render(read_status(study_dir, now=1000.0 + 60 * 30)))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def columns(line: str) -> list[str]:
    return re.split(r"  +", line.strip())


def test_a_running_study(study_dir: Path, start_driver: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    start_driver(study_dir)
    lines = shown(study_dir)
    assert lines[:3] == [
        "s  running",
        "Does the engine keep its word?",
        f"2 running, 1 complete, 0 stopped, 1 failed; 29:00 of running time{SPENT}",
    ]
    assert lines[3] == "running"
    assert columns(lines[4]) == ["trial", "attempt", "since", "trained", "recipe", "last rung"]
    # Launched anew in the 17th minute; 480 of 3 epochs x 4 views x 100 images, which is what the first rung tells.
    assert columns(lines[5]) == [
        "t0001", "2", "13:00", "≥ 40%", "4 views, smallest crop 0.25", "place 1 of 1 at 400 view passes"
    ]  # fmt: skip
    assert columns(lines[6]) == ["t0002", "1", "24:00", "–", "8 views, smallest crop 0.25"]
    assert lines[7] == "front on validation so far"
    assert columns(lines[8]) == ["trials", "val_clean", "val_pgd_8", "training compute", "recipe"]
    assert columns(lines[9]) == ["t0000", "51.2", "20.0", "500 TFLOP", "2 views, smallest crop 0.50"]
    assert len(lines) == 10


def test_a_study_that_nobody_runs(study_dir: Path) -> None:
    path = study_dir / JOURNAL_NAME
    lines = shown(study_dir)
    assert lines[0] == "s  killed; the same command resumes"
    assert lines[2] == f"2 unfinished, 1 complete, 0 stopped, 1 failed; 16:00 of running time{SPENT}"
    assert lines[3] == "unfinished" and columns(lines[5])[:3] == ["t0001", "2", "–"]
    with path.open("a") as file:
        file.write('{"event": "interrupted", "reason": "", "time": 2080}\n{"event": "resu')
    assert shown(study_dir)[0] == "s  interrupted; the same command resumes"
    ended = path.read_text().replace('"interrupted", "reason": "", "time": 2080', '"ended", "time": 2080')
    path.write_text(ended)
    lines = shown(study_dir)
    assert lines[0] == "s  ended" and "front on validation" in lines


def test_the_front_has_a_row_for_all_seeds_of_a_configuration(study_dir: Path) -> None:
    path = study_dir / JOURNAL_NAME
    events = [json.loads(line) for line in path.read_text().splitlines()]
    first = next(event for event in events if event["event"] == "proposed")
    again = first | {"uid": "t0004", "number": 4, "config": first["config"] | {"seed": 1}}
    result = {"view_passes": 600, "val_clean": 55.234567, "val_pgd_8": 20.0, "train_pflop": 0.5}
    ended = {"event": "finished", "uid": "t0004", "state": "complete", "reason": "", "metrics": result, "time": 2080}
    with path.open("a") as file:
        file.write(json.dumps(again) + "\n" + json.dumps(ended) + "\n")
    row = columns(shown(study_dir)[9])
    assert row[:4] == ["t0000, t0004", "53.2 ± 2.8", "20.0 ± 0.0", "500 TFLOP"]


def test_the_region_and_the_plateau_are_shown(study_dir: Path) -> None:
    path = study_dir / JOURNAL_NAME
    text, usual = path.read_text(), shown(study_dir)
    assert not any("inside" in line or "hypervolume" in line or line.startswith("front: ") for line in usual)
    created, *rest = text.splitlines()
    event = json.loads(created)
    event["spec"]["objectives"][0]["at_least"] = 51.0
    event["spec"]["design"]["budget"]["plateau"] = {"configurations": 4, "gain": 0.02}
    path.write_text("\n".join([json.dumps(event), *rest]) + "\n")
    lines = shown(study_dir)
    assert lines[3] == "front: 1 of 4 complete configurations to judge it by; the search ends below 2%"
    assert "front on validation so far; 1 inside val_clean >= 51" in lines
    assert columns(lines[9])[:2] == ["trials", "inside"] and columns(lines[10])[:3] == ["t0000", "yes", "51.2"]
    event["spec"]["objectives"][0]["at_least"] = 52.0
    path.write_text("\n".join([json.dumps(event), *rest]) + "\n")
    assert columns(shown(study_dir)[10])[:2] == ["t0000", "51.2"]


def test_a_trial_that_waits_is_counted(study_dir: Path) -> None:
    with (study_dir / JOURNAL_NAME).open("a") as file:
        file.write('{"event": "retried", "uid": "t0002", "reason": "", "time": 2080}\n')
    assert shown(study_dir)[2].startswith("1 waiting, 1 unfinished, 1 complete")


def test_a_study_that_has_just_begun(make_spec: MakeSpec, tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("created", study="s", spec=make_spec().model_dump(mode="json"), environment={})
    journal.close()
    assert len(shown(tmp_path)) == 3


def test_the_driver_is_seen_by_its_lock(study_dir: Path, start_driver: Callable[[Path], Any]) -> None:
    before = (study_dir / JOURNAL_NAME).read_bytes()
    assert not has_driver(study_dir)
    driver = start_driver(study_dir)
    assert has_driver(study_dir) and has_driver(study_dir)
    with pytest.raises(ValueError, match="being run by another process"):
        Journal(study_dir)
    end(driver)
    assert not has_driver(study_dir)
    Journal(study_dir).close()
    assert (study_dir / JOURNAL_NAME).read_bytes() == before


def test_looking_does_not_keep_a_driver_out(study_dir: Path, start_driver: Callable[[Path], Any]) -> None:
    has_driver(study_dir)
    start_driver(study_dir)


def test_watching_ends_with_the_driver(study_dir: Path, start_driver: Callable[[Path], Any]) -> None:
    driver = start_driver(study_dir)
    command = [sys.executable, "-m", "study.status", str(study_dir), "--watch"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "s  running\n"
        end(driver)
        rest = watcher.stdout.read()
        assert watcher.wait(timeout=PATIENCE_SECONDS) == 0
    assert "s  killed; the same command resumes\n" in rest
    assert "\x1b" not in rest and "│" not in rest, "plain text where there is no terminal"


def test_in_a_terminal_it_is_shown_anew(
    study_dir: Path, start_driver: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, terminal = start_driver(study_dir), Console(file=StringIO(), force_terminal=True, width=120)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            end(driver)

    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr(status_module, "Console", lambda: terminal)
    assert main([str(study_dir), "--watch"]) == 0
    assert waits == [2.0, 2.0]
    text = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("  running\n") == 2 and "  killed; the same command resumes\n" in text and "t0001 " in text


def test_ctrl_c_leaves_without_a_word(
    study_dir: Path,
    start_driver: Callable[[Path], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    start_driver(study_dir)

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    assert main([str(study_dir), "--watch"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "no study in "),
        ("", "no study in "),
        ('{"event": "created", "ti', "no study in "),
        ("no journal\n", "line 1: not JSON"),
        ('{"event": "launched", "time": 1}\n', "line 1: 'launched' without 'uid'"),
    ],
)
def test_no_study(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, error: str) -> None:
    if text is not None:
        (tmp_path / JOURNAL_NAME).write_text(text)
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and error in said and said.count("\n") == 1
