"""Which package imports which, and what is not imported at all: the arrows of the design, light entry points.

"Recorded tables" are trials looked up in a table rather than trained; they alone read a table with pandas.
"""

import ast
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("trainables", "study", "reports", "search_spaces")
OF_STUDY_FOR_TRAINABLES = {
    "study.trainable", "study.settings", "study.streams", "study.files", "study.record.curves",
    "study.record.measures", "study.record.trial_folder",
}  # fmt: skip
WITH_NAMES_OF_ALL = "study/__init__.py"  # its table of public names knows of the reports
HEAVY = {"torch", "ray", "mlflow"}
NOT_FOR_TRIALS = {"ray", "optuna", "mlflow", "pandas", "plotly"}
CPU_SECONDS = 1.0
JOURNAL = ROOT / "tests" / "study" / "data" / "stopped_trials.jsonl"


def modules(package: str) -> list[Path]:
    return [path.relative_to(ROOT) for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere in it, of this project; ``from a.b import c`` may import ``a.b.c``."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name for name in submodules if is_module(name)} or {str(node.module)}
    return {name for name in names if name.partition(".")[0] in PACKAGES}


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def of(package: str, names: set[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] == package}


@pytest.mark.parametrize("path", modules("trainables"), ids=str)
def test_trainables_know_the_contract_and_no_more_of_studies(path: Path) -> None:
    names = imported(path)
    assert of("study", names) <= OF_STUDY_FOR_TRAINABLES
    assert not of("reports", names) and not of("search_spaces", names)


@pytest.mark.parametrize("path", modules("study"), ids=str)
def test_studies_know_no_trainable_no_report_and_no_space(path: Path) -> None:
    names = imported(path)
    assert not of("trainables", names) and not of("search_spaces", names)
    if path.as_posix() != WITH_NAMES_OF_ALL:
        assert not of("reports", names)


def test_the_table_of_public_names_imports_reports_for_type_checkers_alone() -> None:
    tree = ast.parse((ROOT / WITH_NAMES_OF_ALL).read_text())
    at_run_time = [node for node in tree.body if not isinstance(node, ast.If)]
    names = {node.module for part in at_run_time for node in ast.walk(part) if isinstance(node, ast.ImportFrom)}
    assert names == {"typing"}


@pytest.mark.parametrize("path", modules("reports"), ids=str)
def test_reports_know_a_trainable_only_where_they_are_about_it(path: Path) -> None:
    if path.parts[1] not in ("attack", "paper"):
        names = imported(path)
        assert not of("trainables", names) and not of("search_spaces", names)


@pytest.mark.parametrize("path", modules("search_spaces"), ids=str)
def test_spaces_are_data(path: Path) -> None:
    names = imported(path)
    assert of("study", names) <= {"study.spec"}
    with_tables = {"trainables.recorded_table", "trainables.every_epoch"} if "tables" in path.parts else set()
    assert of("trainables", names) - with_tables <= {"trainables.trial_config", "trainables.presets"}
    assert not of("reports", names)
    tree = ast.parse((ROOT / path).read_text())
    from_optuna = {
        node.module for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "optuna"
    }  # fmt: skip
    assert from_optuna <= {"optuna.distributions"}


def loaded(code: str) -> set[str]:
    """The modules that a fresh process has loaded after ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_what_describes_a_study_is_light() -> None:
    names = (
        "study", "study.spec", "study.spec.options", "study.spec.load_space", "study.spec.choices", "study.trainable",
        "study.settings", "study.record.journal", "study.record.configurations", "study.record.metrics",
        "study.record.identity", "study.record.trials", "study.record.trial_folder", "study.decisions.engine",
        "study.run", "study.doctor", "study.status", "study.verify", "study.command", "trainables.robust_ssl",
        "trainables.trial_config",
    )  # fmt: skip
    heavy = f"for heavy in {sorted(HEAVY)} : assert heavy not in sys.modules, (name, heavy)"
    loaded(f"for name in {names}:\n    __import__(name)\n    {heavy}")


def test_every_space_is_described_without_torch_and_ray() -> None:
    code = (
        "from pathlib import Path\n"
        "from study.spec.load_space import load_space, packaged_spaces\n"
        "from study.spec.choices import check_space\n"
        "for name in packaged_spaces():\n"
        "    if not name.startswith('tables/'): check_space(load_space(Path(name)).with_preset('laptop'))"
    )
    assert not loaded(code) & HEAVY


def test_trials_need_no_study_dependency() -> None:
    names = [path.with_suffix("").as_posix().replace("/", ".") for path in modules("trainables")]
    without_tables = [name for name in names if "recorded_table" not in name and not name.endswith("__init__")]
    assert "trainables.robust_ssl" in without_tables and "trainables.trial" in without_tables
    found = loaded("\n".join(f"import {name}" for name in without_tables))
    assert not found & (NOT_FOR_TRIALS | {"reports", "search_spaces"})
    assert {name for name in found if name.startswith(("study.decisions", "study.workers", "study.spec"))} == set()


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["study.run", "--help"], 0),
        (["study.status", "--help"], 0),
        (["study.verify", "--help"], 0),
        (["study.run", "--space", "nonsense"], 2),
        (["study.run", "--space", "crops_vs_epochs", "--sampler", "tpe", "--set", "nonsense=1"], 2),
        (["study.status", "STUDY"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_answers_do_not_keep_one_waiting(arguments: list[str], exit_code: int, tmp_path: Path) -> None:
    """CPU time of the whole process; one of three, as the first one may have to compile the modules."""
    shutil.copy(JOURNAL, tmp_path / "journal.jsonl")
    words = [str(tmp_path) if word == "STUDY" else word for word in arguments]
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == exit_code, done.stderr
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if spent[-1] < CPU_SECONDS:
            break
    assert spent[-1] < CPU_SECONDS, spent
