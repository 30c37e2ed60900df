"""Studies to report on, written through the real journal. All numbers are constructed, none is a result."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from study.record.journal import Journal, StudyRecord, read_study
from trainables.presets import LAPTOP
from trainables.trial_config import TrialConfig

SPEC: dict[str, Any] = {
    "name": "constructed",
    "question": "Do more views buy robustness at equal cost?",
    "preset": "laptop",
    "objectives": [
        {"name": "val_clean", "direction": "maximize"},
        {"name": "val_pgd_8", "direction": "maximize"},
        {"name": "train_pflop", "direction": "minimize"},
    ],
    "factors": [{"name": "num_views"}, {"name": "adversary"}, {"name": "replays"}],
    "base": TrialConfig(**LAPTOP).model_dump(mode="json"),
    "design": {"kind": "search", "trials": 24},
    "stopping": {"kind": "moasha", "eta": 2},
}
ENVIRONMENT = {"python": "3.12.3", "torch": "2.8.0", "ray": "2.60.0", "optuna": "5.0.0", "git_revision": "0123abc"}


def results(clean: float, pgd_8: float, pflop: float, **changes: Any) -> dict[str, Any]:
    """The metrics of a complete trial; test accuracies one point under validation."""
    values: dict[str, Any] = {"val_n": 144, "test_n": 360, "train_loss": 1.5, "validity": []}
    values |= {"view_passes": int(pflop * 4e6), "train_pflop": pflop, "train_seconds": pflop * 900}
    for split, drop in (("val", 0.0), ("test", 1.0)):
        values[f"{split}_clean"] = clean - drop
        for radius, gain in ((4, 12.0), (8, 0.0), (16, -15.0)):
            values[f"{split}_pgd_{radius}"] = max(pgd_8 + gain - drop, 0.0)
    return values | changes


class StudyWriter:
    """A study under way, into which trials are put one by one."""

    def __init__(self, study_dir: Path, spec: dict[str, Any]) -> None:
        self.study_dir = study_dir
        self.journal = Journal(study_dir)
        self.journal.write("created", study=spec["name"], spec=spec, environment=ENVIRONMENT)

    def start(
        self, reports: list[dict[str, Any]] | None = None, seed: int = 0, purpose: str = "search", **params: Any
    ) -> str:
        """A running trial with its interim evaluations; returns its uid. Without ``params`` it is one of a kind."""
        number = len(self.journal.record.trials)
        uid = f"t{number:03d}"
        params = params or {"epochs": number + 1}
        fields = {name: value for name, value in params.items() if name in TrialConfig.model_fields}
        config = TrialConfig(**(LAPTOP | fields | {"seed": seed})).model_dump(mode="json")
        self.journal.write("proposed", uid=uid, number=number, params=params, config=config, purpose=purpose)
        self.journal.write("launched", uid=uid, attempt=1)
        for report in reports or []:
            self.journal.write("reported", uid=uid, metrics=report)
        return uid

    def finish(self, uid: str, state: str, metrics: dict[str, Any] | None = None, reason: str = "") -> str:
        """Ends a trial."""
        self.journal.write("finished", uid=uid, state=state, metrics=metrics or {}, reason=reason)
        return uid

    def complete(
        self,
        clean: float,
        pgd_8: float,
        pflop: float,
        params: Any = None,
        seed: int = 0,
        purpose: str = "search",
        **changes: Any,
    ) -> str:
        """A trial from start to its results; ``changes`` replace metrics."""
        uid = self.start(seed=seed, purpose=purpose, **(params or {}))
        return self.finish(uid, "complete", results(clean, pgd_8, pflop, **changes))

    def read(self) -> StudyRecord:
        """What the journal says, read from disk."""
        return read_study(self.study_dir)


@pytest.fixture
def new_study(tmp_path: Path) -> Iterator[Callable[..., StudyWriter]]:
    """Makes studies; keyword arguments replace entries of the spec."""
    writers: list[StudyWriter] = []

    def make(**changes: Any) -> StudyWriter:
        writers.append(StudyWriter(tmp_path / f"study{len(writers)}", SPEC | changes))
        return writers[-1]

    yield make
    for writer in writers:
        writer.journal.close()
