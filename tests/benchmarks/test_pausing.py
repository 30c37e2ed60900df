"""What pausing costs on a table: the clock of the replay and the ledger of the journal agree."""

from pathlib import Path

import pytest

from benchmarks.pausing import COST, Outcome, _simulate, as_markdown, outcome, rules
from benchmarks.search_efficiency import Table, load_table
from study.decisions.engine import StudyEngine
from study.record.configurations import spent
from study.record.journal import Journal
from study.spec import NoStopping, Search

TABLE = Path(__file__).resolve().parents[2] / "benchmarks" / "data" / "tradeoff_digits.json"


@pytest.fixture(scope="module")
def table() -> Table:
    return load_table(TABLE)


def test_without_a_rule_all_is_found_for_the_price_of_all(table: Table) -> None:
    found = outcome(table, NoStopping(), seed=0, workers=4)
    assert (found.lost, found.paused, found.hypervolume) == (0.0, 0, pytest.approx(1.0))
    assert found.saved == pytest.approx(0.0, abs=1e-9)


def test_no_part_of_a_promoted_trial_is_paid_for_twice(table: Table, tmp_path: Path) -> None:
    stopping = rules(first_rung=24, eta=2)["MO-ASHA, pausing"]
    design = Search(trials=len(table.results), sampler="random")
    spec = table.spec.replace(design=design, stopping=stopping, references=())
    journal = Journal(tmp_path)
    journal.write("created", study="replay", spec=spec.model_dump(mode="json"), environment={})
    engine = StudyEngine(journal, spec, 0, table.trainable.table.scale)
    clocked = _simulate(table, engine, workers=4)
    trials = engine.record.trials.values()
    assert clocked == pytest.approx(sum(spent(trial, COST, "") for trial in trials))
    promoted = [trial for trial in engine.record.with_state("complete") if trial.paused_at]
    assert promoted and engine.record.with_state("paused")
    whole = sum(metrics[COST] for metrics in table.results)
    found = outcome(table, stopping, seed=0, workers=4)
    assert found.saved == pytest.approx(1 - clocked / whole) and 0 < found.lost < 1
    assert found.paused == len(engine.record.with_state("paused"))


def test_the_table_has_means_and_deviations() -> None:
    outcomes = [Outcome(0.1, 0.3, 4, 0.98), Outcome(0.3, 0.5, 6, 1.0)]
    *_, row = as_markdown({("MO-ASHA, pausing", 3): outcomes}).splitlines()
    assert row == "| MO-ASHA, pausing | 3 | 20.0% ± 14.1 | 40.0% ± 14.1 | 99.0% ± 1.4 | 5 |"
