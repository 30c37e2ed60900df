"""The README's pictures, and what the script says where it cannot make them."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import gallery
import pytest
from PIL import Image

MAX_BYTES = 300_000


@pytest.fixture
def reported(tmp_path: Path) -> Path:
    """A folder with a report, as far as the script looks before it opens a browser."""
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").touch()
    return tmp_path


def test_a_folder_without_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gallery.main([str(tmp_path), "--output", str(tmp_path / "pictures")]) == 2
    assert capsys.readouterr().err == f"gallery: no report in {tmp_path}\n"
    assert not (tmp_path / "pictures").exists()


def without_playwright(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(sys.modules, "playwright.sync_api", None)


def without_chromium(patch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("playwright")
    patch.setattr("shutil.which", lambda name: None)
    patch.setenv("PLAYWRIGHT_BROWSERS_PATH", "/nowhere")


@pytest.mark.parametrize(
    ("take_away", "message"),
    [(without_playwright, "playwright is not installed"), (without_chromium, "no Chromium")],
)
def test_what_is_missing_is_said_in_a_line(
    reported: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    take_away: Callable[[pytest.MonkeyPatch], None],
    message: str,
) -> None:
    take_away(monkeypatch)
    assert gallery.main([str(reported), "--output", str(reported)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"gallery: {message}") and error.count("\n") == 1


@pytest.mark.browser
@pytest.mark.slow
def test_all_pictures_are_made(
    study_dir: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gallery, "serve_mlflow", lambda output: nullcontext(server))  # it takes seconds to come up
    code, captured = gallery.main([str(study_dir), "--output", str(tmp_path)]), capsys.readouterr()
    assert code == 0, captured.err
    names = ["report.png", "effects.png", "mlflow.png"]
    assert captured.out.splitlines() == [str(tmp_path / name) for name in names]
    for name in names:
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 300
            assert len(image.convert("L").getcolors() or []) > 20, "an empty page"
        assert (tmp_path / name).stat().st_size < MAX_BYTES
