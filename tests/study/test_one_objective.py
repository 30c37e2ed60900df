"""Studies with a single objective: every sampler, every rule of early stopping, confirmation, ablation, the result."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from pydantic import BaseModel

from study import (
    Ablation,
    Confirmation,
    Context,
    Factor,
    Grid,
    Metric,
    MoAsha,
    NoStopping,
    RayAsha,
    Search,
    StudySpec,
    as_trainable,
    open_study,
)
from study.decisions.engine import StudyEngine
from study.record.journal import Journal
from study.spec import SAMPLERS
from study.spec.choices import check_space
from study.trainable import Final, Interim, trainable_of


class Config(BaseModel, frozen=True):
    width: int = 2
    rate: float = 0.5
    trick: bool = False
    epochs: int = 9
    seed: int = 0


LOSS = Metric("loss", "minimize")


@as_trainable(config=Config, metrics=[LOSS], progress="epochs", total="epochs")
def fit(config: Config, context: Context) -> Iterator[dict[str, Any]]:
    """A loss that is least at rate 0.3, width 8, with the trick; seeds matter little."""
    floor = (config.rate - 0.3) ** 2 + 1 / config.width + (0.0 if config.trick else 0.2) + 0.001 * (config.seed % 3)
    for epoch in range(1, config.epochs + 1):
        yield {"loss": floor + 1 / epoch}


FACTORS = (
    Factor(name="width", distribution=CategoricalDistribution([2, 4, 8])),
    Factor(name="rate", distribution=FloatDistribution(0.0, 1.0)),
)


def run_here(spec: StudySpec, study_dir: Path) -> StudyEngine:
    """Runs a study in this process, one trial at a time."""
    check_space(spec)
    study_dir.mkdir(parents=True)
    journal, trainable = Journal(study_dir), trainable_of(spec.base)
    plain = spec.model_dump(mode="json") | {"seed": 0, "metrics": [dataclasses.asdict(LOSS)]}
    journal.write("created", study=spec.name, spec=plain, environment={"concurrency": 1})
    engine = StudyEngine(journal, spec, 0, 1)
    while (assignment := engine.next_assignment()) is not None:
        context = Context(folder=study_dir, milestones=assignment.milestones)
        for report in trainable.run(assignment.config, None, context):
            if isinstance(report, Interim) and not engine.report(assignment.uid, report.metrics):
                engine.stop(assignment.uid)
                break
            if isinstance(report, Final):
                engine.complete(assignment.uid, report.metrics)
    assert engine.is_exhausted()
    engine.close()
    journal.close()
    return engine


def spec_with(**changes: Any) -> StudySpec:
    parts: dict[str, Any] = {"name": "one", "question": "Which is best?", "base": Config(), "factors": FACTORS}
    return StudySpec(**(parts | {"design": Search(trials=12, sampler="tpe")} | changes))


@pytest.mark.parametrize("stopping", [NoStopping(), MoAsha(first_rung=1, eta=3), RayAsha(first_rung=1, eta=3)])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_finds_one_best_configuration(sampler: str, stopping: Any, tmp_path: Path) -> None:
    spec = spec_with(design=Search(trials=12, sampler=sampler), stopping=stopping)
    run_here(spec, tmp_path / "one")
    result = open_study(tmp_path / "one")
    trials = result.trials
    assert len(trials) == 12 and set(trials["state"]) <= {"complete", "stopped"}
    assert ("stopped" in set(trials["state"])) == (not isinstance(stopping, NoStopping))
    complete = trials[trials["state"] == "complete"]
    assert list(result.front["loss"]) == pytest.approx([complete["loss"].min()])


def test_a_grid_of_one_objective(tmp_path: Path) -> None:
    run_here(spec_with(design=Grid(), factors=FACTORS[:1]), tmp_path / "one")
    assert list(open_study(tmp_path / "one").front["width"]) == [8]


def test_confirmation_spends_seeds_on_who_may_be_the_best(tmp_path: Path) -> None:
    spec = spec_with(design=Grid(), factors=FACTORS[:1], confirmation=Confirmation(runs=4))
    engine = run_here(spec, tmp_path / "one")
    confirmed = [trial for trial in engine.record.trials.values() if trial.config["seed"] != 0]
    assert 1 <= len(confirmed) <= 4
    assert confirmed[0].params["width"] == 8, "the best so far comes first"
    assert list(open_study(tmp_path / "one").front["width"]) == [8]


def test_an_ablation_by_one_objective(tmp_path: Path) -> None:
    design = Ablation(from_=Config(), to=Config(width=8, rate=0.3, trick=True))
    run_here(StudySpec(name="one", question="What helps?", base=Config(), design=design), tmp_path / "one")
    result = open_study(tmp_path / "one")
    assert result.spec.design.kind == "Ablation"
    assert len(result.trials) >= 8
    assert result.figures


def test_the_result_draws_its_figures(tmp_path: Path) -> None:
    run_here(spec_with(stopping=MoAsha(first_rung=1, eta=3), seeds=(0, 1)), tmp_path / "one")
    result = open_study(tmp_path / "one")
    assert len(result.front) == 1
    assert result.figures and all(figure.data for figure in result.figures.values())
