"""Each example runs by the command in its docstring, and the notebook runs from top to bottom."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS

from study.record.journal import read_study
from study.spec.choices import check_space
from study.spec.load_space import load_space
from study.trainable import Context, Final, Interim, trainable_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = sorted(path for path in EXAMPLES.glob("*.py") if path.name != "__init__.py")


def skip_without(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


def skip_unless_it_can_run(path: Path) -> None:
    if path.stem.startswith("lightning"):
        skip_without("lightning")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_a_valid_space(path: Path) -> None:
    skip_unless_it_can_run(path)
    check_space(load_space(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_trains_and_reports_what_it_declares(path: Path, tmp_path: Path) -> None:
    skip_unless_it_can_run(path)
    spec = load_space(path)
    trainable = trainable_of(spec.base)
    milestones = [1, 3] if trainable.total_progress(spec.base, 1) else []
    context = Context(folder=tmp_path, milestones=milestones)
    reports = [*trainable.run(spec.base, trainable.load_data(spec.base), context)]
    result = reports[-1]
    assert isinstance(result, Final)
    declared = {metric.name for metric in trainable.metrics(spec.base)}
    assert declared <= set(result.metrics)
    assert result.metrics["val_accuracy"] > 60, "it learns: chance is 10%"
    interim = [report for report in reports if isinstance(report, Interim)]
    assert [report.metrics["milestone"] for report in interim] == milestones


@pytest.mark.slow
def test_an_example_runs_by_its_command(tmp_path: Path) -> None:
    path = EXAMPLES / "own_training_two_objectives.py"
    (command,) = re.findall(r"^ *python (-m study\.run .*)$", path.read_text(), re.MULTILINE)
    arguments = [*shlex.split(command), "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    study = read_study(tmp_path / path.stem)
    states = [trial.state for trial in study.trials.values()]
    assert len(states) == int(command.split()[-1])
    assert set(states) <= {"complete", "stopped"} and "complete" in states, states
    assert (tmp_path / path.stem / "report" / "index.html").exists(), done.stdout


@pytest.mark.slow
def test_the_notebook_runs_and_holds_no_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without("nbclient", "ipykernel")
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    code[0].source += f"\nOUTPUT = Path({str(tmp_path)!r})"
    code[1].source = code[1].source.replace('OUTPUT = Path("runs")\n', "")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    NotebookClient(notebook, timeout=int(PATIENCE_SECONDS), resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    results = [[output for output in cell.outputs if output.output_type != "stream"] for cell in code]
    shown = [str(outputs) for outputs in results if outputs]
    assert len(shown) == 5, shown
    assert "t0007" in shown[0] and "val_accuracy" in shown[1]
    assert "application/vnd.plotly.v1+json" in shown[3]
    # The study names its training by the file, so that it is found from other folders, too.
    assert read_study(tmp_path / "own_training").spec["trainable"] == f"{EXAMPLES / 'own_training.py'}:fit"
