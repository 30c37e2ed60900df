"""A broken space file is named with the line that is broken."""

from pathlib import Path

import pytest

from study.spec.load_space import load_space

HEADER = "from study.spec import Factor, Search, StudySpec\nfrom trainables.trial_config import TrialConfig\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nSTUDY = StudySpec(\n", r"space.py, line 2: .*never closed"),
        (HEADER + "\nSTUDY = nonsense\n", r"space.py, line 4: NameError: name 'nonsense' is not defined"),
        (HEADER + "Search(trials=0)\n", r"space.py, line 3: trials must be at least 1: trials=0"),
        (HEADER + "\n\nBASE = TrialConfig(num_views=0)\n", r"space.py, line 5: num_views: .*\(got 0\)"),
        (HEADER + "BASE = TrialConfig(num_view=2)\n", r"space.py, line 3: num_view: .*not permitted"),
        (HEADER + "def f():\n    return 1 / 0\n\nf()\n", r"space.py, line 4: ZeroDivisionError"),
        ("import a_module_that_nobody_has\n", r"space.py, line 1: ModuleNotFoundError.*a_module_that_nobody_has"),
        (HEADER, r"space.py must define STUDY = StudySpec"),
        (HEADER + "STUDY = {}\n", r"space.py must define STUDY = StudySpec"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "space.py"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load_space(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(ValueError, match=f"^no space file at {path}, and no packaged space of that name"):
            load_space(path)


def test_a_space_is_loaded_from_anywhere(tmp_path: Path) -> None:
    source = Path(__file__).resolve().parents[3] / "search_spaces" / "crops_vs_epochs.py"
    path = tmp_path / "no identifier.py"
    path.write_text(source.read_text())
    assert load_space(path).model_dump(mode="json") == load_space(source).model_dump(mode="json")
