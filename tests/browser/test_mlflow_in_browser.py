"""MLflow's own pages of a study: its children, its table in order, and the report as an artifact."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gallery import CLOSE_ASSISTANT, runs_address, show_columns

from study.record.journal import read_study
from study.tracking.stores import tracking_uri

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WAIT_MS = 60_000
METRIC = "val_pgd_8"
CELLS = f'.ag-row [col-id="metrics.`{METRIC}`"]'


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1500, "height": 900})
    page.add_init_script(CLOSE_ASSISTANT)
    page.set_default_timeout(WAIT_MS)
    yield page
    page.close()


def parent_address(server: str, study_dir: Path) -> str:
    from mlflow import MlflowClient

    experiment = runs_address("", study_dir).split("/")[3]
    runs = MlflowClient(tracking_uri(study_dir.parent)).search_runs([experiment])
    (parent,) = (run.info.run_id for run in runs if "trial.uid" not in run.data.tags)
    return f"{runs_address(server, study_dir)}/{parent}"


def shown_values(page: Any) -> list[float]:
    """The column of ``METRIC`` from the top; rows of runs that lack it are left out."""
    rows = page.locator(CELLS).evaluate_all(
        "cells => cells.map(cell => [Number(cell.closest('.ag-row').getAttribute('row-index')), cell.innerText])"
    )
    return [float(text) for _, text in sorted(rows) if re.fullmatch(r"[\d.]+", text)]


def test_the_parent_run_lists_its_child_runs(page: Any, server: str, study_dir: Path) -> None:
    page.goto(parent_address(server, study_dir))
    children = page.get_by_role("link", name=re.compile(r"^t\d{4} "))
    children.first.wait_for()
    trials = read_study(study_dir).trials
    assert sorted(text.partition(" ")[0] for text in children.all_inner_texts()) == sorted(trials)
    assert any(re.match(r"t\d{4} .*\d views", text) for text in children.all_inner_texts())


@pytest.mark.parametrize("ascending", [True, False])
def test_the_table_of_runs_is_sorted_by_robust_accuracy(
    page: Any, server: str, study_dir: Path, ascending: bool
) -> None:
    values = [trial.metrics[METRIC] for trial in read_study(study_dir).with_state("complete")]
    assert len(set(values)) > 1, "nothing to sort"
    page.goto(runs_address(server, study_dir, order_by=METRIC, ascending=ascending))
    show_columns(page, (METRIC,))
    assert shown_values(page) == pytest.approx(sorted(values, reverse=not ascending), abs=0.01)


def test_the_report_is_drawn_in_the_artifact_viewer(page: Any, server: str, study_dir: Path) -> None:
    page.goto(f"{parent_address(server, study_dir)}/artifacts/report/index.html")
    plot = page.frame_locator("iframe").locator(".plotly-graph-div").first
    plot.locator(".main-svg").first.wait_for()
    assert plot.locator(".scatterlayer path.point").count() >= len(read_study(study_dir).with_state("complete"))
