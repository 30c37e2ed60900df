"""A study of odd photographs in a hundred classes, as a user runs it: real Ray, two trials."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_run import CommandRun

from study.record.journal import read_study

SPACE = """
from optuna.distributions import CategoricalDistribution

from study.spec import Factor, NoStopping, Search, StudySpec
from trainables.trial_config import TrialConfig

STUDY = StudySpec(
    name="photographs",
    question="Do photographs of any shape and number pass through a study?",
    base=TrialConfig(
        image_size=64, train_images=100, validation_fraction=0.2, encoder="resnet_narrow", projector_hidden_dim=16,
        projector_dim=8, batch_size=50, epochs=1, num_views=2, adversary="none", probe="central", probe_epochs=1,
        eval_samples=100, eval_pgd_steps=1, eval_radii_255=(8.0,),
    ),
    factors=(Factor(name="learning_rate", distribution=CategoricalDistribution([0.1, 0.3])),),
    design=Search(trials=2, sampler="random"),
    stopping=NoStopping(),
)
"""


@pytest.mark.slow
def test_photographs_of_a_hundred_classes(
    make_photographs: Callable[[Path, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = make_photographs(tmp_path / "photographs", 100)
    (tmp_path / "space.py").write_text(SPACE)
    options = ("--device", "cpu", "--dataset", "imagefolder", "--data-root", str(root))
    run = CommandRun(tmp_path / "space.py", tmp_path / "runs", *options)
    try:
        assert run.wait() == 0, run.log
    finally:
        run.kill()
    record = read_study(tmp_path / "runs" / "photographs")
    assert [trial.state for trial in record.trials.values()] == ["complete", "complete"]
    for trial in record.trials.values():
        assert trial.metrics["val_n"] == trial.metrics["test_n"] == 100
        assert trial.metrics["chance_accuracy"] == 1
    shapes = {np.load(path, mmap_mode="r").shape for path in (tmp_path / "cache").rglob("*.npy")}
    assert shapes == {(600, 3, 64, 64), (200, 3, 64, 64)}
    assert (tmp_path / "runs" / "photographs" / "report" / "index.html").is_file()
