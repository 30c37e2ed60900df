"""The contract: functions as trainables, wherever they come from, and whole studies of them without Ray."""

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loops
import numpy as np
import pytest
from driver import Driver, read_events, run_study, story
from optuna.distributions import CategoricalDistribution, FloatDistribution
from pydantic import BaseModel

from study import Ablation, open_study
from study.checks.projection_checks import optuna_disagreements, rung_disagreements
from study.record.front import front_of
from study.record.journal import FINISHED, JOURNAL_NAME, read_study
from study.record.metrics import metrics_of
from study.record.trials import tabulate
from study.spec import SAMPLERS, Confirmation, Factor, Grid, MoAsha, NoStopping, Objective, RayAsha, Search, StudySpec
from study.spec.choices import check_space
from study.spec.load_space import load_space
from study.trainable import (
    Context,
    Final,
    FunctionTrainable,
    Interim,
    Measured,
    Metric,
    Progress,
    Report,
    as_trainable,
    load_file,
    load_trainable,
    trainable_of,
)

LOOPS = Path(loops.__file__).resolve()
BOTH = pytest.mark.parametrize("style", [loops.generator, loops.callback], ids=lambda style: style.path)
FILE = """
from pydantic import BaseModel
from study.trainable import Metric, as_trainable

class Config(BaseModel, frozen=True):
    depth: int = 3
    seed: int = 0

@as_trainable(config=Config, metrics=[Metric("accuracy", "maximize", unit="%")])
def fit(config, context):
    yield {"accuracy": 90.0 + config.depth}

nothing = 3
"""


@pytest.fixture(autouse=True)
def nothing_closed() -> Iterator[None]:
    loops.closed.clear()
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "training"], "no thread stays behind"


def run(style: FunctionTrainable, folder: Path, *milestones: int, **fields: Any) -> list[Report]:
    return list(style.run(style.config(**fields), None, Context(folder, milestones=milestones)))


def of(kind: type, reports: list[Report]) -> list[Any]:
    return [report for report in reports if isinstance(report, kind)]


# Functions.


@BOTH
def test_the_last_report_is_the_result(style: FunctionTrainable, tmp_path: Path) -> None:
    reports = run(style, tmp_path, epochs=4)
    assert reports[-1] == Final({"epochs": 4, "score": loops.score(style.config(), 4)})
    assert [report.share_done for report in of(Progress, reports)] == [0.25, 0.5, 0.75, 1.0]
    assert [report.measures for report in of(Measured, reports)][-1] == reports[-1].metrics, "all reports are measured"
    assert of(Interim, reports) == [] and len(of(Final, reports)) == 1


@BOTH
def test_each_milestone_within_the_training_has_one_report(style: FunctionTrainable, tmp_path: Path) -> None:
    """The first one at or after it; one report may reach two of them, and the end is none."""
    reports = of(Interim, run(style, tmp_path, 1, 3, 4, 9, 12, epochs=9))
    assert [(report.metrics["milestone"], report.metrics["epochs"]) for report in reports] == [(1, 1), (3, 3), (4, 4)]
    assert [report.metrics["score"] for report in reports] == [loops.score(style.config(), n) for n in (1, 3, 4)]


def test_a_report_that_passes_several_milestones_is_given_for_each(tmp_path: Path) -> None:
    class Leaps(BaseModel, frozen=True):
        seed: int = 0

    @as_trainable(config=Leaps, metrics=[loops.SCORE], progress="epochs", total=lambda config: 10)
    def leaps(config: Leaps, context: Context) -> Iterator[dict[str, float]]:
        yield {"epochs": 5, "score": 1.0}
        yield {"epochs": 10, "score": 2.0}

    reports = of(Interim, list(leaps.run(Leaps(), None, Context(tmp_path, milestones=(2, 4, 8)))))
    assert [report.metrics for report in reports] == [
        {"milestone": 2, "epochs": 5, "score": 1.0}, {"milestone": 4, "epochs": 5, "score": 1.0}
    ]  # fmt: skip


@BOTH
def test_an_exception_comes_through_as_it_was_raised(style: FunctionTrainable, tmp_path: Path) -> None:
    reports = style.run(style.config(fails_at=3), None, Context(tmp_path))
    assert of(Progress, [next(reports) for _ in range(4)]) == [Progress(1 / 9), Progress(2 / 9)]
    with pytest.raises(RuntimeError, match=r"^diverged in epoch 3$"):
        next(reports)


@BOTH
def test_closing_ends_the_training(style: FunctionTrainable, tmp_path: Path) -> None:
    reports = style.run(style.config(), None, Context(tmp_path))
    for _ in range(2):
        next(reports)
    assert loops.closed == []
    reports.close()  # type: ignore[attr-defined]
    assert loops.closed == [style.path.partition(":")[2]]


def test_a_callback_waits_until_its_next_report_is_wanted(tmp_path: Path) -> None:
    """Or a trial that is to be stopped would have gone on meanwhile."""
    begun: list[int] = []

    class Waits(BaseModel, frozen=True):
        seed: int = 0

    @as_trainable(config=Waits, metrics=[loops.SCORE])
    def waits(config: Waits, context: Context) -> None:
        for step in range(3):
            begun.append(step)
            context.report({"score": float(step)})

    reports = waits.run(Waits(), None, Context(tmp_path))
    next(reports)
    assert begun == [0]
    assert [type(report) for report in reports] == [Progress, *([Measured, Progress] * 2), Final]
    assert begun == [0, 1, 2]


def test_progress_is_counted_where_it_is_not_told(tmp_path: Path) -> None:
    reports = run(loops.endless, tmp_path, 2, epochs=3)
    assert [report.metrics["steps"] for report in of(Interim, reports)] == [2]
    assert reports[-1].metrics["steps"] == 3  # type: ignore[union-attr]
    assert {report.share_done for report in of(Progress, reports)} == {0.0}, "nobody knows"


def test_a_report_without_a_number_for_its_progress_is_no_row_of_the_curve(tmp_path: Path) -> None:
    """The training goes on: only the result must say how far it is."""

    class Config(BaseModel, frozen=True):
        seed: int = 0

    @as_trainable(config=Config, metrics=[Metric("accuracy")])
    def fit(config: Config, context: Context) -> Iterator[dict[str, Any]]:
        for progress in (None, float("nan"), "two", 3):
            yield {"steps": progress, "accuracy": 50.0}

    reports = [*fit.run(Config(), None, Context(folder=tmp_path))]
    assert [one for one in reports if isinstance(one, Measured)] == [Measured({"steps": 3, "accuracy": 50.0})]


def test_a_function_that_reports_nothing_has_no_result(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"loops\.py:silent ended without a report"):
        run(loops.silent, tmp_path)


def test_data_are_loaded_once_and_given_to_the_function(tmp_path: Path) -> None:
    data = loops.on_data.load_data(loops.DataConfig(width=6))
    assert data == [6, 2]
    *_, final = loops.on_data.run(loops.DataConfig(width=6), data, Context(tmp_path))
    assert final == Final({"steps": 1, "loss": 1 / 8, "score": 8.0})
    assert [metric.name for metric in loops.on_data.metrics(loops.DataConfig())] == ["loss", "score"]


def test_a_trainable_is_still_the_function(tmp_path: Path) -> None:
    assert list(loops.generator(loops.GeneratorConfig(epochs=1), Context(tmp_path))) == [
        {"epochs": 1, "score": loops.score(loops.GeneratorConfig(), 1)}
    ]


# Where they come from.


def test_a_module_names_its_trainables() -> None:
    assert loops.generator.path == f"{LOOPS}:generator"
    assert (
        load_trainable(f"{LOOPS}:generator")
        is load_trainable("loops:generator")
        is loops.generator
        is trainable_of(loops.GeneratorConfig())
    )
    robust = load_trainable("trainables.robust_ssl:ROBUST_SSL")
    assert robust.path == "trainables.robust_ssl:ROBUST_SSL" and trainable_of(robust.config()) is robust


def test_a_file_names_its_trainables(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "my space.py"
    path.parent.mkdir()
    path.write_text(FILE)
    found = load_trainable(f"{path}:fit")
    assert found.path == f"{path}:fit" and load_trainable(found.path) is found
    config = found.config(depth=2)
    assert trainable_of(config) is found
    *_, final = found.run(config, None, Context(tmp_path))
    assert final == Final({"steps": 1, "accuracy": 92.0})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module:fit", "no trainable 'no_such_module:fit': ModuleNotFoundError: No module named"),
        (
            "loops:nothing_of_that_name",
            "no trainable 'loops:nothing_of_that_name': AttributeError: module 'loops' has no attribute",
        ),
        ("/nowhere/at/all.py:fit", "no trainable '/nowhere/at/all.py:fit': .*No such file"),
        ("loops.py:fit", "no trainable 'loops.py:fit': ValueError: not an absolute path"),
        ("loops:SCORE", "'loops:SCORE' is a Metric, not a trainable"),
    ],
)
def test_a_wrong_path_is_named(path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_trainable(path)


def test_a_config_of_no_trainable_is_refused() -> None:
    with pytest.raises(ValueError, match="Orphan belongs to no trainable: decorate its function with @as_trainable"):
        trainable_of(loops.Orphan())
    with pytest.raises(ValueError, match="Orphan belongs to no trainable"):
        make_spec(base=loops.Orphan())


# Studies.

RATE = Factor(name="rate", distribution=FloatDistribution(0.1, 0.9))
WIDTH = Factor(name="width", distribution=CategoricalDistribution([1, 2, 4]))


def make_spec(**changes: Any) -> StudySpec:
    parts: dict[str, Any] = {
        "name": "loops",
        "question": "Does it work for anybody's loop?",
        "base": loops.GeneratorConfig(),
        "factors": (RATE, WIDTH),
        "design": Search(trials=12, sampler="tpe"),
        "stopping": MoAsha(first_rung=1, eta=3),
    }
    return StudySpec(**(parts | changes))


@BOTH
def test_nothing_is_reusable_unless_a_trainable_says_so(style: FunctionTrainable) -> None:
    config = style.config()
    assert style.reusable(config, [config, config]) == {}


def test_a_study_of_a_function_is_about_its_first_metric() -> None:
    spec = make_spec()
    assert spec.objectives == (Objective("score", "maximize"),)
    assert spec.trainable == f"{LOOPS}:generator" and spec.stopping.compared == ("score",)  # type: ignore[union-attr]
    assert make_spec(stopping=RayAsha(first_rung=1, eta=3)).stopping.compared == ("score",)  # type: ignore[union-attr]
    assert StudySpec.recorded(json.loads(json.dumps(spec.model_dump(mode="json")))) == spec
    check_space(spec)


def test_without_a_known_end_there_are_no_rungs() -> None:
    spec = make_spec(base=loops.ShortConfig())
    with pytest.raises(
        ValueError, match=r"early stopping needs to know how long a trial is: .*loops\.py:endless does not"
    ):
        check_space(spec)
    check_space(spec.replace(stopping=NoStopping()))


@pytest.mark.parametrize(
    ("style", "sampler"), [(loops.callback, "tpe"), *((loops.generator, sampler) for sampler in SAMPLERS)]
)
def test_a_whole_study_with_one_objective(style: FunctionTrainable, sampler: str, tmp_path: Path) -> None:
    spec = make_spec(base=style.config(), design=Search(trials=12, sampler=sampler))
    run_study(tmp_path, spec, is_real=True, concurrency=2)
    record = read_study(tmp_path)
    assert record.ended and len(record.trials) == 12
    assert {trial.state for trial in record.trials.values()} == {"complete", "stopped"}
    for trial in record.trials.values():
        config = style.config(**trial.config)
        assert [report["milestone"] for report in trial.reports] in ([1], [1, 3])
        if trial.state == "complete":
            assert trial.metrics == {"epochs": 9, "score": pytest.approx(loops.score(config, 9))}
        else:
            assert trial.reason.startswith("place ") and " epochs (score " in trial.reason
    assert optuna_disagreements(record, spec) == rung_disagreements(record, spec) == []
    best = max(record.with_state("complete"), key=lambda trial: trial.metrics["score"])
    assert [one.uid for one in front_of(record)] == [best.uid]
    table = tabulate(record)
    assert list(table.front["uid"]) == [best.uid] and metrics_of(record)["score"].is_headline
    assert len(open_study(tmp_path).front) == 1


def test_the_result_with_one_objective_draws_its_figures(tmp_path: Path) -> None:
    """Of a search over seeds, and of an ablation."""
    search = make_spec(seeds=(0, 1))
    ablation = Ablation(from_=loops.GeneratorConfig(), to=loops.GeneratorConfig(width=8, rate=0.3))
    for spec in (search, StudySpec(name="one", question="What helps?", base=loops.GeneratorConfig(), design=ablation)):
        run_study(tmp_path / spec.name, spec, is_real=True)
        result = open_study(tmp_path / spec.name)
        assert result.spec.design == spec.design and len(result.trials) >= 4
        assert result.figures and all(figure.data for figure in result.figures.values())


def test_ray_asha_on_one_objective(tmp_path: Path) -> None:
    run_study(tmp_path, make_spec(stopping=RayAsha(first_rung=1, eta=3)), is_real=True)
    record = read_study(tmp_path)
    assert {trial.state for trial in record.trials.values()} == {"complete", "stopped"}


def test_trials_that_raise_have_failed_with_their_reason(tmp_path: Path) -> None:
    fails = Factor(name="fails_at", distribution=CategoricalDistribution([0, 2]))
    run_study(tmp_path, make_spec(factors=(fails, WIDTH), design=Grid()), is_real=True)
    states = {trial.params["fails_at"]: (trial.state, trial.reason) for trial in read_study(tmp_path).trials.values()}
    assert states[2] == ("failed", "RuntimeError: diverged in epoch 2")


def test_seeds_and_confirmations_of_a_function(tmp_path: Path) -> None:
    spec = make_spec(seeds=(0, 1), confirmation=Confirmation(runs=2), design=Search(trials=4, sampler="random"))
    run_study(tmp_path, spec, is_real=True)
    record = read_study(tmp_path)
    assert record.ended and {trial.seed for trial in record.trials.values()} >= {0, 1}
    assert [trial.state for trial in record.trials.values() if trial.purpose == "confirmation"] == ["complete"] * 2


@pytest.mark.parametrize(
    "stopping", [MoAsha(first_rung=1, eta=3), MoAsha(first_rung=1, eta=3, audit=0.5)], ids=["plain", "audited"]
)
def test_every_prefix_of_its_journal_leads_on_to_the_same_study(stopping: MoAsha, tmp_path: Path) -> None:
    spec = make_spec(stopping=stopping, design=Search(trials=6, sampler="tpe"))
    whole = run_study(tmp_path / "whole", spec, is_real=True)
    lines = (tmp_path / "whole" / JOURNAL_NAME).read_text().splitlines(keepends=True)
    for count in range(1, len(lines), 3):
        study_dir = tmp_path / str(count)
        study_dir.mkdir()
        (study_dir / JOURNAL_NAME).write_text("".join(lines[:count]))
        driver = Driver(study_dir, spec, is_real=True)
        driver.run()
        driver.close()
        assert story(read_events(study_dir)) == story(read_events(tmp_path / "whole"))
    assert all(trial.state in FINISHED for trial in whole.engine.record.trials.values())


def test_a_study_on_data(tmp_path: Path) -> None:
    spec = make_spec(base=loops.DataConfig(), objectives=("score", "loss"), stopping=NoStopping())
    run_study(tmp_path, spec.replace(design=Search(trials=3, sampler="random")), is_real=True)
    record = read_study(tmp_path)
    assert [trial.metrics["score"] for trial in record.trials.values()] == [6.0] * 3, "the data are those of the base"
    assert [objective.maximise for objective in tabulate(record).objectives] == [True, False]


def test_metrics_are_checked() -> None:
    with pytest.raises(ValueError, match=r"should be 'maximize' or 'minimize'.*'smaller'"):
        Metric("loss", "smaller")  # type: ignore[arg-type]
    assert Metric("loss", "minimize").maximise is False


TRAINING = """
from pydantic import BaseModel
from study.trainable import Metric, as_trainable

class Config(BaseModel, frozen=True):
    seed: int = 0

@as_trainable(config=Config, metrics=[Metric("accuracy")])
def fit(config, context):
    yield {"accuracy": 1.0}
"""


def test_a_training_in_a_file_is_named_by_the_file_however_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a_training_of_mine.py"
    path.write_text(TRAINING)
    by_path = load_file(path)
    monkeypatch.syspath_prepend(tmp_path)
    by_name = __import__("a_training_of_mine")
    assert by_path.fit.path == by_name.fit.path == f"{path.resolve()}:fit"
    assert trainable_of(by_name.Config()) is load_trainable(by_name.fit.path)
    sys.modules.pop("a_training_of_mine")


def test_a_broken_space_is_named_with_its_line_by_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("first = 1\nraise KeyError('gone')\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"broken.py, line 2: KeyError: 'gone'"):
        load_space(Path("broken.py"))


# What was found by reading.


def test_a_training_that_reports_on_its_way_out_ends_all_the_same(tmp_path: Path) -> None:
    class Config(loops.Config, frozen=True):
        pass

    @as_trainable(config=Config, metrics=[loops.SCORE])
    def stubborn(config: Any, context: Context) -> None:
        try:
            for value in range(9):
                context.report({"score": value})
        finally:
            context.report({"score": 99})

    reports = stubborn.run(Config(), None, Context(tmp_path))
    next(reports)
    reports.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "training"]


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    class Config(loops.Config, frozen=True):
        pass

    @as_trainable(config=Config, metrics=[loops.SCORE])
    def in_numpy(config: Any, context: Context) -> Iterator[dict[str, Any]]:
        yield {"score": np.float32(0.5), "count": np.int64(3)}

    (final,) = of(Final, list(in_numpy.run(Config(), None, Context(tmp_path))))
    assert json.loads(json.dumps(final.metrics)) == {"steps": 1, "score": 0.5, "count": 3}


def test_a_config_has_one_trainable_and_its_own_fields() -> None:
    class Config(loops.Config, frozen=True):
        pass

    def one(config: Any, context: Context) -> None: ...

    def other(config: Any, context: Context) -> None: ...

    as_trainable(config=Config, metrics=[loops.SCORE])(one)
    with pytest.raises(ValueError, match=r"Config is the config of .*:one: .*:other needs one of its own"):
        as_trainable(config=Config, metrics=[loops.SCORE])(other)

    class Wider(loops.GeneratorConfig, frozen=True):
        more: int = 1

    with pytest.raises(ValueError, match="Wider has other fields than GeneratorConfig"):
        trainable_of(Wider())


def test_a_file_is_run_as_it_is_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "b_c.py"
    path.write_text("X = 1\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.py").write_text("X = 2\n")
    assert (load_file(path).X, load_file(tmp_path / "b" / "c.py").X) == (1, 2)
    path.write_text("X = 3\n")
    assert (load_file(path).X, load_file(path, again=True).X) == (1, 3)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["b", "b_c.py"]


def test_a_config_that_a_journal_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="a journal holds finite numbers only: rate=inf"):
        check_space(make_spec(factors=(WIDTH,), base=loops.GeneratorConfig(rate=float("inf"))))


def test_confirmations_are_set_as_the_preset_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops.generator, "presets", {"quick": {"epochs": 3}, "full": {}})
    monkeypatch.setattr(loops.generator, "confirmation", {"quick": {"epochs": 5}, "": {"epochs": 10}})
    assert make_spec().with_preset("quick").confirmation.settings == {"epochs": 5}
    own = make_spec(confirmation=Confirmation(runs=2, settings={"epochs": 7}))
    assert own.with_preset("full").confirmation.settings == {"epochs": 7}


def test_an_objective_called_like_a_column_is_refused() -> None:
    with pytest.raises(ValueError, match="an objective must not have the name of a column of the report: 'reason'"):
        make_spec(objectives=(Objective("reason", "minimize"),), stopping=NoStopping())
