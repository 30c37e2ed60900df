"""What a study has cost, from a constructed journal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.record.journal import Journal, read_study
from study.record.ledger import Entry, ledger
from study.settings import replaced
from study.spec import StudySpec
from study.trainable import Metric


@pytest.fixture
def finished(make_spec: Callable[..., StudySpec], tmp_path: Path) -> Callable[..., list[Entry]]:
    """Writes a journal whose trials ended with the given metrics, a stopped one with reports only; its ledger."""

    def write(results: list[dict[str, Any]], stopped: list[dict[str, Any]] | None = None) -> list[Entry]:
        spec = make_spec()
        journal = Journal(tmp_path)
        journal.write("created", study="s", spec=spec.model_dump(mode="json"), environment={})
        for number, metrics in enumerate([*results, None]):
            uid, params = f"t{number:04d}", {"num_views": 2 + number}
            config = replaced(spec.base, params).model_dump(mode="json")
            journal.write("proposed", uid=uid, number=number, params=params, config=config)
            journal.write("launched", uid=uid, attempt=1)
            if metrics is not None:
                journal.write("finished", uid=uid, state="complete", reason="", metrics=metrics)
            for report in stopped or [] if metrics is None else ():
                journal.write("reported", uid=uid, metrics=report)
        journal.close()
        return ledger(read_study(tmp_path))

    return write


def test_spent_and_saved_add_up_to_what_trials_cost_alone(finished: Callable[..., list[Entry]]) -> None:
    part = {"train_pflop": 2.0, "reused_train_pflop": 0.5, "view_passes": 200, "reused_view_passes": 50}
    whole = {"train_pflop": 1.0, "is_encoder_shared": True, "view_passes": 100}
    reports = [{"milestone": 1, "train_pflop": 0.25, "reused_train_pflop": 0.125}]
    entries = {entry.cost.name: entry for entry in finished([{"train_pflop": 4.0}, part, whole], reports)}
    assert (entries["train_pflop"].spent, entries["train_pflop"].saved) == (4 + 1.5 + 0 + 0.125, 0.5 + 1 + 0.125)
    assert (entries["view_passes"].spent, entries["view_passes"].saved) == (150, 150)
    assert "train_seconds" not in entries, "nobody has reported it"


def test_nothing_spent_is_no_entry(finished: Callable[..., list[Entry]]) -> None:
    assert finished([]) == []


def test_it_is_said_in_words() -> None:
    cost = Metric("steps", "minimize", "updates", kind="cost", units=((1, "steps"),))
    assert Entry(cost, 30.0, 0.0).describe() == "30 steps of updates spent"
    assert Entry(cost, 30.0, 10.0).describe() == "30 steps of updates spent, 10 steps saved by sharing (25%)"
