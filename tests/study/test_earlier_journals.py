"""Journals that an earlier version wrote open, are found in order, and are gone on with as that version would have.

In ``data`` are two of its studies, each cut where it was killed: ``stopped_trials`` (rungs, references, a trial that is
to be stopped, one under way) and ``several_seeds`` (a second seed under way, confirmations to come, audits).
``crops_vs_epochs_then.py`` is the space of the first. ``continued.json`` is what that version went on with under the
same made-up numbers.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from driver import Driver

from study.checks.journal_checks import order_disagreements, repetition_disagreements, result_disagreements
from study.checks.projection_checks import optuna_disagreements, rung_disagreements
from study.record.front import front_of
from study.record.identity import continued, require_same_study
from study.record.journal import JOURNAL_NAME, StudyRecord, TrialRecord, read_study
from study.record.journal_lines import parse_journal
from study.record.metrics import metrics_of
from study.record.trials import tabulate
from study.spec import StudySpec
from study.spec.options import StudyCommand, requested_spec
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import EARLIER

DATA = Path(__file__).parent / "data"
COMMANDS: dict[str, dict[str, Any]] = {
    "stopped_trials": {"space": DATA / "crops_vs_epochs_then.py"},
    "several_seeds": {"space": Path("tradeoff"), "trials": 6, "seeds": [0, 1], "confirm": 2, "audit": 0.3},
}
CONTINUED: dict[str, list[dict[str, Any]]] = json.loads((DATA / "continued.json").read_text())
NUM_TRAIN_IMAGES = 1077


@pytest.fixture(params=COMMANDS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def study_dir(name: str, tmp_path: Path) -> Path:
    (tmp_path / "s").mkdir()
    shutil.copy(DATA / f"{name}.jsonl", tmp_path / "s" / JOURNAL_NAME)
    return tmp_path / "s"


def told(trial: TrialRecord) -> dict[str, Any]:
    return {name: getattr(trial, name) for name in ("uid", "params", "seed", "purpose", "state", "reason")}


def requested(name: str) -> StudySpec:
    return requested_spec(StudyCommand(**({"set": [], "budget": []} | COMMANDS[name])))


def assert_in_order(study_dir: Path) -> StudyRecord:
    found = parse_journal((study_dir / JOURNAL_NAME).read_bytes())
    assert found.problems == [] and not found.is_cut
    record = read_study(study_dir)
    spec = StudySpec.recorded(record.spec)
    assert order_disagreements(found.events) == []
    assert result_disagreements(record) == repetition_disagreements(record) == []
    assert optuna_disagreements(record, spec) == rung_disagreements(record, spec) == []
    return record


def test_it_is_in_order(name: str, study_dir: Path) -> None:
    record = assert_in_order(study_dir)
    assert {trial.state for trial in record.trials.values()} >= {"complete", "running"}
    assert any(trial.decisions for trial in record.trials.values()) == (name == "stopped_trials")


def test_its_spec_is_that_of_the_same_command(name: str, study_dir: Path) -> None:
    """The same command resumes, wherever the images lie by now; another one is refused."""
    written = read_study(study_dir).spec
    spec, now = StudySpec.recorded(written), continued(requested(name), study_dir)
    assert spec.base.eval_losses == now.base.eval_losses == ("cross_entropy",)  # type: ignore[attr-defined]
    assert spec.replace(base=now.base).model_dump(mode="json") == now.model_dump(mode="json")
    recorded = json.loads(json.dumps(now.model_dump(mode="json"))) | {"seed": 0}
    recorded["data_checksum"] = written["data_checksum"]
    require_same_study(study_dir, recorded, ROBUST_SSL, now.base)
    with pytest.raises(ValueError, match=r"holds a different study \(seed: 0 there, 1 now\)"):
        require_same_study(study_dir, recorded | {"seed": 1}, ROBUST_SSL, now.base)


def test_it_goes_on_with_the_sampler_that_was_the_default_unless_another_is_asked_for(
    name: str, study_dir: Path
) -> None:
    now = requested(name)
    assert now.design.sampler == "ehvi" and continued(now, study_dir).design.sampler == "tpe"  # type: ignore[union-attr]
    asked = continued(now, study_dir, is_sampler_given=True).design
    assert asked.sampler == "ehvi" and not asked.believed  # type: ignore[union-attr]
    recorded = json.loads(json.dumps(now.model_dump(mode="json"))) | {"seed": 0}
    recorded["data_checksum"] = read_study(study_dir).spec["data_checksum"]
    with pytest.raises(ValueError, match=r"design.sampler: 'tpe' there, 'ehvi' now"):
        require_same_study(study_dir, recorded, ROBUST_SSL, now.base)


def test_losses_that_were_no_choice_then_are_refused(name: str, study_dir: Path) -> None:
    """Also the confirmations to come are those that the study was begun with."""
    now = requested(name)
    margin = continued(now.with_settings({"eval_losses": ("margin",)}), study_dir)
    with pytest.raises(ValueError, match=r"different study .*base\.eval_losses.*'cross_entropy'.*'margin'"):
        require_same_study(study_dir, margin.model_dump(mode="json"), ROBUST_SSL, margin.base)
    assert now.confirmation.settings != continued(now, study_dir).confirmation.settings
    assert continued(now, study_dir / "none") == now
    assert (now.stopping.eta, continued(now, study_dir).stopping.eta) == (2, 3), "another default then"  # type: ignore[union-attr]


def test_the_configs_of_an_ablation_may_lack_later_fields(tmp_path: Path) -> None:
    now = requested_spec(StudyCommand(set=[], budget=[], space=Path("ablate_cf_amc_ssl")))
    recorded = json.loads(json.dumps(now.model_dump(mode="json"))) | {"seed": 0}
    written = json.loads((DATA / "stopped_trials.jsonl").read_text().splitlines()[0])
    written["spec"] = json.loads(json.dumps(recorded))
    for config in (written["spec"]["base"], written["spec"]["design"]["from_"], written["spec"]["design"]["to"]):
        for field in EARLIER:
            del config[field]
    (tmp_path / JOURNAL_NAME).write_text(json.dumps(written) + "\n")
    now = continued(now, tmp_path)
    recorded = json.loads(json.dumps(now.model_dump(mode="json"))) | {"seed": 0}
    require_same_study(tmp_path, recorded, ROBUST_SSL, now.base)
    recorded["design"]["to"]["probe_loss"] = "trades"
    with pytest.raises(ValueError, match=r"design.to.probe_loss: 'pgd' there, 'trades' now"):
        require_same_study(tmp_path, recorded, ROBUST_SSL, now.base)


def test_it_is_gone_on_with_as_before(name: str, study_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driver.NUM_TRAIN_IMAGES", NUM_TRAIN_IMAGES)
    before = (study_dir / JOURNAL_NAME).read_bytes()
    driver = Driver(study_dir, StudySpec.recorded(read_study(study_dir).spec))
    driver.run()
    driver.close()
    assert (study_dir / JOURNAL_NAME).read_bytes().startswith(before)
    found = [told(trial) for trial in read_study(study_dir).trials.values()]
    assert found[-len(CONTINUED[name]) :] == CONTINUED[name]
    assert read_study(study_dir).ended


def test_it_is_tabulated(study_dir: Path) -> None:
    record = read_study(study_dir)
    metrics = metrics_of(record)
    assert (metrics["val_pgd_8"].unit, metrics["train_pflop"].kind) == ("%", "cost")
    table = tabulate(record)
    assert len(table.frame) == len(record.trials)
    assert list(table.complete["uid"]) == [trial.uid for trial in record.with_state("complete")]
    first = record.with_state("complete")[0]
    row = table.complete.iloc[0]
    assert (row["val_clean"], row["train_pflop"]) == (first.metrics["val_clean"], first.metrics["train_pflop"])
    assert [objective.name for objective in table.objectives] == ["val_clean", "val_pgd_8", "train_pflop"]
    front = [trial.uid for one in front_of(record) for trial in one.completed]
    assert sorted(table.front["uid"]) == sorted(front) != []


def test_a_budget_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    shutil.copy(DATA / "stopped_trials.jsonl", tmp_path / JOURNAL_NAME)
    text = (tmp_path / JOURNAL_NAME).read_text()
    old = '"budget": {"view_passes": null, "pflop": null, "hours": null}'
    assert old in text
    (tmp_path / JOURNAL_NAME).write_text(text.replace(old, old.replace('"pflop": null', '"pflop": 3.0')))
    spec = StudySpec.recorded(read_study(tmp_path).spec)
    assert spec.design.budget.spent == {"train_pflop": 3.0} and spec.design.budget.hours is None  # type: ignore[union-attr]
