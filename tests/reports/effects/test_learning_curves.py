"""Curves of trials: which measures have one, whose values they are, and medians of curves that are known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written_studies import results

from reports.effects.curve_figures import MANY, MOST_OF_FRONT, curves_figure
from reports.effects.curve_sections import curve_sections
from reports.effects.learning_curves import (
    LEAST_TRIALS,
    MOST_POINTS,
    Curve,
    MeasuredCurves,
    curves_info,
    grouped,
    quantile_band,
    read_curves,
)
from study.record.curves import CurveFile
from study.record.trial_folder import trial_folder
from study.record.trials import TrialTable, tabulate

NewStudy = Callable[..., Any]


def measure(study_dir: Path, uid: str, *rows: dict[str, float]) -> None:
    folder = trial_folder(study_dir, uid)
    folder.mkdir(parents=True, exist_ok=True)
    curve = CurveFile(folder, "view_passes")
    for row in rows:
        curve.add(row)


def info(table: TrialTable, study_dir: Path) -> dict[str, MeasuredCurves]:
    return {measured.metric.name: measured for measured in curves_info(table, read_curves(table, study_dir))}


def points(curve: Curve) -> list[tuple[float, float]]:
    return list(zip(curve.x.tolist(), curve.y.tolist(), strict=True))


def test_measures_come_from_the_trials_files_and_counters_have_no_curve(new_study: NewStudy, tmp_path: Path) -> None:
    study = new_study()
    first, second = study.complete(90.0, 20.0, 1.0), study.complete(80.0, 30.0, 2.0)
    failed = study.start([])
    study.finish(failed, "failed", reason="nan")
    measure(
        tmp_path, first, *({"view_passes": 50 * n, "epoch": n, "val_n": 9 - n, "train_loss": 1.0 / n} for n in (1, 2))
    )
    measure(tmp_path, failed, {"view_passes": 50, "train_loss": 9.0}, {"view_passes": 100, "train_loss": 99.0})
    found = info(tabulate(study.read()), tmp_path)
    assert list(found) == ["train_loss"], "epochs and numbers of examples are no measures"
    (curve,) = found["train_loss"].curves
    assert curve.uid == first and points(curve) == [(50.0, 1.0), (100.0, 0.5)] and second != first


def test_accuracies_of_rungs_end_with_the_result_and_files_that_say_more_win(
    new_study: NewStudy, tmp_path: Path
) -> None:
    study = new_study()
    report = {"milestone": 10, "view_passes": 10, "val_clean": 40.0, "val_pgd_8": 5.0, "train_pflop": 0.1}
    uids = [study.start([report]), study.start([report])]
    for uid in uids:
        study.finish(uid, "complete", results(90.0, 20.0, 1.0) | {"view_passes": 100})
    measure(tmp_path, uids[1], *({"view_passes": n, "val_clean": float(n)} for n in (10, 20, 30)))
    found = info(tabulate(study.read()), tmp_path)
    assert list(found) == ["val_clean", "val_pgd_8"]
    assert [points(curve) for curve in found["val_clean"].curves] == [
        [(10.0, 40.0), (100.0, 90.0)],
        [(10.0, 10.0), (20.0, 20.0), (30.0, 30.0), (100.0, 90.0)],
    ]


def test_what_is_measured_where_progress_stands_still_is_counted(new_study: NewStudy, tmp_path: Path) -> None:
    study = new_study()
    uid = study.complete(90.0, 20.0, 1.0)
    rows = [{"view_passes": 100, "finetuning_train_loss": loss} for loss in (3.0, 2.0, 1.5)]
    measure(tmp_path, uid, *rows)
    table = tabulate(study.read())
    found = info(table, tmp_path)["finetuning_train_loss"]
    assert found.is_counted and points(found.curves[0]) == [(1.0, 3.0), (2.0, 2.0), (3.0, 1.5)]
    assert curves_figure(table, found).layout.xaxis.title.text == "number of the measurement"


def test_long_curves_are_thinned_and_keep_their_ends(new_study: NewStudy, tmp_path: Path) -> None:
    study = new_study()
    uid = study.complete(90.0, 20.0, 1.0)
    measure(tmp_path, uid, *({"view_passes": n, "train_loss": 1.0 / n} for n in range(1, 2001)))
    (curve,) = info(tabulate(study.read()), tmp_path)["train_loss"].curves
    assert len(curve.x) == MOST_POINTS and points(curve)[0] == (1.0, 1.0) and points(curve)[-1] == (2000.0, 1 / 2000)


def test_quantiles_are_those_of_lines_that_are_known() -> None:
    x = np.array([0.0, 100.0])
    curves = [Curve(f"t{n}", x, n * x / 100) for n in range(11)]  # at x, the trials are at 0, x / 100, ..., x / 10
    places, (low, median, high) = quantile_band(curves, num_places=5)
    assert places.tolist() == [0, 25, 50, 75, 100]
    for found, share in ((low, 1), (median, 5), (high, 9)):
        assert found == pytest.approx(share * places / 100)


def test_quantiles_end_where_there_are_too_few_curves() -> None:
    ends = (*[50.0] * LEAST_TRIALS, *[100.0] * (LEAST_TRIALS - 1))
    curves = [Curve(f"t{n}", np.array([0.0, end]), np.array([1.0, 1.0])) for n, end in enumerate(ends)]
    places, values = quantile_band(curves, num_places=5)
    assert places.tolist() == [0, 25, 50] and values.shape == (3, 3)


@pytest.fixture
def large(new_study: NewStudy, tmp_path: Path) -> TrialTable:
    """300 complete trials, by two adversaries, each with a hundred epochs."""
    study = new_study(factors=[{"name": "adversary"}, {"name": "width"}])
    for number in range(300):
        params = {"adversary": "free" if number % 3 else "pgd", "width": number}
        uid = study.complete(90.0 - number / 10, 20.0 + number / 10, 1.0 + number, params)
        measure(tmp_path, uid, *({"view_passes": 10 * n, "train_loss": number / n} for n in range(1, 101)))
    return tabulate(study.read())


def test_many_curves_are_medians_by_group_with_some_of_the_front(large: TrialTable, tmp_path: Path) -> None:
    measured = info(large, tmp_path)["train_loss"]
    assert {name: len(curves) for name, curves in grouped(large, measured.curves).items()} == {
        "free": 200, "pgd": 100
    }  # fmt: skip
    figure = curves_figure(large, measured)
    names = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert names == ["free (n = 200)", "pgd (n = 100)", "on the front"]
    lines = [trace for trace in figure.data if trace.customdata is not None]
    assert len(lines) == MOST_OF_FRONT < len(large.front)
    median = figure.data[1]
    assert median.y[-1] == pytest.approx(1.5), "of the numbers up to 299 that three does not divide, in epoch 100"
    assert list(median.x)[-1] == 100 and figure.layout.xaxis.title.text == "share of the training (%)"


def test_a_page_of_many_trials_stays_small(large: TrialTable, tmp_path: Path) -> None:
    (section,) = curve_sections(large, tmp_path)
    assert sum(len(figure.to_json()) for figure in section.figures.values()) < 100_000


def test_every_mark_says_whose_it_is(new_study: NewStudy, tmp_path: Path) -> None:
    study = new_study(factors=[{"name": "width"}])
    uids = [study.complete(90.0 - n, 20.0, 1.0 + n, {"width": n}) for n in range(MANY)]
    for uid in uids:
        measure(tmp_path, uid, *({"view_passes": n, "train_loss": 1.0 / n} for n in (1, 2)))
    table = tabulate(study.read())
    figure = curves_figure(table, info(table, tmp_path)["train_loss"])
    assert sorted(uid for trace in figure.data for uid in trace.customdata) == sorted(2 * uids)
    assert [trace.name for trace in figure.data if trace.showlegend] == ["complete", "on the front"]
    assert all(len(trace.hovertemplate.split("<br>")) <= 6 for trace in figure.data)
    assert any(f"{uids[3]}, complete<br>width 3<br>" in trace.hovertemplate for trace in figure.data)


def test_a_study_without_curves_says_what_would_give_some(new_study: NewStudy, tmp_path: Path) -> None:
    study = new_study()
    assert curve_sections(tabulate(study.read()), tmp_path) == []
    study.complete(90.0, 20.0, 1.0)
    (section,) = curve_sections(tabulate(study.read()), tmp_path)
    assert section.missing.startswith("no trial measured anything before its end") and not section.figures
