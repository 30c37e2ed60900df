"""What a search takes over from another study or from a CSV file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from driver import run_study
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from study.decisions.optuna_search import OptunaSearch, as_optuna_study
from study.decisions.warm_start import prior_trials
from study.record.journal import StudyRecord, read_study
from study.spec import Factor, Search, StudySpec

MakeSpec = Callable[..., StudySpec]


def test_complete_trials_of_a_study_are_taken_over(make_spec: MakeSpec, tmp_path: Path) -> None:
    run_study(tmp_path, make_spec(design=Search(trials=12, sampler="random")))
    complete = [t for t in read_study(tmp_path).with_state("complete") if t.metrics["val_clean"] is not None]
    assert 0 < len(complete) < 12
    priors = prior_trials(tmp_path, make_spec())
    assert [prior.params for prior in priors] == [trial.params for trial in complete]
    assert [prior.values for prior in priors] == [
        (t.metrics["val_clean"], t.metrics["val_pgd_8"], t.metrics["train_pflop"]) for t in complete
    ]
    told = as_optuna_study(StudyRecord(), make_spec(warm_start=priors)).trials
    assert [trial.state for trial in told] == [TrialState.COMPLETE] * len(priors)
    assert [trial.params for trial in told] == [prior.params for prior in priors]


def test_what_is_outside_of_the_space_is_left_out(make_spec: MakeSpec, tmp_path: Path) -> None:
    run_study(tmp_path, make_spec(design=Search(trials=12, sampler="random")))
    narrow = make_spec(
        factors=(
            Factor(name="num_views", distribution=CategoricalDistribution([2, 4])),
            Factor(name="view_scale_min", distribution=FloatDistribution(0.0801, 0.3)),
        )
    )
    priors = prior_trials(tmp_path, narrow)
    assert 0 < len(priors) < 12
    assert all(set(p.params) == {"num_views", "view_scale_min"} for p in priors)
    assert all(p.params["num_views"] in (2, 4) and p.params["view_scale_min"] <= 0.3 for p in priors)


def test_a_csv_file_of_trials(make_spec: MakeSpec, tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(
        "num_views,epochs,adversary,replays,view_scale_min,val_clean,val_pgd_8,train_pflop,note\n"
        "4,2,free,3,0.1,80,30,0.5,good\n"
        "4,2,none,,0.1,85,1,0.2,conditional\n"
        "4,2,free,,0.1,85,1,0.2,a factor is missing\n"
        "4,2,none,,0.1,85,,0.2,an objective is missing\n"
        "4,2,none,,0.1,nan,2,0.2,not finite\n"
        "3,2,none,,0.1,85,1,0.2,not a choice\n"
    )
    priors = prior_trials(path, make_spec())
    assert [prior.values for prior in priors] == [(80.0, 30.0, 0.5), (85.0, 1.0, 0.2)]
    assert priors[0].params["replays"] == 3 and "replays" not in priors[1].params


def test_a_warm_start_moves_the_search(make_spec: MakeSpec, tmp_path: Path) -> None:
    """The best tenth of the results has eight views and no adversary: TPE begins there, instead of at random."""
    rows = [f"8,3,none,,{0.1 + 0.01 * n},{90 + n},{50 + n},{0.1 - 0.01 * n}" for n in range(3)]
    rows += [f"{2 + 2 * (n % 2)},{1 + n % 3},free,{2 + n % 2},{0.1 + 0.01 * n},{20 - n},1,{9 + n}" for n in range(17)]
    path = tmp_path / "trials.csv"
    header = "num_views,epochs,adversary,replays,view_scale_min,val_clean,val_pgd_8,train_pflop"
    path.write_text("\n".join([header, *rows]))
    spec = make_spec(design=Search(trials=8, sampler="tpe"))
    warm = make_spec(design=Search(trials=8, sampler="tpe"), warm_start=prior_trials(path, spec))
    shares = []
    for each in (spec, warm):
        proposals = [OptunaSearch(each, seed).propose(StudyRecord()) for seed in range(12)]
        firsts = [proposal.params for proposal in proposals if proposal is not None]
        shares.append(sum(p["num_views"] == 8 and p["adversary"] == "none" for p in firsts))
    assert shares[1] >= 11 > 9 >= shares[0], shares


@pytest.mark.parametrize("content", [None, "", "a,b\n1,2\n"])
def test_a_source_without_use_is_refused(make_spec: MakeSpec, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "trials.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=f"--warm-start {path}"):
        prior_trials(path, make_spec())
