"""A finished study of three trials that were really trained, one after the other, without Ray."""

import json
import shutil
from pathlib import Path

from study.record.journal import Journal
from study.spec import Factor, Grid, StudySpec
from study.tracking.projection import MlflowProjection
from trainables.run_trial import main as run_trial
from trainables.trial_config import TrialConfig

SETTINGS = (
    "image_size=8", "train_images=600", "projector_hidden_dim=32", "projector_dim=16", "batch_size=20", "epochs=3",
    "probe=central", "probe_epochs=20", "eval_samples=60", "eval_pgd_steps=2", "eval_radii_255=[8]", "adversary=none",
)  # fmt: skip


def train(folder: Path, num_views: int) -> None:
    """Leaves result, flags and weights of a trial in ``folder``."""
    words = [word for setting in (*SETTINGS, f"num_views={num_views}") for word in ("--set", setting)]
    assert run_trial([*words, "--device", "cpu", "--output", str(folder)]) == 0


def write_study(study_dir: Path, trained: Path) -> Journal:
    """A study of the trials in ``trained``; its journal is open."""
    base = TrialConfig(**json.loads((trained / "t0000" / "result.json").read_text())["config"])
    factor = Factor(name="num_views", levels={str(n): {"num_views": n} for n in (2, 3, 4)})
    spec = StudySpec(name=study_dir.name, question="Is it all there?", base=base, factors=(factor,), design=Grid())
    journal = Journal(study_dir)
    plain = spec.model_dump(mode="json")
    journal.write("created", study=study_dir.name, spec=plain, environment={"revision": "0123456789ab"})
    for number, folder in enumerate(sorted(trained.iterdir())):
        shutil.copytree(folder, study_dir / "trials" / folder.name)
        result = json.loads((folder / "result.json").read_text())
        params = {"num_views": str(result["config"]["num_views"])}
        journal.write("proposed", uid=folder.name, number=number, params=params, config=result["config"])
        journal.write("launched", uid=folder.name, attempt=1)
        journal.write("finished", uid=folder.name, state="complete", reason="", metrics=result["metrics"])
    return journal


def project(journal: Journal, study_dir: Path, **options: object) -> MlflowProjection:
    """What a resume does with MLflow."""
    with MlflowProjection(journal.record, study_dir, None, **options) as projection:  # type: ignore[arg-type]
        pass
    assert projection.error is None, projection.problem()
    return projection
