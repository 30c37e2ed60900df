"""The answer of studies with known effects, of every design and of another training; no number here is a result."""

import itertools
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ablation_study import ablation_spec, run
from driver import Driver
from optuna.distributions import CategoricalDistribution
from pydantic import BaseModel

from benchmarks.constructed_study import write_journal
from reports.answer.answer import Answer, answer_of
from reports.answer.answer_text import answer_text
from reports.answer.notable import _budget, as_yaml
from reports.build import build_report
from study.record.answer import ANSWER_WIDTH, read_answer
from study.record.journal import read_study
from study.record.trials import tabulate
from study.spec import Comparison, Factor, Grid, Search, StudySpec
from study.trainable import Context, Metric, as_trainable

NewStudy = Callable[..., Any]
Params = dict[str, Any]
ARMS: Params = {"arms": {"few": {"num_views": 2, "epochs": 4}, "many": {"num_views": 8, "epochs": 1}}, "pairs": 6}
MEANS = {"better": "Yes, and more.", "worse": "No."}


def answer_to(study: Any) -> Answer:
    return answer_of(tabulate(study.read()))


def fill(study: Any, gain: float, seeds: Iterable[int], noise: float = 0.5) -> None:
    """Two arms whose robust accuracies differ by ``gain`` in the mean."""
    luck = random.Random(0)
    for seed in seeds:
        for arm, extra in (("few", 0.0), ("many", gain)):
            robust = 40 + extra + luck.gauss(0, noise)
            study.complete(80.0 - extra, robust, 1.0, ARMS["arms"][arm], seed=seed, purpose="comparison")


@pytest.mark.parametrize(
    ("gain", "verdict", "lead"),
    [(5.0, "better", "Yes, and more"), (-5.0, "worse", "No"), (0.0, "equal", "Equal within 2 points")],
)
def test_the_arms_of_a_comparison(new_study: NewStudy, gain: float, verdict: str, lead: str) -> None:
    study = new_study(compares=ARMS | {"means": MEANS}, smallest_difference=2.0)
    fill(study, gain, range(6))
    (statement,) = answer_to(study).statements
    assert (statement.verdict, statement.lead, statement.more) == (verdict, lead, "")
    sides = r"Many \(8 views, 1 epoch\) against few \(2 views, 4 epochs\)"
    found = re.fullmatch(sides + r": test robust accuracy (\S+) points \[.*\], 6 pairs\.", statement.text)
    assert found and float(found[1]) == pytest.approx(gain, abs=0.7)
    assert f"{-gain:+.1f}".replace("-0.0", "+0.0") in statement.beside and "training compute × 1.00" in statement.beside


def test_what_is_not_decided_says_how_many_more_trials_it_needs(new_study: NewStudy) -> None:
    study = new_study(compares=ARMS | {"pairs": 4})
    fill(study, 1.0, range(4), noise=4.0)
    (statement,) = answer_to(study).statements
    assert (statement.verdict, statement.lead) == ("undecided", "Not decided")
    found = re.fullmatch(r"Needs about (\d+) more trials \(--pairs (\d+)\)\.", statement.more)
    assert found and int(found[1]) == 2 * (int(found[2]) - 4) > 0


@pytest.mark.parametrize(("seeds", "words"), [((), "No pair"), ((0,), "One pair")])
def test_fewer_than_two_pairs_have_no_interval(new_study: NewStudy, seeds: tuple[int, ...], words: str) -> None:
    study = new_study(compares=ARMS | {"pairs": 1})
    study.complete(80.0, 40.0, 1.0, {"num_views": 4, "epochs": 1})
    fill(study, 5.0, seeds)
    (statement,) = answer_to(study).statements
    assert statement.lead == "Not decided" and statement.more == f"{words}: no interval; run --pairs 3."


def test_a_study_is_not_told_to_run_fewer_pairs_than_it_has(new_study: NewStudy) -> None:
    study = new_study(compares=ARMS)
    fill(study, 5.0, [0])
    assert answer_to(study).statements[0].more == "One pair: no interval; 6 pairs are planned."
    for seed in range(1, 6):
        study.complete(80.0, 40.0, 1.0, ARMS["arms"]["few"], seed=seed, purpose="comparison")
        study.finish(study.start(seed=seed, purpose="comparison", **ARMS["arms"]["many"]), "failed", reason="diverged")
    study.journal.write("ended")
    assert answer_to(study).statements[0].more == "One pair: no interval; run --pairs 8.", "five of six have failed"


def test_every_arm_needs_the_further_pairs(new_study: NewStudy) -> None:
    study = new_study(compares=ARMS | {"arms": ARMS["arms"] | {"middle": {"num_views": 4, "epochs": 2}}, "pairs": 4})
    fill(study, 4.0, range(4), noise=4.0)
    study.journal.write("ended")
    found = re.fullmatch(r"Needs about (\d+) more trials \(--pairs (\d+)\)\.", answer_to(study).statements[0].more)
    assert found and int(found[1]) == 3 * (int(found[2]) - 4) > 0


def test_seeds_are_added_to_those_of_the_study(new_study: NewStudy) -> None:
    study = new_study(asks=["num_views"], seeds=[7])
    for views in (2, 4):
        study.complete(80.0, 40.0 + views, 1.0, {"num_views": views}, seed=7)
    assert answer_to(study).statements[0].more == "One pair: no interval; run --seeds 7 0 1."


def test_the_clearest_of_equal_sides_is_not_called_a_difference(new_study: NewStudy) -> None:
    study = new_study(smallest_difference=2.0)
    for views, seed in itertools.product((2, 4), range(4)):
        study.complete(80.0, 40.0, 1.0, {"num_views": views}, seed=seed)
    assert [one.lead for one in answer_to(study).statements] == ["Equal within 2 points"]


def test_costs_alone_have_no_best_configuration(new_study: NewStudy) -> None:
    hours = {"name": "hours", "direction": "minimize", "kind": "cost", "unit": "h"}
    study = new_study(
        trainable="nowhere:GONE", metrics=[hours], objectives=[hours], factors=[{"name": "depth"}], base={}
    )
    study.finish(study.start(depth=2), "complete", {"hours": 1.0})
    assert answer_to(study).found.startswith("The study has no objective but costs")


def crossed(study: Any, gains: Params, *, seeds: int = 4) -> None:
    """A grid of views and epochs; the robust accuracy is a sum of gains per doubling."""
    luck = random.Random(1)
    for views in (2, 4, 8):
        for epochs in (1, 2, 4):
            for seed in range(seeds):
                robust = (
                    30 + gains["num_views"] * np.log2(views) + gains["epochs"] * np.log2(epochs) + luck.gauss(0, 0.3)
                )
                study.complete(70.0, robust, 1.0 * views * epochs, {"num_views": views, "epochs": epochs}, seed=seed)


FACTORS = [{"name": "num_views"}, {"name": "epochs"}]


def test_two_traded_factors_are_compared_at_their_equal_product(new_study: NewStudy) -> None:
    """From 2 views to 8 at a quarter of the epochs: two doublings of +1, and two halvings of 3."""
    study = new_study(factors=FACTORS, asks=["num_views", "epochs"])
    crossed(study, {"num_views": 1.0, "epochs": 3.0})
    (statement,) = answer_to(study).statements
    text = (
        r"8 views against 2 views, both with equal num_views x epochs: test robust accuracy (-\d\.\d) points .* pairs\."
    )
    found = re.fullmatch(text, statement.text)
    assert found and float(found[1]) == pytest.approx(2 * 1 - 2 * 3, abs=0.3)
    assert statement.lead == "Worse" and "training compute × 1.00" in statement.beside


def test_each_factor_that_is_asked_about_has_a_statement(new_study: NewStudy) -> None:
    study = new_study(factors=[*FACTORS, {"name": "adversary"}], asks=["num_views", "adversary"])
    crossed(study, {"num_views": 1.0, "epochs": 3.0})
    (statement,) = answer_to(study).statements  # the adversary does not vary
    assert re.match(r"8 views against 2 views: test robust accuracy \+[12]\.\d points", statement.text)
    assert statement.lead == "Better"


def test_without_a_question_about_factors_the_clearest_difference_is_told(new_study: NewStudy) -> None:
    study = new_study(factors=FACTORS)
    crossed(study, {"num_views": 0.1, "epochs": -3.0})
    (statement,) = (answer := answer_to(study)).statements
    assert statement.lead == "The clearest difference" and statement.verdict == "better"
    assert re.match(r"1 epoch against 4 epochs: test robust accuracy \+[56]\.\d points", statement.text)
    assert "the clearest of 3 that the trials allow" in answer.how


def test_a_search_without_matched_trials_says_what_was_best(new_study: NewStudy) -> None:
    study = new_study()
    for views, robust in ((2, 30.0), (4, 45.0), (8, 40.0)):
        study.complete(80.0, robust, 1.0 * views, {"num_views": views, "epochs": views})
    answer = answer_to(study)
    assert answer.statements == () and answer.how == ""
    assert answer.found.startswith("The best of 3 configurations: 4 views, 4 epochs, with test robust accuracy 44.0 [")
    assert "No factor has two pairs of trials" in answer.found


def test_before_any_result(new_study: NewStudy) -> None:
    study = new_study(compares=ARMS)
    study.start()
    answer = answer_to(study)
    assert answer.found == "No trial has completed yet." and answer.notable == ()


def test_an_ablation_answers_from_its_ends() -> None:
    """From 'from' to 'to' are 14, 15 and 16 points by seed; of the differences, the method stands out most."""
    together, alone = answer_of(tabulate(run(ablation_spec()))).statements
    assert together.lead == "Better"
    assert together.text == "To against from: test robust accuracy +15.0 points [+12.5, +17.5], 3 pairs."
    # Equal differences of shares have the spread of counts of 360 images.
    assert together.beside == "Test clean accuracy -4.0 points [-4.3, -3.7]; training compute × 2.00."
    assert alone.lead == "The clearest difference" and "against" in alone.text


class Config(BaseModel, frozen=True):
    width: int = 2
    seed: int = 0


@as_trainable(config=Config, metrics=[Metric("loss <b>", "minimize")])
def fit(config: Config, context: Context) -> Iterator[dict[str, Any]]:
    """Each doubling of the width takes 1 off the loss; a seed adds little."""
    yield {"loss <b>": 5 - np.log2(config.width) + 0.01 * (config.seed % 3)}


EVIL = "<script>alert(1)</script>"
WIDTHS = (Factor(name="width", distribution=CategoricalDistribution([2, 4, 8])),)


def written(tmp_path: Path, **changes: Any) -> Path:
    parts: dict[str, Any] = {"name": "widths", "question": f"How wide? {EVIL}", "base": Config(), "factors": WIDTHS}
    driver = Driver(tmp_path / "widths", StudySpec(**(parts | changes)), is_real=True)
    driver.run()
    driver.close()
    return tmp_path / "widths"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"design": Grid(), "seeds": (0, 1)}, "The clearest difference: Width 8 against width 2: loss <b> -2 [-2, -2]"),
        ({"design": Grid(), "asks": ("width",), "seeds": (0, 1)}, "Better: Width 8 against width 2: loss <b> -2"),
        (
            {
                "design": Search(trials=2, sampler="tpe"),
                "compares": Comparison(arms={EVIL: {"width": 8}, "b": {"width": 4}}),
            },
            "Worse: B",
        ),
        ({"design": Search(trials=3, sampler="tpe")}, "The best of 3 configurations: width 8, with loss <b> 2."),
    ],
)
def test_the_answer_of_any_training_is_written_beside_the_page(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    study_dir = written(tmp_path, **changes)
    assert read_answer(study_dir) == ""
    page = build_report(study_dir).read_text(encoding="utf-8")
    text = read_answer(study_dir)
    assert words in text.replace("\n", " ") and text.startswith(f"How wide? {EVIL}") and text.endswith("\n")
    assert max(map(len, text.splitlines())) <= ANSWER_WIDTH and "P(best)" in text
    cards = re.findall('<h2>(.*?)</h2>\n<p class="recipe">(width [0-9])', page)
    assert [title for title, _ in cards] == ["Best loss &lt;b&gt;", "Second best"] and cards[0][1] != cards[1][1]
    head = page.partition('<header class="study"')[2].partition("</header>")[0]
    assert EVIL not in page and "<b>" not in head and "&lt;b&gt;" in head


def test_the_page_begins_with_the_answer_and_the_first_chart(new_study: NewStudy) -> None:
    study = new_study(compares=ARMS)
    fill(study, 5.0, range(6))
    study.complete(90.0, 10.0, 0.1, {"num_views": 2, "epochs": 1})
    study.complete(88.0, 30.0, 0.5, {"num_views": 4, "epochs": 1})
    page = build_report(study.study_dir).read_text(encoding="utf-8")
    places = [page.index(text) for text in ('class="verdict better"', 'class="card" data-uid=', 'class="figure-data"')]
    assert places == sorted(places)
    assert page.index('class="figure-data"') < page.index("<table") < page.index('<section id="how-to-read-this">')
    uids = re.findall('<article class="card" data-uid="(t[0-9]+)">', page)
    best, *others = answer_to(study).notable
    assert uids == [best.uid, *(one.uid for one in others)] and best.uid == "t001"
    assert best.titles == ("Best robust accuracy",) and best.command.startswith("python -m trainables.run_trial")
    front = set(tabulate(study.read()).front_configurations["uid"])
    assert set(uids) <= front
    config = yaml.safe_load(best.config)
    assert config == json.loads(json.dumps(study.read().trials["t001"].config))
    assert f'data-copy="{best.command}"' in page


def test_yaml_holds_what_json_does() -> None:
    config = {"a": 1e-5, "b": 1e300, "c": -2.5e-7, "d": None, "e": [1, "x: y"], "f": True, "g": "no", "h": {"i": "ü\n"}}
    assert yaml.safe_load(as_yaml(config)) == config


def test_one_configuration_may_be_several_things(new_study: NewStudy) -> None:
    study = new_study(objectives=[{"name": name, "direction": "maximize"} for name in ("val_clean", "val_pgd_8")])
    for number, (clean, robust, cost) in enumerate([(60.0, 40.0, 10.0), (90.0, 39.0, 1.0), (91.0, 5.0, 1.0)]):
        study.complete(clean, robust, cost, {"num_views": 2 ** (number + 1)})
    titles = {one.uid: one.titles for one in answer_to(study).notable}
    assert titles == {"t000": ("Best robust accuracy",), "t001": ("Knee: the best balance", "Best within 1 PFLOP")}


def test_a_cheap_configuration_of_little_worth_has_no_card(new_study: NewStudy) -> None:
    study = new_study()
    for number, (robust, cost) in enumerate([(80.0, 10.0), (39.9, 1.0)]):
        study.complete(90.0, robust, cost, {"num_views": 2 ** (number + 1)})
    answer = answer_to(study)
    assert [one.titles for one in answer.notable] == [("Best robust accuracy",)]
    assert "costs less training compute and has half of the best" in answer.absent
    study.complete(90.0, 40.0, 1.0, {"num_views": 16})
    assert [one.titles for one in answer_to(study).notable][1:] == [("Best within 1 PFLOP",)]


REGION = [
    {"name": "val_clean", "direction": "maximize", "at_least": 85},
    {"name": "val_pgd_8", "direction": "maximize"},
    {"name": "train_pflop", "direction": "minimize", "at_most": 5},
]


def test_only_what_is_inside_the_region_is_recommended(new_study: NewStudy) -> None:
    study = new_study(objectives=REGION)
    numbers = [(90.0, 40.0, 4.0), (88.0, 35.0, 1.0), (80.0, 60.0, 3.0), (95.0, 70.0, 20.0)]
    for number, (clean, robust, cost) in enumerate(numbers):
        study.complete(clean, robust, cost, {"num_views": 2 ** (number + 1)})
    answer = answer_to(study)
    assert {one.uid for one in answer.notable} == {"t000", "t001"}
    assert answer.notable[0].titles == ("Best robust accuracy",) and answer.notable[0].uid == "t000"
    assert answer.region == (
        "Region of interest: validation clean accuracy at least 85.0%, training compute at most 5 PFLOP; 2 of the 4 "
        "members of the front are inside, and only those are recommended."
    )
    assert "Region of interest" in " ".join(answer_text(answer).split())
    page = build_report(study.study_dir).read_text(encoding="utf-8")
    assert page.count("outside the region of interest</small>") == 2 and "region of interest" in page


def test_where_nothing_is_inside_the_nearest_is_shown(new_study: NewStudy) -> None:
    study = new_study(objectives=REGION)
    assert answer_to(study).region.endswith("nothing is inside yet.")
    study.complete(80.0, 60.0, 3.0, {"num_views": 2})
    study.complete(95.0, 70.0, 20.0, {"num_views": 4})
    answer = answer_to(study)
    assert [(one.titles, one.uid) for one in answer.notable] == [(("Nearest to the region of interest",), "t000")]
    assert answer.region.endswith("nothing is inside. The nearest is t000: validation clean accuracy 80.0%.")
    assert answer.absent == ""


def test_without_a_region_nothing_is_said_of_one(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(80.0, 60.0, 3.0, {"num_views": 2})
    assert answer_to(study).region == ""
    assert "region of interest" not in build_report(study.study_dir).read_text(encoding="utf-8").partition("<script")[0]


@pytest.mark.parametrize(
    ("cost", "more", "budget"), [(245.0, 490.0, 300.0), (327.0, 350.0, 330.0), (300.0, 301.0, 300.0), (0.0, 1.0, 0.0)]
)
def test_a_budget_is_as_round_as_it_can_be(cost: float, more: float, budget: float) -> None:
    assert _budget(cost, more, size=1.0) == pytest.approx(budget)


def test_a_large_study_is_answered_quickly(tmp_path: Path) -> None:
    write_journal(tmp_path, num_trials=300, num_seeds=3)
    answer = answer_of(tabulate(read_study(tmp_path)))
    (statement,) = answer.statements
    # Constructed: free training adds 30 points over none; of PGD, which adds 35, rungs stop more.
    text = r"Free training, 3 replays against standard training: test robust accuracy \+(29|30)\.\d points"
    assert re.match(text, statement.text)
