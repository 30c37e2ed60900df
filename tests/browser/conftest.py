"""Studies to open in a browser, and the browser; without playwright or Chromium the tests are skipped."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gallery import open_browser, serve_mlflow
from patience import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]

SPACE = """
from optuna.distributions import CategoricalDistribution

from study.spec import Factor, Grid, StudySpec
from trainables.trial_config import TrialConfig

STUDY = StudySpec(
    name="browsed",
    question="What does a browser show of a study?",
    base=TrialConfig(
        dataset="digits", image_size=8, train_images=300, encoder="resnet_narrow", projector_hidden_dim=32,
        projector_dim=16, batch_size=50, adversary="none", probe="central", probe_epochs=20, probe_learning_rate=1e-2,
        eval_samples=100, eval_pgd_steps=2, eval_radii_255=(8.0,),
    ),
    factors=(
        Factor(name="num_views", distribution=CategoricalDistribution([2, 3])),
        Factor(name="epochs", distribution=CategoricalDistribution([1, 6])),
        Factor(name="learning_rate", distribution=CategoricalDistribution([0.05, 1e30])),
    ),
    design=Grid(),
)
"""


@pytest.fixture(scope="session")
def chromium() -> None:
    """Skips where there is no browser, before a study is run for it."""
    try:
        with open_browser():
            pass
    except RuntimeError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def browser(chromium: None) -> Iterator[Any]:
    """Headless Chromium; of a module, as playwright's event loop must not outlive these tests."""
    with open_browser() as found:
        yield found


@pytest.fixture(scope="session")
def study_dir(chromium: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real study of eight tiny trials, half of which diverge, run by the command."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "browsed.py").write_text(SPACE)
    command = [sys.executable, "-m", "study.run", "--preset", "paper", "--space", str(folder / "browsed.py")]
    run = subprocess.run(
        [*command, "--output", str(folder / "runs")], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "runs" / "browsed"


@pytest.fixture(scope="session")
def server(study_dir: Path) -> Iterator[str]:
    """The address of MLflow's pages of the study."""
    with serve_mlflow(study_dir.parent) as address:
        yield address


@pytest.fixture(scope="session")
def many_dir(chromium: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a made-up study of a thousand trials."""
    folder = tmp_path_factory.mktemp("many")
    writer = ROOT / "benchmarks" / "constructed_study.py"
    for command in ([str(writer), str(folder), "--trials", "1000"], ["-m", "reports.build", str(folder)]):
        subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=True,
            timeout=PATIENCE_SECONDS,
        )
    return folder
