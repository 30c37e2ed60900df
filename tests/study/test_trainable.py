"""A function as a trainable: generators, callbacks, what is reported when, and where it is imported from."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from study.spec.load_space import load_space
from study.trainable import Context, Final, Interim, Metric, as_trainable, load_file, load_trainable, trainable_of

METRICS = [Metric("accuracy")]


class Config(BaseModel, frozen=True):
    epochs: int = 4
    seed: int = 0


class ByCallback(BaseModel, frozen=True):
    epochs: int = 4
    seed: int = 0


@as_trainable(config=Config, metrics=METRICS, progress="epochs", total="epochs")
def yielding(config: Config, context: Context) -> Iterator[dict[str, Any]]:
    for epoch in range(config.epochs):
        yield {"accuracy": 10.0 * epoch}


seen: list[int] = []


@as_trainable(config=ByCallback, metrics=METRICS, progress="epochs", total="epochs")
def calling(config: ByCallback, context: Context) -> None:
    for epoch in range(config.epochs):
        seen.append(epoch)
        context.report({"accuracy": 10.0 * epoch})
    if config.seed == 13:
        raise RuntimeError("unlucky")


def context(*milestones: int) -> Context:
    return Context(folder=Path("unused"), milestones=milestones)


@pytest.mark.parametrize(("trained", "config"), [(yielding, Config()), (calling, ByCallback())])
def test_reports_at_milestones_and_a_result(trained: Any, config: BaseModel) -> None:
    reports = [report for report in trained.run(config, None, context(1, 3)) if isinstance(report, Interim | Final)]
    assert reports == [
        Interim({"milestone": 1, "epochs": 1, "accuracy": 0.0}),
        Interim({"milestone": 3, "epochs": 3, "accuracy": 20.0}),
        Final({"epochs": 4, "accuracy": 30.0}),
    ]


def test_a_callback_waits_until_its_next_report_is_wanted_and_ends_when_none_is() -> None:
    seen.clear()
    reports = calling.run(ByCallback(epochs=100), None, context(2))
    for report in reports:
        if isinstance(report, Interim):
            break
    assert len(seen) <= 3, "it does not run ahead of the study"
    reports.close()  # type: ignore[attr-defined]  # as for a trial that is stopped
    assert not [thread for thread in threading.enumerate() if thread.name == "training"]


def test_what_a_callback_raises_is_raised() -> None:
    with pytest.raises(RuntimeError, match="unlucky"):
        list(calling.run(ByCallback(seed=13), None, context()))


def test_a_training_without_a_report_fails() -> None:
    with pytest.raises(ValueError, match="yielding ended without a report"):
        list(yielding.run(Config(epochs=0), None, context()))


def test_data_are_loaded_once_and_passed_on() -> None:
    class WithData(BaseModel, frozen=True):
        seed: int = 0

    @as_trainable(config=WithData, metrics=METRICS, load=lambda config: [1, 2, 3])
    def fit(config: WithData, data: list[int], context: Context) -> Iterator[dict[str, Any]]:
        yield {"accuracy": float(sum(data))}

    (result,) = [r for r in fit.run(WithData(), fit.load_data(WithData()), context()) if isinstance(r, Final)]
    assert result.metrics["accuracy"] == 6.0


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
