"""Regenerates the README's pictures from a real study: browser screenshots of its report and of its runs in MLflow.

    python docs/gallery.py runs/crops_vs_epochs
    python docs/gallery.py runs/crops_vs_epochs --output docs/gallery

Needs playwright (``pip install -e '.[test]'``) and a Chromium: the system's, or ``playwright install chromium``.

Exit status: 0 if all pictures were written, 2 if the study, playwright or Chromium is missing.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect, Page

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.append(str(REPOSITORY))  # so that the script also runs if the project is not installed

SYSTEM_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SERVER_SECONDS = 120  # timeout for MLflow to answer; it takes a few seconds on an idle machine
WAIT_MS = 60_000
WIDTH, HEIGHT = 1200, 900
# The first of these sections in a report is pictured; ablations have the first, searches some of the others.
EFFECTS = ("What makes the difference", "num_views against epochs", "What mattered", "Parallel coordinates")
COLUMNS = ("val_clean", "val_pgd_8", "train_pflop")
UNTICKED = ("Source", "Models", "Dataset")  # shown by default, but the same for all runs
# Keeps MLflow from opening a chat window over its table.
CLOSE_ASSISTANT = """
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
"""


@contextmanager
def open_browser() -> Iterator["Browser"]:
    """A headless Chromium.

    Raises:
        RuntimeError: with one line, if playwright or Chromium is missing or does not start.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise RuntimeError("playwright is not installed; pip install -e '.[test]' brings it") from None
    found = next(filter(None, map(shutil.which, SYSTEM_BROWSERS)), None)
    with sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            raise RuntimeError(f"no Chromium: none of {', '.join(SYSTEM_BROWSERS)}, nor `playwright install chromium`")
        try:
            browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        except Error as error:
            raise RuntimeError(f"Chromium does not start: {str(error).partition(chr(10))[0]}") from None
        with browser:
            yield browser


@contextmanager
def serve_mlflow(output: Path) -> Iterator[str]:
    """The address of MLflow's pages for the studies in ``output``, served until the context exits.

    Raises:
        RuntimeError: if the server ends or does not answer.
    """
    from study.tracking.stores import tracking_uri

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", tracking_uri(output)]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--workers", "1"],
        # Without its job workers, which nothing here uses, it starts with a third of the CPU time.
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        _wait_for(f"{address}/health", server)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    ends_at = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < ends_at and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"MLflow does not answer at {address}")


def runs_address(server: str, study_dir: Path, order_by: str = "", ascending: bool = False) -> str:
    """The address of MLflow's table of a study's runs, ordered by a metric if given, else in MLflow's default order.

    Raises:
        RuntimeError: if MLflow has no such study.
    """
    from mlflow import MlflowClient

    from study.tracking.stores import tracking_uri

    experiment = MlflowClient(tracking_uri(study_dir.parent)).get_experiment_by_name(study_dir.name)
    if experiment is None:
        raise RuntimeError(f"MLflow knows no study {study_dir.name}")
    order = f"?orderByKey=metrics.%60{order_by}%60&orderByAsc={str(ascending).lower()}" if order_by else ""
    return f"{server}/#/experiments/{experiment.experiment_id}/runs{order}"


def show_columns(page: "Page", names: tuple[str, ...], unticked: tuple[str, ...] = ()) -> None:
    """Ticks metrics in the column menu of MLflow's table of runs, and waits until they are shown.

    ``unticked`` are columns to remove, which must be ticked beforehand.
    """
    page.locator(".ag-row a").first.wait_for(timeout=WAIT_MS)  # until then the menu lists no metrics
    page.get_by_role("button", name="Columns").click(timeout=WAIT_MS)
    for name in (*names, *unticked):
        page.get_by_placeholder("Search columns").fill(name)
        page.get_by_text(name, exact=True).last.click()
    page.keyboard.press("Escape")
    page.get_by_placeholder("Search columns").wait_for(state="hidden")
    for name in names:
        page.locator(f'.ag-row [col-id="metrics.`{name}`"]').first.wait_for()


def picture_report(browser: "Browser", study_dir: Path, output: Path) -> Iterator[Path]:
    """``report.png``, from the question to the first chart, and ``effects.png``, what mattered, if it is there."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
    page.goto((study_dir / "report" / "index.html").resolve().as_uri())
    titles = page.locator("section > h2").all_inner_texts()
    first = page.locator(".figure").first
    first.locator(".main-svg").first.wait_for(timeout=WAIT_MS)
    end = first.evaluate("figure => figure.getBoundingClientRect().bottom + scrollY")
    page.screenshot(path=output / "report.png", full_page=True, clip=_clip(0, 0, WIDTH, end + 2))
    yield output / "report.png"
    for title in [title for title in EFFECTS if title in titles][:1]:
        section = page.locator("section").filter(has=page.get_by_role("heading", name=title, exact=True))
        for figure in section.locator(".plotly-graph-div").all():
            figure.scroll_into_view_if_needed()
            figure.locator(".main-svg").first.wait_for(timeout=WAIT_MS)
        x, top, width, bottom = section.evaluate(
            """section => {
              const [head, last] = [section, [...section.querySelectorAll(".figure, .pair")].at(-1) ?? section]
                .map((element) => element.getBoundingClientRect());
              return [head.x, head.top + scrollY, head.width, last.bottom + scrollY];
            }"""
        )
        page.evaluate("scrollTo(0, 0)")
        clip = _clip(x - 12, top - 12, width + 24, bottom - top + 24)
        page.screenshot(path=output / "effects.png", full_page=True, clip=clip)
        yield output / "effects.png"
    page.close()


def _clip(x: float, y: float, width: float, height: float) -> "FloatRect":
    return {"x": x, "y": y, "width": width, "height": height}


def picture_mlflow(browser: "Browser", study_dir: Path, output: Path) -> Iterator[Path]:
    """``mlflow.png``: the table of runs, most robust first."""
    with serve_mlflow(study_dir.parent) as server:
        page = browser.new_page(viewport={"width": 1200, "height": 760}, color_scheme="light")
        page.add_init_script(CLOSE_ASSISTANT)
        page.goto(runs_address(server, study_dir, order_by="val_pgd_8"))
        show_columns(page, COLUMNS, UNTICKED)
        page.screenshot(path=output / "mlflow.png")
        page.close()
    yield output / "mlflow.png"


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line, makes the pictures, prints their paths."""
    parser = argparse.ArgumentParser(prog="python docs/gallery.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study_dir", type=Path, help="the study's folder, runs/<study>")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "docs" / "gallery", help="folder of the pictures")
    options = parser.parse_args(arguments)
    try:
        if not (options.study_dir / "report" / "index.html").is_file():
            raise RuntimeError(f"no report in {options.study_dir}")
        options.output.mkdir(parents=True, exist_ok=True)
        with open_browser() as browser:
            for picture in (picture_report, picture_mlflow):
                for path in picture(browser, options.study_dir.resolve(), options.output):
                    print(path)
    except RuntimeError as error:
        print(f"gallery: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
