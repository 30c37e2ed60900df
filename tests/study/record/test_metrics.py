"""What a study's metrics are: from the journal, from its trainable, or from its objectives alone."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from study.record.metrics import merged, metrics_of, objectives_of, trainable_in
from study.trainable import Metric
from trainables.robust_ssl import ROBUST_SSL

NewStudy = Callable[..., Any]
LOSS = Metric("loss", "minimize", label="validation loss", unit="nats")


def test_a_journal_that_names_no_trainable_is_of_the_first(new_study: NewStudy) -> None:
    record = new_study().read()
    assert trainable_in(record) is ROBUST_SSL
    metrics = metrics_of(record)
    assert (
        metrics["test_pgd_8"].label == "robust accuracy, PGD-20 (cross-entropy and margin) at 8/255"
        and metrics["train_pflop"].is_cost
    )


def test_what_the_journal_says_goes_first_and_needs_no_trainable(new_study: NewStudy) -> None:
    objectives = [{"name": "loss", "direction": "minimize"}, {"name": "unknown", "direction": "maximize"}]
    spec = {"trainable": "nowhere:NOTHING", "objectives": objectives, "metrics": [asdict(LOSS)]}
    record = new_study(**spec).read()
    assert trainable_in(record) is None
    assert metrics_of(record) == {"loss": LOSS, "unknown": Metric("unknown")}
    assert objectives_of(record) == [LOSS, Metric("unknown")]


def test_without_descriptions_and_trainable_the_objectives_are_numbers(new_study: NewStudy) -> None:
    record = new_study(trainable="nowhere:NOTHING").read()
    assert [metric.name for metric in objectives_of(record)] == ["val_clean", "val_pgd_8", "train_pflop"]
    assert all(metric.kind == "number" for metric in metrics_of(record).values())
    assert objectives_of(record)[2].direction == "minimize"


def test_the_direction_of_an_objective_is_that_of_the_study(new_study: NewStudy) -> None:
    record = new_study(objectives=[{"name": "val_clean", "direction": "minimize"}]).read()
    assert not metrics_of(record)["val_clean"].maximise


def test_trials_that_differ_in_attack_steps_have_no_common_number_of_steps(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(80.0, 40.0, 2.0, {"eval_pgd_steps": 20})
    study.complete(80.0, 40.0, 2.0, {"eval_pgd_steps": 50})
    assert metrics_of(study.read())["val_pgd_8"].label == "robust accuracy, (cross-entropy and margin) at 8/255"


def test_of_two_descriptions_the_common_words_are_kept() -> None:
    first, second = (Metric("a", label=f"accuracy after {n} steps", is_interim=n == 20) for n in (10, 20))
    (found,) = merged([first, second]).values()
    assert (found.label, found.is_interim) == ("accuracy after steps", True)
