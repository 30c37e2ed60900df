"""The examples in the docstrings of the public interface run, and give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

MODULES = [
    "study",
    "study.api",
    "study.record.curves",
    "study.spec.designs",
    "study.spec.factors",
    "study.spec.stopping",
    "study.spec.study_spec",
    "study.trainable",
    "reports.front.axis",
    "reports.front.label_places",
    "reports.front.robust_axis",
    "reports.page.figure_style",
    "reports.result",
    "trainables.recorded_table",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0 and found.failed == 0, "see the output above"


def test_every_public_name_has_an_example() -> None:
    import study

    for name in ("StudySpec", "Factor", "Search", "MoAsha", "Metric", "as_trainable", "open_study", "run_study"):
        assert ">>> " in (getattr(study, name).__doc__ or ""), name
