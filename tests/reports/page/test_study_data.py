"""The study as data in its page: whole, exact, and unable to end the element it stands in."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports.effects.parallel_coordinates import parallel_coordinates, round_ticks
from reports.page.explore import explore_section
from reports.page.study_data import MOST_POINTS, as_json, families, study_data
from study.record.curves import CurveFile
from study.record.trial_folder import trial_folder
from study.record.trials import tabulate
from study.trainable import Metric

NewStudy = Callable[..., Any]
REPORTS = [{"milestone": m, "view_passes": 10 * m, "val_clean": 50.0 + m, "train_pflop": m} for m in (1, 2)]


def data_of(study: Any, curves: Any = None) -> dict[str, Any]:
    return study_data(tabulate(study.read()), study.study_dir, curves or {})


def named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def test_configurations_have_the_uid_of_their_first_complete_trial_and_their_means(new_study: NewStudy) -> None:
    study = new_study()
    study.finish(study.start(num_views=8), "failed", reason="diverged")
    study.complete(75.0, 40.0, 1.0, {"num_views": 8}, seed=1)
    study.complete(90.0, 30.0, 1.0, {"num_views": 4})
    study.complete(70.0, 50.0, 1.0, {"num_views": 4}, seed=1)
    study.finish(study.start(num_views=2), "stopped", reason="rung 1")
    data = data_of(study)
    table = tabulate(study.read())
    uids = [one["uid"] for one in data["configurations"]]
    assert uids == ["t001", "t002", "t004"] and set(table.configurations["uid"]) <= set(uids)
    assert [trial["place"] for trial in data["trials"]] == [0, 0, 1, 1, 2]
    assert [one["state"] for one in data["configurations"]] == ["failed", "complete", "stopped"]
    clean = named(data["metrics"], "val_clean")
    assert clean["means"] == [75, 80, None] and clean["values"] == [None, 75, 90, 70, None]
    assert clean["within"] == ["[67.3, 81.4], n = 144", "± 14.1 (sd, 2 seeds)", ""]
    assert clean["maximise"] and clean["twin"] == "test_clean" and clean["isObjective"]
    assert named(data["factors"], "num_views")["values"] == [8, 4, 2]
    assert [trial["reason"] for trial in data["trials"]] == ["diverged", "", "", "", "rung 1"]
    assert data["configurations"][1]["isOnFront"] and not data["configurations"][0]["isOnFront"]


def test_a_trial_has_what_differs_from_the_base_its_files_and_its_command(new_study: NewStudy) -> None:
    study = new_study()
    uid = study.complete(80.0, 40.0, 1.0, {"num_views": 8}, validity=["masked"])
    folder = trial_folder(study.study_dir, uid)
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{}")
    data = data_of(study)
    (trial,) = data["trials"]
    assert trial["config"] == {"num_views": 8} and data["base"]["num_views"] != 8
    assert trial["files"] == ["result.json"] and "--set num_views=8" in trial["command"]
    assert trial["checks"] == ["masked"] and data["configurations"][0]["checks"] == ["masked"]


def test_curves_are_reports_with_the_end_or_what_was_measured_thinned(new_study: NewStudy) -> None:
    study = new_study()
    uid = study.start(REPORTS)
    study.finish(uid, "complete", {"val_clean": 60.0, "view_passes": 90, "val_pgd_8": 1.0, "train_pflop": 9.0})
    (trial,) = data_of(study)["trials"]
    assert trial["curve"] == {"val_clean": [[10, 20, 90], [51, 52, 60]]}, "costs are left out"
    steps = list(range(500))
    curve = pd.DataFrame({"view_passes": steps, "train_loss": [math.inf, *map(float, steps[1:])]})
    curve["sparse"] = [float(step) if step in (3, 77, 499) else math.nan for step in steps]
    data = data_of(study, {uid: curve})
    lines = data["trials"][0]["curve"]
    assert lines["sparse"] == [[3, 77, 499]] * 2 and lines["val_clean"][0] == [10, 20, 90]
    x, y = lines["train_loss"]
    assert len(x) == MOST_POINTS and x == y and (x[0], x[-1]) == (1, 499)
    assert data["measures"]["train_loss"] == "train loss"


def test_the_section_reads_curves_from_the_folders_of_trials(new_study: NewStudy) -> None:
    study = new_study()
    folder = trial_folder(study.study_dir, study.complete(80.0, 40.0, 1.0))
    folder.mkdir(parents=True)
    file = CurveFile(folder, "view_passes")
    for step in (1, 2):
        file.add({"view_passes": step, "learning_rate": 0.125 / step})
    body = explore_section(tabulate(study.read()), study.study_dir).body
    assert '"learning_rate":[[1,2],[0.125,0.0625]]' in body


def test_families_differ_in_a_number_at_the_end() -> None:
    metrics = [Metric(f"test_at_{radius}", label=f"accuracy at {radius}/255", split="test") for radius in (8, 16, 4)]
    others = [Metric("top_1"), Metric("top_5"), Metric("2"), Metric("loss")]
    (family,) = families([*metrics, *others])
    assert family == {"label": "accuracy", "split": "test", "at": [4, 8, 16],
                      "metrics": ["test_at_4", "test_at_8", "test_at_16"]}  # fmt: skip


def test_no_text_can_end_the_script(new_study: NewStudy) -> None:
    study = new_study()
    study.finish(study.start(num_views=8), "failed", reason="</script><img src=x onerror=alert(1)>")
    text = as_json(data_of(study))
    assert "<" not in text and ">" not in text
    assert json.loads(text)["trials"][0]["reason"] == "</script><img src=x onerror=alert(1)>"


def test_parallel_coordinates_have_a_line_for_each_whole_configuration(new_study: NewStudy) -> None:
    study = new_study()
    for views, pflop in ((4, 0.001), (8, 0.01), (16, 0.1)):
        study.complete(80.0 + views, 40.0, pflop, {"num_views": views, "adversary": "none" if views == 4 else "free"})
    study.finish(study.start(num_views=2), "failed", reason="diverged")
    table = tabulate(study.read())
    figure = parallel_coordinates(table, table.objectives[0])
    *lines, ticks = figure.data
    owners = [uid for line in lines for uid in line.customdata if uid]
    assert sorted(set(owners)) == ["t000", "t001", "t002"] and all(
        len(line.x) == len(line.customdata) for line in lines
    )
    assert list(lines[0].y[:5]) == [0, 1, 0, 0, 0] and lines[0].y[5] is None, "levels in order, costs as logarithms"
    assert list(lines[1].y[:5]) == [0.5, 0, pytest.approx(1 / 3), 0, pytest.approx(0.5)]
    assert {"4 ", "8 ", "16 ", "free ", "none "} <= set(ticks.text)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (3, 3, [3]),
        (52.5, 91.9, [60, 70, 80, 90]),
        (-0.04, 0.05, [-0.04, -0.02, 0, 0.02, 0.04]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks)


def test_the_scripts_that_the_page_names_are_all_there_are() -> None:
    from reports.page.page import HERE, SCRIPTS

    assert sorted(SCRIPTS) == sorted(path.name for path in Path(HERE).glob("*.js"))
