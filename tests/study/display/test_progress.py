"""What a study shows in a terminal, as the terminal renders it: while it runs, after Ctrl-C, at its end."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pyte
import pytest
from driver import Driver
from optuna.distributions import FloatDistribution, IntDistribution
from patience import PATIENCE_SECONDS
from rich.console import Console

from study.display.progress import ProgressDisplay
from study.spec import Budget, Factor, Objective, Plateau, Search

MakeSpec = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[3]
WIDTH, HEIGHT = 80, 24

SPACE = """
import time
from optuna.distributions import IntDistribution
from pydantic import BaseModel
from study import Factor, Metric, Search, StudySpec, as_trainable

class Config(BaseModel, frozen=True):
    width: int = 32
    seed: int = 0

@as_trainable(config=Config, metrics=[Metric("accuracy", "maximize", unit="%")])
def fit(config, context):
    for step in range(1000):
        time.sleep(0.05)
        yield {"accuracy": 50.0 + step}

STUDY = StudySpec(
    name="waits", question="Does Ctrl-C leave a clean screen?", base=Config(),
    factors=(Factor(name="width", distribution=IntDistribution(1, 10**6)),), design=Search(trials=20, sampler="tpe"))
"""


class Terminal:
    """A terminal of ``WIDTH`` x ``HEIGHT`` with its scrollback."""

    def __init__(self) -> None:
        self._screen = pyte.HistoryScreen(WIDTH, HEIGHT, history=1000)
        self._screen.set_mode(pyte.modes.LNM)  # as a terminal's driver does: a line feed returns, too
        self._stream = pyte.ByteStream(self._screen)

    def feed(self, text: bytes) -> None:
        self._stream.feed(text)

    @property
    def is_cursor_visible(self) -> bool:
        return not self._screen.cursor.hidden

    @property
    def lines(self) -> list[str]:
        """All that can be scrolled back to, without what is empty at the end."""
        above = ["".join(line[x].data for x in range(WIDTH)).rstrip() for line in self._screen.history.top]
        return "\n".join([*above, *(line.rstrip() for line in self._screen.display)]).rstrip().splitlines()


def equally_good(config: Any, milestone: int) -> dict[str, Any]:
    numbers = {"milestone": milestone, "view_passes": milestone, "val_pgd_8": 1.0, "val_n": 500}
    return numbers | {"val_clean": 70.0, "train_pflop": 1.0}


@pytest.fixture
def driver(make_spec: MakeSpec, tmp_path: Path) -> Driver:
    """Of a study with a factor whose name and values fill more than a line."""
    factors = (
        *(Factor(name=name, distribution=FloatDistribution(1e-6, 1)) for name in ("learning_rate", "weight_decay")),
        Factor(name="num_views", distribution=IntDistribution(2, 32)),
        Factor(name="probe_learning_rate", distribution=FloatDistribution(1e-6, 1)),
    )
    return Driver(tmp_path / "s", make_spec(factors=factors, design=Search(trials=60, sampler="random")))


def displayed(driver: Driver, height: int = HEIGHT) -> tuple[ProgressDisplay, StringIO]:
    written = StringIO()
    console = Console(file=written, force_terminal=True, width=WIDTH, height=height, legacy_windows=False)
    return ProgressDisplay(driver.engine, 2, console), written


@pytest.mark.parametrize("num_running", [0, 1, 40])
@pytest.mark.parametrize("num_complete", [0, 20])
def test_after_ctrl_c_nothing_is_left(driver: Driver, num_running: int, num_complete: int) -> None:
    for _ in range(num_complete):
        driver.engine.complete(driver.engine.next_assignment().uid, front_member(len(driver.events)))  # type: ignore[union-attr]
    for _ in range(num_running):
        driver.engine.next_assignment()
    display, written = displayed(driver)
    terminal = Terminal()
    with display:
        display._live.refresh()
        terminal.feed(written.getvalue().encode())
        during = terminal.lines
        terminal.feed(b"^C")  # what the terminal itself prints
        seen = len(written.getvalue())
    terminal.feed(written.getvalue()[seen:].encode())
    assert during[0].startswith("constructed") and during[-1] == "Ctrl-C interrupts; the same command resumes."
    assert len(during) <= HEIGHT and sum(line.startswith("t00") for line in during) >= min(4, num_running)
    assert terminal.lines == [] and terminal.is_cursor_visible


def front_member(number: int) -> dict[str, float]:
    """Results of which none dominates another one."""
    return {"view_passes": 1000, "val_clean": 90.0 - number, "val_pgd_8": 1.0 * number, "train_pflop": 0.001}


@pytest.mark.parametrize("height", [8, 12, 24, 60])
def test_tables_have_a_line_a_row_and_fit_the_screen(driver: Driver, height: int) -> None:
    for _ in range(10):
        driver.engine.complete(driver.engine.next_assignment().uid, front_member(len(driver.events)))  # type: ignore[union-attr]
    for _ in range(10):
        driver.engine.next_assignment()
    display, _ = displayed(driver, height)
    console = Console(file=StringIO(), width=WIDTH)
    console.print(display._render())
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) <= max(height, 11) and all(len(line) <= WIDTH for line in lines)
    rows = [line.split()[0] for line in lines if line.startswith("t00")]
    assert len(rows) == (20 if height == 60 else max(2, height - 9))
    assert [line for line in lines if line.startswith("front")] == [
        "front on validation so far" + ("" if height == 60 else f", {len(rows) - len(rows) // 2} of 10")
    ]


def test_the_summary_counts_what_is_unfinished_and_names_the_front(driver: Driver) -> None:
    for _ in range(12):
        driver.engine.complete(driver.engine.next_assignment().uid, front_member(len(driver.events)))  # type: ignore[union-attr]
    driver.engine.fail(driver.engine.next_assignment().uid, "why")  # type: ignore[union-attr]
    driver.engine.next_assignment()
    display, written = displayed(driver)
    display.print_summary()
    terminal = Terminal()
    terminal.feed(written.getvalue().encode())
    assert terminal.lines == [
        "14 trials: 12 complete, 1 failed, 1 unfinished",
        "On the front: t0000, t0001, t0002, t0003, t0004, t0005, t0006, t0007, t0008,",
        "t0009 and 2 more",
    ]


def test_the_summary_says_what_is_inside_and_why_the_search_ended(make_spec: MakeSpec, tmp_path: Path) -> None:
    budget = Budget(plateau=Plateau(configurations=4, gain=0.01))
    design = Search(trials=20, sampler="random", budget=budget)
    factors = (Factor(name="num_views", distribution=IntDistribution(2, 32)),)
    lines = {}
    for bound in (60, 99):
        objectives = (Objective("val_clean", "maximize", at_least=bound), Objective("train_pflop", "minimize"))
        spec = make_spec(factors=factors, design=design, objectives=objectives)
        driver = Driver(tmp_path / str(bound), spec, made_up=equally_good)
        driver.run()
        display, written = displayed(driver)
        display.print_summary()
        lines[bound] = " ".join(written.getvalue().split())
    assert "5 of 20 configs: front: hypervolume +0% over the last 4 complete configurations; it no longer" in lines[60]
    assert "Of these inside val_clean >= 60: t0000" in lines[60]
    assert "20 trials" not in lines[60] and "Of these inside val_clean >= 99: none; nearest t0000" in lines[99]
    assert "Front: nothing on it before the last 4 complete configurations" in lines[99]


@pytest.mark.slow
def test_ctrl_c_in_a_real_terminal(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(SPACE)
    command = [sys.executable, "-m", "study.run", "--space", str(tmp_path / "waits.py"), "--output", str(tmp_path)]
    terminal, written = Terminal(), b""
    process, channel = pty.fork()
    if process == 0:  # the child
        os.chdir(ROOT)
        os.execvpe(command[0], command, os.environ | {"TERM": "xterm-256color"})
    fcntl.ioctl(channel, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    ends_at, is_interrupted = time.monotonic() + PATIENCE_SECONDS, False
    while time.monotonic() < ends_at:
        if select.select([channel], [], [], 0.1)[0]:
            try:
                text = os.read(channel, 65536)
            except OSError:  # Linux: the other side is closed
                break
            terminal.feed(text)
            written += text
        if not is_interrupted and "100%" not in terminal.lines and any("t0000" in line for line in terminal.lines):
            os.write(channel, b"\x03")
            is_interrupted = True
    os.close(channel)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 130
    lines = terminal.lines
    assert terminal.is_cursor_visible and b"Traceback" not in written
    assert lines[0].startswith("Study waits: ") and "Starting Ray ..." in lines
    after = lines[lines.index("Starting Ray ...") + 1 :]
    assert after[0].endswith(" unfinished") and after[1] == "Interrupted; the same command resumes."
    assert not any(line.startswith(("waits ", "running", "t0000", "Ctrl-C", "^C")) for line in lines)
