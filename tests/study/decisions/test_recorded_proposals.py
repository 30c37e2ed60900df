"""What a study proposes and where it stops trials is what earlier versions proposed and stopped, trial by trial.

``proposals.json`` was written by the first version that had all of these samplers; trials are run one at a time
in the space of that version.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from driver import run_study

from study.record.journal import TrialRecord
from study.spec import Search
from study.spec.load_space import load_space

DATA = Path(__file__).parents[1] / "data"
RECORDED: dict[str, list[dict[str, Any]]] = json.loads((DATA / "proposals.json").read_text())
SPACE = DATA / "crops_vs_epochs_then.py"


def told(trial: TrialRecord) -> dict[str, Any]:
    """What is recorded of a trial."""
    reasons = [decision["reason"] for decision in trial.decisions]
    return {"params": trial.params, "state": trial.state, "decisions": reasons}


@pytest.mark.parametrize("case", RECORDED)
def test_proposals_are_those_of_earlier_versions(case: str, tmp_path: Path) -> None:
    sampler, seed = case.split()
    # Made-up accuracies follow from a config's hash; with this loss it is the one that earlier versions had.
    spec = load_space(SPACE).with_preset("laptop").with_settings({"eval_losses": ("cross_entropy",)})
    rungs = spec.stopping.replace(eta=3)  # the default then
    spec = spec.replace(design=Search(trials=len(RECORDED[case]), sampler=sampler), stopping=rungs)
    driver = run_study(tmp_path, spec, seed=int(seed))
    assert [told(trial) for trial in driver.journal.record.trials.values()] == RECORDED[case]
    assert any(trial["state"] == "stopped" for trial in RECORDED[case])
