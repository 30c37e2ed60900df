"""The search on functions whose optima are known, and what it must do with each kind of result."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel

from study.decisions.planning import search_of
from study.decisions.search.earlier import Earlier
from study.decisions.search.results import Row
from study.decisions.search.space import Space
from study.record.journal import Journal, State, StudyRecord, TrialRecord
from study.spec import Constraint, Factor, Objective, Params, PriorTrial, Search, StudySpec
from study.trainable import Metric, Trainable

Answer = Callable[[Params], tuple[State, dict[str, Any]]]


class Config(BaseModel, frozen=True):
    """Of nothing in particular."""

    x: float = 0.5
    y: float = 0.5
    size: int = 1
    method: str = "plain"
    seed: int = 0


class ClockedConfig(Config, frozen=True):
    """Of a trainable that knows no cost."""


class Constructed(Trainable):
    """Knows its cost, which is ``size`` times two units of ``known_metrics``, before any training."""

    path = f"{__name__}:CONSTRUCTED"
    config: type[BaseModel] = Config

    def metrics(self, config: Any) -> Sequence[Metric]:
        return [
            Metric("quality", unit="%"),
            Metric("loss", "minimize"),
            Metric("cost", "minimize", kind="cost", is_known=True),
            Metric("seconds", "minimize", kind="cost", is_clocked=True),
        ]

    def known_metrics(self, config: Any) -> Mapping[str, float]:
        return {"cost": config.size / 2}

    def total_progress(self, config: Any, scale: int) -> int:
        return 8 * scale


class Clocked(Constructed):
    """Knows nothing before training."""

    path = f"{__name__}:CLOCKED"
    config = ClockedConfig

    def known_metrics(self, config: Any) -> Mapping[str, float]:
        return {}


CONSTRUCTED, CLOCKED = Constructed(), Clocked()
Config.trainable = CONSTRUCTED.path  # type: ignore[attr-defined]
ClockedConfig.trainable = CLOCKED.path  # type: ignore[attr-defined]
X = Factor(name="x", distribution=FloatDistribution(0, 1))
Y = Factor(name="y", distribution=FloatDistribution(0, 1))
SIZE = Factor(name="size", distribution=IntDistribution(1, 64, log=True))
METHOD = Factor(name="method", distribution=CategoricalDistribution(["plain", "good", "bad"]))
QUALITY, COST = Objective("quality", "maximize"), Objective("cost", "minimize")


def spec_of(*factors: Factor, objectives: Sequence[Objective] = (QUALITY, COST), **parts: Any) -> StudySpec:
    design = Search(trials=200, sampler=parts.pop("sampler", "ehvi"), believed=parts.pop("believed", ()))
    base = parts.pop("base", Config())
    return StudySpec(
        name="x", question="?", base=base, factors=factors, objectives=tuple(objectives), design=design, **parts
    )


def added(record: StudyRecord, params: Params, state: State, values: dict[str, Any], reports: Any = ()) -> None:
    number = len(record.trials)
    trial = TrialRecord(f"t{number:04d}", number, params, {"seed": 0}, state=state, metrics=values)
    trial.reports = list(reports)
    record.add(trial)


def searched(spec: StudySpec, answer: Answer, num_trials: int, seed: int = 0) -> StudyRecord:
    """Proposals one after the other, each answered."""
    record, search = StudyRecord(), search_of(spec, seed)
    for _ in range(num_trials):
        proposal = search.propose(record)
        if proposal is None:
            break
        added(record, proposal.params, *answer(proposal.params))
    return record


def proposed(record: StudyRecord) -> list[Params]:
    return [trial.params for trial in record.trials.values()]


def traded(params: Params) -> tuple[State, dict[str, Any]]:
    """Quality grows with the logarithm of the size, and is best at x = 0.7, y = 0.2."""
    x, y, size = params.get("x", 0.7), params.get("y", 0.2), params.get("size", 1)
    quality = 40 * np.exp(-4 * ((x - 0.7) ** 2 + (y - 0.2) ** 2)) + 10 * np.log2(size)
    return "complete", {"quality": float(quality), "cost": 2.0 * size, "seconds": 3.0 * size * (1 + x)}


def covered(record: StudyRecord, num_trials: int | None = None) -> float:
    """The hypervolume over quality and the logarithm of the size, as a share of the largest possible."""
    answers = [traded(params)[1] for params in proposed(record)[:num_trials]]
    points = np.array([[100 - answer["quality"], np.log2(answer["cost"] / 2)] for answer in answers])
    best = np.array([[100 - 40 - 10 * power, power] for power in range(7)])
    reference = [100.0, 7.0]
    return float(moocore.hypervolume(points, ref=reference) / moocore.hypervolume(best, ref=reference))


def test_a_front_is_found_at_less_cost_than_by_chance() -> None:
    shares, costs = {}, {}
    for sampler in ("ehvi", "random"):
        records = [searched(spec_of(X, Y, SIZE, sampler=sampler), traded, 24, seed) for seed in range(3)]
        shares[sampler] = np.mean([covered(record) for record in records])
        costs[sampler] = np.mean([sum(p["size"] for p in proposed(record)) for record in records])
    assert shares["ehvi"] > 0.93 > shares["random"] + 0.05, shares
    assert costs["ehvi"] < costs["random"], costs


def test_one_objective_is_improved_to_its_optimum() -> None:
    spec = spec_of(X, Y, METHOD, objectives=[Objective("loss", "minimize")])

    def answer(params: Params) -> tuple[State, dict[str, Any]]:
        worse = {"plain": 0.5, "good": 0.0, "bad": 1.0}[params["method"]]
        return "complete", {"loss": (params["x"] - 0.8) ** 2 + (params["y"] - 0.3) ** 2 + worse}

    record = searched(spec, answer, 30)
    best = min(proposed(record), key=lambda params: answer(params)[1]["loss"])
    assert best["method"] == "good"
    assert abs(best["x"] - 0.8) < 0.05 and abs(best["y"] - 0.3) < 0.05, best


def test_clocked_costs_are_learned() -> None:
    """Nothing is known before training, and what is dear is no better: dear trials become rare."""
    spec = spec_of(X, SIZE, objectives=[QUALITY, Objective("seconds", "minimize")], base=ClockedConfig())
    flat: Answer = lambda params: ("complete", traded(params)[1] | {"quality": 50.0 + params["x"]})  # noqa: E731
    sizes = [params["size"] for params in proposed(searched(spec, flat, 20))]
    assert np.mean(np.log2(sizes[8:])) < 1.0 < np.mean(np.log2(sizes[:4])), sizes


def test_conditional_factors_are_searched_where_they_are_active() -> None:
    inner = Factor(name="x", distribution=FloatDistribution(0, 1), when={"method": ("good",)})
    spec = spec_of(METHOD, inner, objectives=[QUALITY])

    def answer(params: Params) -> tuple[State, dict[str, Any]]:
        assert ("x" in params) == (params["method"] == "good")
        return "complete", {"quality": 50 - 30 * abs(params["x"] - 0.9) if "x" in params else 20.0}

    best = max(answer(params)[1]["quality"] for params in proposed(searched(spec, answer, 14)))
    assert best > 49


def test_what_is_under_way_is_not_proposed_next_to() -> None:
    """Where the first of four proposals is under way, the others are elsewhere, each of them."""
    spec, record = spec_of(X, Y, objectives=[QUALITY]), StudyRecord()
    for x, y in np.random.default_rng(0).random((5, 2)):
        added(record, {"x": x, "y": y}, *traded({"x": x, "y": y}))
    ahead = []
    for _ in range(4):
        proposal = search_of(spec, 0).propose(record)
        assert proposal is not None
        ahead.append([proposal.params["x"], proposal.params["y"]])
        added(record, proposal.params, "running", {})
    distances = [np.linalg.norm(np.subtract(one, other)) for i, one in enumerate(ahead) for other in ahead[:i]]
    assert min(distances) > 0.03, ahead


def test_reports_of_stopped_trials_teach() -> None:
    """All complete trials lie where x is below 0.5; what is known of the rest are two reports of stopped trials."""
    spec = spec_of(X, objectives=[QUALITY])
    chosen = {}
    for slope in (20, -20):
        record = StudyRecord()
        for x in (0.3, 0.4, 0.45, 0.5):
            added(record, {"x": x}, "complete", {"quality": 50.0}, [{"milestone": 1, "steps": 1, "quality": 30.0}])
        for x in (0.7, 0.9):
            report = {"milestone": 1, "steps": 1, "quality": 30.0 + slope * (x - 0.5)}
            added(record, {"x": x}, "stopped", {}, [report])
        proposal = search_of(spec, 0).propose(record)
        assert proposal is not None
        chosen[slope] = proposal.params["x"]
    assert chosen[20] > 0.75 and chosen[-20] < 0.6, chosen


def test_where_trials_fail_the_search_does_not_stay() -> None:
    spec = spec_of(X, Y, objectives=[QUALITY])

    def answer(params: Params) -> tuple[State, dict[str, Any]]:
        if params["x"] > 0.5:
            return "failed", {}
        return traded(params)

    xs = [params["x"] for params in proposed(searched(spec, answer, 24))]
    assert sum(x > 0.5 for x in xs[10:]) <= 4, xs


def test_untrustworthy_results_are_failures() -> None:
    spec = spec_of(X, Y, objectives=[QUALITY])

    def answer(params: Params) -> tuple[State, dict[str, Any]]:
        if params["x"] > 0.5:
            return "complete", {"quality": 99.0, "validity": ["the attack looks broken"]}
        return traded(params)

    xs = [params["x"] for params in proposed(searched(spec, answer, 24))]
    assert sum(x > 0.5 for x in xs[10:]) <= 4, xs


@pytest.mark.parametrize("bounded", ["cost", "seconds"])
def test_constraints_are_kept_whether_known_or_learned(bounded: str) -> None:
    at_most = {"cost": 16.0, "seconds": 40.0}[bounded]
    spec = spec_of(X, Y, SIZE, objectives=[QUALITY], constraints=(Constraint(bounded, at_most),))
    record = searched(spec, traded, 30)
    values = [trial.metrics[bounded] for trial in record.trials.values()]
    assert np.mean(np.array(values[10:]) <= 1.1 * at_most) > 0.85, values
    best = max(t.metrics["quality"] for t in record.trials.values() if t.metrics[bounded] <= at_most)
    assert best > 60, best


def test_a_region_of_interest_is_searched_more_than_the_rest() -> None:
    inside = {}
    for bound in (None, 70.0):
        objectives = [Objective("quality", "maximize", at_least=bound), COST]
        record = searched(spec_of(X, Y, SIZE, objectives=objectives), traded, 24)
        inside[bound] = sum(trial.metrics["quality"] >= 70 for trial in list(record.trials.values())[10:])
    assert inside[70.0] > inside[None] + 3, inside


def test_a_region_out_of_reach_is_approached() -> None:
    objectives = [Objective("quality", "maximize", at_least=500.0), COST]
    record = searched(spec_of(X, Y, SIZE, objectives=objectives), traded, 16)
    assert len(record.trials) == 16


def test_excluded_combinations_are_not_proposed() -> None:
    spec = spec_of(X, SIZE, METHOD, excluded=("size > 8", "method == 'plain' and x > 0.2"))
    for params in proposed(searched(spec, traded, 20)):
        assert spec.is_excluded(params) is None, params


def test_what_others_left_to_reuse_is_not_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quality grows with the size, and so does the cost; where large trials are left almost whole, they are chosen."""
    spec, record = spec_of(X, SIZE, objectives=[QUALITY]), StudyRecord()
    for x, size in ((0.1, 4), (0.4, 2), (0.6, 8), (0.9, 2), (0.7, 16)):
        added(record, {"x": x, "size": size}, *traded({"x": x, "size": size}))
    alone = search_of(spec, 0).propose(record)
    asked: list[Sequence[Config]] = []

    def reusable(self: Any, config: Config, others: Sequence[Config]) -> Mapping[str, float]:
        asked.append(others)
        return {"cost": 0.49 * config.size} if config.size > 32 else {}

    monkeypatch.setattr(Constructed, "reusable", reusable)
    continued = search_of(spec, 0).propose(record)
    assert alone is not None and continued is not None
    assert continued.params["size"] > 32 >= alone.params["size"]
    assert 50 <= len(asked) <= 100 and [other.size for other in asked[0]] == [4, 2, 8, 2, 16]


def prior_at(best: float) -> tuple[PriorTrial, ...]:
    """Results of an earlier study, which are best at ``x = best``."""
    return tuple(PriorTrial({"x": x}, (50 - 60 * (x - best) ** 2,)) for x in np.linspace(0.02, 0.98, 13))


def test_a_search_begins_where_an_earlier_one_was_good() -> None:
    for best in (0.2, 0.8):
        proposal = search_of(spec_of(X, objectives=[QUALITY], warm_start=prior_at(best)), 0).propose(StudyRecord())
        assert proposal is not None and abs(proposal.params["x"] - best) < 0.1


def test_an_earlier_search_may_have_costs_that_are_no_amounts() -> None:
    """Logarithms, for instance: then nothing is divided by them."""
    priors = tuple(PriorTrial({"x": x}, (50 * x, x - 2)) for x in (0.1, 0.5, 0.9))
    objectives = [QUALITY, Objective("seconds", "minimize")]
    spec = spec_of(X, objectives=objectives, base=ClockedConfig(), warm_start=priors)
    assert search_of(spec, 0).propose(StudyRecord()) is not None


def test_an_earlier_search_of_something_else_is_seen_through() -> None:
    """It says that x is best at 0.1, where this one is worst; its optimum is found nevertheless."""
    spec = spec_of(X, objectives=[QUALITY], warm_start=prior_at(0.1))
    record = searched(spec, lambda params: ("complete", {"quality": 50 - 60 * (params["x"] - 0.9) ** 2}), 12)
    assert min(abs(params["x"] - 0.9) for params in proposed(record)) < 0.03


@pytest.mark.parametrize("is_reversed", [False, True])
def test_earlier_results_count_only_where_they_order_these(is_reversed: bool) -> None:
    """Four results are the fewest that say so; the model is told of the earlier ones, or is not."""
    space = Space(spec_of(X), 0)
    told = Earlier([Row(space.point({"x": x}), {"quality": x}, is_prior=True) for x in np.linspace(0, 1, 9)])
    own = [Row(space.point({"x": x}), {"quality": -x if is_reversed else x}) for x in (0.1, 0.9, 0.4, 0.6)]
    quality = Metric("quality")
    assert len(told.rows_for(quality, True, own[:3])) == 9
    assert len(told.rows_for(quality, True, own)) == (0 if is_reversed else 9)


@pytest.mark.parametrize("base", [Config(), ClockedConfig()])
def test_a_believed_recipe_is_tried_once_it_costs_a_tenth_of_what_was_spent(base: Config) -> None:
    """Whether its cost is known or has to be predicted; what a partial recipe leaves open is chosen by the model."""

    def answer(params: Params) -> tuple[State, dict[str, Any]]:
        return "complete", traded(params)[1] | {"seconds": float(params["size"]), "cost": 2.0 * params["size"]}

    spec = spec_of(X, SIZE, METHOD, base=base, believed=({"method": "bad", "x": 0.7},))
    tried = proposed(searched(spec, answer, 14))
    places = [place for place, params in enumerate(tried) if (params["method"], params["x"]) == ("bad", 0.7)]
    assert places, "nothing else would propose this very x"
    spent = sum(params["size"] for params in tried[: places[0]])
    assert tried[places[0]]["size"] <= (0.1 if base == Config() else 0.2) * spent
    dear = spec_of(X, SIZE, METHOD, base=base, believed=({"method": "bad", "x": 0.7, "size": 64},))
    tried = proposed(searched(dear, answer, 8))
    assert {"method": "bad", "x": 0.7, "size": 64} not in tried and sum(params["size"] for params in tried) < 320


@pytest.mark.parametrize("factors", [(X, Y, SIZE, METHOD), (METHOD, SIZE)])
def test_a_proposal_follows_from_record_and_seed(factors: tuple[Factor, ...], tmp_path: Path) -> None:
    """A search that has proposed before, and one that is made from a journal that was closed, say the same."""
    spec = spec_of(*factors)
    journal = Journal(tmp_path)
    journal.write("created", study="x", spec=spec.model_dump(mode="json"), environment={})
    search = search_of(spec, 3)
    for number in range(14):
        proposal = search.propose(journal.record)
        assert proposal == search_of(spec, 3).propose(journal.record)
        assert proposal is not None
        journal.write("proposed", uid=f"t{number}", number=number, params=proposal.params, config={"seed": 0})
        if number % 3:
            journal.write("finished", uid=f"t{number}", state="complete", metrics=traded(proposal.params)[1])
    ahead = search.propose(journal.record)
    journal.close()
    reopened = Journal(tmp_path)
    assert search_of(spec, 3).propose(reopened.record) == ahead
    reopened.close()


def test_other_seeds_propose_otherwise() -> None:
    record = searched(spec_of(X, Y, SIZE), traded, 8)
    assert len({str(search_of(spec_of(X, Y, SIZE), seed).propose(record)) for seed in range(3)}) > 1


def stopped_if_small(params: Params) -> tuple[State, dict[str, Any], list[dict[str, Any]]]:
    """A rung ends what is smaller than 8, cheap as it is, after an eighth of its training."""
    values = traded(params)[1]
    report = {"milestone": 1, "steps": 1, "quality": values["quality"] / 2}
    return ("stopped", {}, [report]) if params["size"] < 8 else ("complete", values, [report])


def test_what_a_rung_ends_is_not_proposed_for_ever() -> None:
    """Nothing there comes to a result, so that a front of results alone would always have a gap at the cheap end."""
    for seed in range(3):
        record = searched(spec_of(X, SIZE), stopped_if_small, 20, seed)
        cheapest = [params for params in proposed(record)[8:] if params["size"] == 1]
        assert len(cheapest) < 6, (seed, [params["size"] for params in proposed(record)])
        assert max(params["size"] for params in proposed(record)) > 16, seed


def test_a_proposal_takes_less_than_two_seconds_after_200_trials() -> None:
    """Processor time of the second one, as the first draws the points that all have in common."""
    rates = [Factor(name=name, distribution=FloatDistribution(0, 1)) for name in ("x", "y")]
    objectives = [QUALITY, Objective("loss", "minimize"), COST]
    spec, rng, record = spec_of(*rates, SIZE, METHOD, objectives=objectives), np.random.default_rng(0), StudyRecord()
    for number in range(200):
        size, method = int(rng.integers(1, 65)), ["plain", "good", "bad"][number % 3]
        params = {"x": rng.random(), "y": rng.random(), "size": size, "method": method}
        values = traded(params)[1] | {"loss": rng.random() + params["y"]}
        reports = [{"milestone": m, "steps": m, "quality": values["quality"] * m / 8} for m in (1, 2, 4)]
        state: State = "complete" if number % 2 else "stopped"
        added(record, params, state, values if state == "complete" else {}, reports[: 3 if number % 2 else 1])
    search = search_of(spec, 0)
    search.propose(record)
    started = time.process_time()
    assert search.propose(record) is not None
    assert time.process_time() - started < 2.0
