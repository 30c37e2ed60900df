"""The documentation speaks of things that exist: links, files, modules, names that are imported; its examples run."""

import ast
import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from study.trainable import Context, Final, trainable_of

REPOSITORY = Path(__file__).resolve().parents[2]
LOG = REPOSITORY / "docs" / "log.md"  # speaks of the past
PAGES = sorted({*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")} - {REPOSITORY / "CHANGELOG.md", LOG})
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
FILE = re.compile(r"`((?:study|reports|trainables|search_spaces|benchmarks|tests|docs|examples)/[\w/.]*)`")
MODULE = re.compile(r"python -m ((?:study|reports|trainables|benchmarks)[\w.]*)")


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in ``language``."""
    return [code for name, code in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


@pytest.fixture(params=PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_links_and_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    missing += [name for name in FILE.findall(text) if not (REPOSITORY / name).exists()]
    assert missing == []


def test_modules_exist(page: Path) -> None:
    named = MODULE.findall(page.read_text(encoding="utf-8"))
    assert [name for name in named if importlib.util.find_spec(name.rstrip(".")) is None] == []


def test_python_compiles_and_imports_what_exists(page: Path) -> None:
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("study", "trainables"):
                module = importlib.import_module(str(node.module))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_shell_commands_can_be_split(page: Path) -> None:
    for code in blocks(page, "bash"):
        assert shlex.split(code, comments=True)


@pytest.mark.parametrize("page_name", ["README.md", "docs/howto/own_training.md"])
def test_the_training_of_your_own_runs(page_name: str, tmp_path: Path) -> None:
    code = next(code for code in blocks(REPOSITORY / page_name, "python") if "STUDY = " in code)
    (tmp_path / "digits_mlp.py").write_text(code, encoding="utf-8")
    from study.spec.load_space import load_space

    spec = load_space(tmp_path / "digits_mlp.py")
    *_, last = trainable_of(spec.base).run(spec.base, None, Context(folder=tmp_path))
    assert isinstance(last, Final) and last.metrics["accuracy"] > 80 and last.metrics["weights"] == 64 * 32 + 32 * 10
    assert [objective.name for objective in spec.objectives] == ["accuracy", "weights"]


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"[\w/]+\.md", (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")))
    assert listed == {path.relative_to(REPOSITORY / "docs").as_posix() for path in (REPOSITORY / "docs").rglob("*.md")}


def test_versions_agree() -> None:
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.*)"', project, re.MULTILINE)
    assert version and f"\nversion: {version[1]}\n" in citation
    assert f"## [{version[1]}]" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
