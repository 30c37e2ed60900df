"""What Optuna is told, and that proposals follow from the journal alone."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from study.decisions.optuna_search import as_optuna_study
from study.decisions.planning import search_of
from study.decisions.samplers.genetic import nsga2, nsga3
from study.decisions.samplers.start import NUM_STARTUP_TRIALS
from study.record.journal import State, StudyRecord, TrialRecord
from study.spec import SAMPLERS, Factor, Objective, Params, PriorTrial, Search, StudySpec

MakeSpec = Callable[..., StudySpec]
RESULTS = {"train_pflop": 0.5, "val_clean": 80.0, "val_pgd_8": 30.0, "test_clean": 79.0}
PARAMS = {"num_views": 4, "epochs": 2, "adversary": "none", "view_scale_min": 0.2}


def trial(number: int, params: Params, state: State = "complete", **fields: Any) -> TrialRecord:
    return TrialRecord(f"t{number:04d}", number, params, config={"seed": 0}, state=state, **fields)


def run_search(spec: StudySpec, seed: int, num_trials: int) -> list[Params]:
    """Proposals one after the other, each answered by made-up results of all kinds."""
    record = StudyRecord()
    search = search_of(spec, seed)
    for number in range(num_trials):
        proposal = search.propose(record)
        if proposal is None:
            break
        params = proposal.params
        clean = 10.0 * params.get("num_views", 1) - params.get("epochs", 1)
        metrics = {"val_clean": clean, "val_pgd_8": clean / 2, "train_pflop": float(params.get("epochs", 1))}
        state: State = ("complete", "complete", "stopped", "failed", "running")[number % 5]  # type: ignore[assignment]
        record.add(trial(
            number,
            params,
            state,
            metrics=metrics if state == "complete" else {},
            reports=[metrics | {"milestone": 1}],
            sampler_attrs=proposal.sampler_attrs,
        ))  # fmt: skip
    return [known.params for known in record.trials.values()]


@pytest.mark.parametrize(
    ("state", "metrics", "expected", "values"),
    [
        ("complete", RESULTS, TrialState.COMPLETE, [80.0, 30.0, 0.5]),
        ("complete", RESULTS | {"val_pgd_8": None}, TrialState.FAIL, None),
        ("complete", RESULTS | {"val_clean": math.nan}, TrialState.FAIL, None),
        ("complete", RESULTS | {"train_pflop": math.inf}, TrialState.FAIL, None),
        ("complete", {"val_clean": 80.0}, TrialState.FAIL, None),
        ("complete", RESULTS | {"validity": ["the attack looks broken"]}, TrialState.FAIL, None),
        ("complete", RESULTS | {"validity": []}, TrialState.COMPLETE, [80.0, 30.0, 0.5]),
        ("stopped", {}, TrialState.PRUNED, None),
        ("failed", {}, TrialState.FAIL, None),
        ("running", {}, TrialState.RUNNING, None),
        ("proposed", {}, TrialState.RUNNING, None),
    ],
)
def test_optuna_is_told_how_each_trial_ended(
    make_spec: MakeSpec, state: State, metrics: dict[str, Any], expected: TrialState, values: list[float] | None
) -> None:
    reports = [{"milestone": 10, "val_clean": 55.0}]
    record = StudyRecord(trials={"t0000": trial(0, PARAMS, state, metrics=metrics, reports=reports)})
    study = as_optuna_study(record, make_spec())
    (told,) = study.trials
    assert (told.state, told.values, told.params) == (expected, values, PARAMS)
    assert told.user_attrs["uid"] == "t0000"
    if state == "stopped":
        assert told.user_attrs["last_report"] == reports[-1]


def test_values_are_in_the_order_of_the_objectives(make_spec: MakeSpec) -> None:
    objectives = (Objective("train_pflop", "minimize"), Objective("val_clean", "maximize"))
    record = StudyRecord(trials={"t0000": trial(0, PARAMS, metrics=RESULTS)})
    study = as_optuna_study(record, make_spec(objectives=objectives))
    assert study.trials[0].values == [0.5, 80.0]
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_proposals_follow_from_seed_and_record(make_spec: MakeSpec, sampler: str) -> None:
    spec = make_spec(design=Search(trials=20, sampler=sampler))
    first = run_search(spec, seed=1, num_trials=16)
    assert len(first) == 16 > NUM_STARTUP_TRIALS + 5
    assert run_search(spec, seed=1, num_trials=16) == first
    other = run_search(spec, seed=2, num_trials=16)
    assert other[0] != first[0] and other[-1] != first[-1]
    for params in first:
        assert ("replays" in params) == (params["adversary"] == "free")
        spec.config(params, seed=0)
    assert {params["adversary"] for params in first} == {"free", "none"}


def test_tpe_learns_from_results(make_spec: MakeSpec) -> None:
    """Of 400 values the best are 300 and more: TPE goes there far more often than chance does."""
    factors = (Factor(name="epochs", distribution=IntDistribution(1, 400)),)
    objectives = (Objective("val_clean", "maximize"), Objective("val_pgd_8", "maximize"))
    counts: dict[str, int] = {}
    samplers: tuple[str, ...] = ("tpe", "random")
    for sampler in samplers:
        spec = make_spec(factors=factors, objectives=objectives, design=Search(trials=40, sampler=sampler))
        record = StudyRecord()
        for number in range(40):
            proposal = search_of(spec, 3).propose(record)
            assert proposal is not None
            params = proposal.params
            metrics = {"val_clean": float(params["epochs"]), "val_pgd_8": float(params["epochs"]) / 3}
            record.add(trial(number, params, metrics=metrics))
        counts[sampler] = sum(known.params["epochs"] >= 300 for known in list(record.trials.values())[10:])
    assert counts["tpe"] >= 20 > counts["random"]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("seed", range(2))
def test_a_small_space_is_proposed_in_full_and_once(make_spec: MakeSpec, sampler: str, seed: int) -> None:
    factors = (
        Factor(name="num_views", distribution=CategoricalDistribution([2, 4, 8])),
        Factor(name="adversary", distribution=CategoricalDistribution(["free", "none"])),
        Factor(name="replays", distribution=CategoricalDistribution([2, 3]), when={"adversary": ("free",)}),
    )
    spec = make_spec(factors=factors, design=Search(trials=100, sampler=sampler))
    proposed = run_search(spec, seed, num_trials=100)
    assert len(proposed) == 9
    assert len({tuple(params.items()) for params in proposed}) == 9


def test_a_sampler_that_insists_on_its_best_guess_still_covers_the_space(make_spec: MakeSpec) -> None:
    factors = (
        Factor(name="num_views", distribution=CategoricalDistribution([2, 4, 8])),
        Factor(name="epochs", distribution=CategoricalDistribution([1, 2, 3, 4])),
        Factor(name="pgd_steps", distribution=CategoricalDistribution([3, 5, 7]), when={"adversary": ("pgd",)}),
    )
    spec = make_spec(
        base=make_spec().base.replace(adversary="pgd"), factors=factors, design=Search(trials=36, sampler="tpe")
    )
    record = StudyRecord()
    for number in range(36):
        proposal = search_of(spec, 0).propose(record)
        assert proposal is not None, number
        params = proposal.params
        clean = 10.0 * params["num_views"] - params["epochs"]
        metrics = {"val_clean": clean, "val_pgd_8": clean / 2, "train_pflop": float(params["epochs"])}
        record.add(trial(number, params, metrics=metrics))
    assert search_of(spec, 0).propose(record) is None


def test_equal_configs_under_other_names_are_one(make_spec: MakeSpec) -> None:
    """``replays`` has no effect without adversary ``free``, so that both values of it are the same config."""
    base = make_spec().base.replace(adversary="none")
    factors = (Factor(name="replays", distribution=CategoricalDistribution([2, 3])),)
    proposed = run_search(make_spec(base=base, factors=factors), seed=0, num_trials=5)
    assert len(proposed) == 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_bounds_of_many_digits_are_kept_to(make_spec: MakeSpec, sampler: str) -> None:
    """What is recorded is rounded; Optuna would refuse the whole history for one value beyond its bound."""
    factors = (Factor(name="view_scale_min", distribution=FloatDistribution(1 / 3, 2 / 3)),)
    spec = make_spec(factors=factors, objectives=ACCURACIES, design=Search(trials=14, sampler=sampler))
    record = StudyRecord()
    for number in range(14):
        proposal = search_of(spec, 0).propose(record)
        assert proposal is not None
        scale = proposal.params["view_scale_min"]
        assert 1 / 3 <= scale <= 2 / 3
        record.add(trial(number, proposal.params, metrics={"val_clean": 90 * scale, "val_pgd_8": 9 * scale}))


def test_a_genetic_search_has_five_generations_as_far_as_their_size_allows(make_spec: MakeSpec) -> None:
    for trials, size in ((14, 8), (40, 8), (100, 20), (1000, 50)):
        design = Search(trials=trials, sampler="nsga2")
        for make in (nsga2, nsga3):
            assert make(design, 0, make_spec(design=design), 0)._population_size == size


# Cost.

ACCURACIES = (Objective("val_clean", "maximize"), Objective("val_pgd_8", "maximize"))


def mean_cost(proposed: list[Params], spec: StudySpec) -> float:
    configs = [spec.config(params, 0) for params in proposed]
    return sum(config.epochs * config.view_passes_per_image() for config in configs) / len(configs)


def test_of_several_proposals_the_cheapest_is_run(make_spec: MakeSpec) -> None:
    costs = {}
    for cheapest_of in (1, 2, 6):
        spec = make_spec(design=Search(trials=20, cheapest_of=cheapest_of, sampler="tpe"))
        costs[cheapest_of] = mean_cost(run_search(spec, 0, 20), spec)
    assert costs[6] < costs[2] < costs[1], costs
    assert costs[6] < 0.8 * costs[1], costs


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_samplers_that_draw_evenly_are_not_bent(make_spec: MakeSpec, sampler: str) -> None:
    even, same = (make_spec(design=Search(trials=9, sampler=sampler, cheapest_of=n)) for n in (1, 6))
    assert run_search(even, 0, 9) == run_search(same, 0, 9)


def test_where_cost_is_no_objective_it_decides_nothing(make_spec: MakeSpec) -> None:
    without, same = (
        make_spec(objectives=ACCURACIES, design=Search(trials=9, cheapest_of=n, sampler="tpe")) for n in (1, 6)
    )
    assert run_search(without, 0, 9) == run_search(same, 0, 9)


def test_the_cheapest_is_counted_in_operations_not_in_passes(make_spec: MakeSpec) -> None:
    """At equal view passes a pass through a ResNet-18 costs a hundred times one through the narrow network."""
    encoders = Factor(name="encoder", distribution=CategoricalDistribution(["resnet18", "resnet_narrow"]))
    scale = Factor(name="view_scale_min", distribution=FloatDistribution(0.08, 0.5))
    spec = make_spec(factors=(encoders, scale), design=Search(trials=20, cheapest_of=8, sampler="tpe"))
    assert [params["encoder"] for params in run_search(spec, 0, 8)].count("resnet_narrow") >= 7


def test_the_region_of_interest_is_a_constraint_in_shares_of_its_bounds(make_spec: MakeSpec) -> None:
    objectives = (Objective("val_clean", "maximize", at_least=100), Objective("train_pflop", "minimize", at_most=0.4))
    record = StudyRecord(trials={"t0000": trial(0, PARAMS, metrics=RESULTS)})
    (found,) = as_optuna_study(record, make_spec(objectives=objectives)).trials
    assert sorted(found.constraints.values()) == pytest.approx([0.2, 0.25])
    (found,) = as_optuna_study(record, make_spec()).trials
    assert found.constraints == {}
    warm = make_spec(objectives=objectives, warm_start=(PriorTrial(PARAMS, (120.0, 0.5)),))
    prior, own = as_optuna_study(record, warm).trials
    assert list(prior.constraints) == list(own.constraints)
    assert sorted(prior.constraints.values()) == pytest.approx([-0.2, 0.25])


def test_the_search_concentrates_on_the_region(make_spec: MakeSpec) -> None:
    """Quality and cost grow together, so that every configuration is on the front; a tenth of them is inside."""
    bounds = (Objective("val_clean", "maximize", at_least=60), Objective("train_pflop", "minimize", at_most=70))
    factors = (Factor(name="view_scale_min", distribution=FloatDistribution(0.0, 1.0)),)

    def inside(objectives: tuple[Objective, ...]) -> int:
        spec = make_spec(factors=factors, objectives=objectives, design=Search(trials=40, sampler="tpe"))
        record, search = StudyRecord(), search_of(spec, seed=0)
        for number in range(40):
            proposal = search.propose(record)
            assert proposal is not None
            value = 100 * proposal.params["view_scale_min"]
            metrics = {"val_clean": value, "train_pflop": value}
            record.add(trial(number, proposal.params, metrics=metrics, sampler_attrs=proposal.sampler_attrs))
        return sum(60 <= one.metrics["val_clean"] <= 70 for one in record.trials.values())

    anywhere = inside((Objective("val_clean", "maximize"), Objective("train_pflop", "minimize")))
    assert inside(bounds) >= 2 * anywhere > 0


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "gp"])
def test_nothing_excluded_is_proposed(make_spec: MakeSpec, sampler: str) -> None:
    excluded = ("num_views * epochs > 8", "adversary == 'none' and view_scale_min < 0.3")
    spec = make_spec(design=Search(trials=25, sampler=sampler), excluded=excluded)
    free = run_search(spec.replace(excluded=()), seed=1, num_trials=25)
    proposed = run_search(spec, seed=1, num_trials=25)
    assert len(proposed) == 25 and not any(spec.is_excluded(params) for params in proposed)
    assert any(spec.is_excluded(params) for params in free)


def test_a_small_rest_is_found_and_used_up(make_spec: MakeSpec) -> None:
    """Two of 3,000 configurations are left."""
    factors = (
        Factor(name="epochs", distribution=IntDistribution(1, 1000)),
        Factor(name="num_views", distribution=CategoricalDistribution([2, 4, 8])),
    )
    spec = make_spec(
        factors=factors, design=Search(trials=5, sampler="random"), excluded=("epochs != 7 or num_views == 2",)
    )
    found = run_search(spec, seed=0, num_trials=5)
    assert sorted(params["num_views"] for params in found) == [4, 8] and {params["epochs"] for params in found} == {7}


def test_a_sequence_goes_on_behind_what_is_excluded(make_spec: MakeSpec) -> None:
    factors = (Factor(name="view_scale_min", distribution=FloatDistribution(0.0, 1.0)),)
    design = Search(trials=64, sampler="qmc")
    spec = make_spec(factors=factors, design=design, excluded=("view_scale_min > 0.5",))
    proposed = [params["view_scale_min"] for params in run_search(spec, seed=0, num_trials=64)]
    whole = [params["view_scale_min"] for params in run_search(spec.replace(excluded=()), seed=0, num_trials=128)]
    assert proposed == [value for value in whole if value <= 0.5][:64]
