"""The attack page of a trial that was really trained: its numbers are the recorded ones, and it is logged."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from reports.attack.__main__ import main
from reports.attack.attack_curve import CurvePoint, attack_flags, curve_points
from reports.attack.attack_page import disagreements
from reports.attack.check_sections import check_sections
from reports.attack.chosen_trial import choose_trial
from reports.build import build_report
from reports.compare.compared_trials import read_trial
from study.record.journal import Journal, read_study
from study.record.trials import tabulate
from study.tracking.projection import MlflowProjection
from study.tracking.runs import read_runs
from study.tracking.stores import tracking_uri
from trainables.data.datasets import load_data
from trainables.run_trial import load_classifier
from trainables.run_trial import main as run_trial
from trainables.trial_config import TrialConfig

SETTINGS = (
    "image_size=8", "train_images=600", "num_views=4", "projector_hidden_dim=32", "projector_dim=16", "batch_size=20",
    "epochs=3", "probe=central", "probe_epochs=20", "eval_samples=60", "eval_pgd_steps=7", "eval_radii_255=[4, 8]",
    "eval_restarts=2", "adversary=none", "seed=3",
)  # fmt: skip
REPOSITORY = Path(__file__).parents[3]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trial that was run alone; to be read only."""
    folder = tmp_path_factory.mktemp("trial") / "<lone>"
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    assert run_trial([*words, "--device", "cpu", "--output", str(folder)]) == 0
    return folder


def result_of(folder: Path) -> tuple[TrialConfig, dict[str, Any]]:
    result = json.loads((folder / "result.json").read_text())
    return TrialConfig(**result["config"]), result["metrics"]


@pytest.fixture
def copied(lone: Path, tmp_path: Path) -> Path:
    """The trial alone, to be changed."""
    return Path(shutil.copytree(lone, tmp_path / "<lone>"))


@pytest.fixture
def journal(lone: Path, tmp_path: Path) -> Journal:
    """A study with that trial as t0000, and t0001, which was stopped; closed."""
    config, metrics = result_of(lone)
    plain, study_dir = config.model_dump(mode="json"), tmp_path / "runs" / "s"
    journal = Journal(study_dir)
    spec = {"name": "s", "question": "Why?", "preset": "laptop", "design": {"kind": "Grid"}, "base": plain,
            "objectives": [{"name": "val_clean", "direction": "maximize"}], "stopping": {"kind": "NoStopping"},
            "data_checksum": load_data(config).checksum}  # fmt: skip
    journal.write("created", study="s", spec=spec, environment={"python": "3"})
    for number, (uid, state) in enumerate((("t0000", "complete"), ("t0001", "stopped"))):
        journal.write("proposed", uid=uid, number=number, params={"epochs": number + 2}, config=plain)
        journal.write("launched", uid=uid, attempt=1)
        journal.write(
            "finished", uid=uid, state=state, reason="", metrics=metrics if state == "complete" else {}
        )  # fmt: skip
    shutil.copytree(lone, study_dir / "trials" / "t0000")
    journal.close()
    return journal


def test_the_curve_goes_through_the_recorded_accuracies(lone: Path) -> None:
    """With equal images, steps and seed, to the image; the trial is good enough for that to mean something."""
    config, metrics = result_of(lone)
    assert metrics["test_clean"] > metrics["test_pgd_4"] > metrics["test_pgd_8"] and metrics["test_clean"] > 30
    flags = attack_flags(load_classifier(lone, config, CPU), load_data(config).test, config, lambda line: None)
    with np.load(lone / "flags.npz") as recorded:
        assert np.array_equal(flags[0], recorded["test_clean"])
        assert np.array_equal(flags[4], recorded["test_pgd_4"]) and np.array_equal(flags[8], recorded["test_pgd_8"])
    by_radius = {point.radius_255: point for point in curve_points(flags, read_trial(lone))}
    assert list(by_radius) == list(range(17))
    for radius, name in ((0, "test_clean"), (4, "test_pgd_4"), (8, "test_pgd_8")):
        assert by_radius[radius].accuracy == by_radius[radius].recorded == metrics[name]
        assert by_radius[radius].num_differing == 0
    assert by_radius[16].recorded is None and by_radius[16].accuracy <= by_radius[8].accuracy
    assert disagreements(list(by_radius.values())) == []


def test_page_of_a_lone_trial(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, metrics = result_of(copied)
    assert main([str(copied)]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert printed.err == "" and lines[-1] == str(copied / "attack.html") and len(lines) == 18
    assert lines[0] == f"clean: {metrics['test_clean']:.1f}% of 60 test images"
    assert lines[8] == f"PGD-7 at 8/255: {metrics['test_pgd_8']:.1f}% of 60 test images"
    page = (copied / "attack.html").read_text(encoding="utf-8")
    body = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "<h1>&lt;lone&gt;: attack</h1>" in body and "<lone>" not in body and "no checksum" in body
    assert "PGD-7: 7 signed gradient steps of 2.55/255" in body and "and 1 random starts" in body
    assert "perturbations × 31 and adversarial versions at 4/255" in body and "a radius of the evaluation (4, 8" in body
    assert body.count("<figure>") == 18 and "Not the recorded numbers" not in body
    loads = [load for load in re.findall(r'(?:src|href)="([^"]*)', body) if not load.startswith("#")]
    assert len(loads) == 1 + 3 * 18 and all(load.startswith("data:") for load in loads)
    assert {path.name for path in copied.parent.iterdir()} == {"<lone>"}


def test_other_weights_are_told(copied: Path) -> None:
    """The note that a page has where it does not agree with the record."""
    saved = torch.load(copied / "classifier.pt", weights_only=True)
    saved["classifier"]["head.weight"] = -saved["classifier"]["head.weight"]
    torch.save(saved, copied / "classifier.pt")
    _, metrics = result_of(copied)
    assert main([str(copied)]) == 0
    page = (copied / "attack.html").read_text(encoding="utf-8")
    recorded = f"{metrics['test_clean']:.2f} recorded"
    assert re.search(rf"Not the recorded numbers, .* or the weights .*: {recorded} and \S+ found at 0/255", page)


def test_disagreements_name_each_number() -> None:
    points = [
        CurvePoint(0, 50, 80.0, (70.0, 90.0), 80.0, 80.0, 0),
        CurvePoint(1, 50, 60.0, (50.0, 70.0), 60.0, None, None),
        CurvePoint(4, 50, 40.0, (30.0, 50.0), 40.0, 42.0, 1),
        CurvePoint(8, 50, 20.0, (10.0, 30.0), 20.0, 20.0, 2),  # equally many, but other images
    ]
    (found,) = disagreements(points)
    assert "another device" in found
    assert found.endswith(": 42.00 recorded and 40.00 found at 4/255; 20.00 recorded and 20.00 found at 8/255.")


def test_page_of_a_trial_of_a_study_is_linked_and_nothing_else_is_made(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    study_dir = journal.path.parent
    assert "attack_t0000.html" not in build_report(study_dir).read_text(encoding="utf-8")
    assert main([str(study_dir), "t0000", "--radius", "8", "--samples", "20"]) == 0
    path = study_dir / "report" / "attack_t0000.html"
    assert capsys.readouterr().out.splitlines()[-2:] == [str(path), "not in MLflow: there is no store"]
    page = path.read_text(encoding="utf-8")
    assert "<h1>s, trial t0000: attack</h1>" in page and "their checksum is the recorded one" in page
    assert "20 test images of digits" in page and "versions at 8/255" in page and "Not the recorded" not in page
    assert '<a href="attack_t0000.html">trial t0000</a>' in build_report(study_dir).read_text(encoding="utf-8")
    assert {path.name for path in study_dir.parent.iterdir()} == {"s"}
    assert {path.name for path in study_dir.iterdir()} == {"journal.jsonl", "trials", "report"}
    assert choose_trial(study_dir / "trials" / "t0000", None).page_path.resolve() == path.resolve()


def test_the_page_is_an_artifact_of_the_trials_run(
    journal: Journal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study_dir = journal.path.parent
    with MlflowProjection(journal.record, study_dir, ("digits", "0" * 64)) as projection:
        pass
    assert projection.error is None
    assert main([str(study_dir), "t0000", "--samples", "20"]) == 0
    path = study_dir / "report" / "attack_t0000.html"
    assert capsys.readouterr().out.splitlines()[-1].startswith("logged to MLflow as report/attack_t0000.html")
    client = MlflowClient(tracking_uri(study_dir.parent))
    run_ids = {run.uid: run.run_id for run in read_runs(study_dir) or []}
    fetched = Path(client.download_artifacts(run_ids["t0000"], "report/attack_t0000.html", str(tmp_path)))
    assert fetched.read_bytes() == path.read_bytes()
    assert client.list_artifacts(run_ids["t0001"]) == []


def test_other_images_than_the_studys_are_refused(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    path = journal.path
    unchained = re.sub(r', "check": "\w+"', "", path.read_text())  # as of an earlier version
    path.write_text(unchained.replace(journal.record.spec["data_checksum"], "f" * 64))
    assert main([str(path.parent), "t0000"]) == 2
    printed = capsys.readouterr()
    assert "the images are not those of the study" in printed.err and "ffffffffffff recorded" in printed.err
    assert not (path.parent / "report").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "is a study: name one of its complete trials: t0000"),
        (("t0001",), "trial t0001 is stopped, not complete; complete are t0000"),
        (("t7",), "has no trial t7; complete are t0000"),
        (("t0000", "--radius", "0"), r"--radius must be within \(0, 255\]: 0"),
        (("t0000", "--samples", "0"), "--samples must be at least 1: 0"),
        (("t0000", "--device", "bogus"), "no device 'bogus' here"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    journal: Journal, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert main([str(journal.path.parent), *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    assert printed.err.startswith("reports.attack: ") and re.search(said, printed.err)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "result.json").unlink(), "has no result.json"),
        (lambda folder: (folder / "classifier.pt").unlink(), "has no classifier.pt"),
        (lambda folder: (folder / "classifier.pt").write_bytes(b"no weights"), "holds no weights of a trial"),
    ],
)
def test_damaged_trials_are_refused(
    copied: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object], said: str
) -> None:
    spoil(copied)
    assert main([str(copied)]) == 2
    assert said in capsys.readouterr().err and not (copied / "attack.html").exists()


def test_a_folder_without_a_study_has_no_trials(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(copied), "t0000"]) == 2
    assert "no study in" in capsys.readouterr().err


def test_help_and_the_refusal_of_a_folder_need_no_torch(tmp_path: Path) -> None:
    run = "import sys; from reports.attack.__main__ import main; assert main(sys.argv[1:]) == 2; print(*sys.modules)"
    command = [sys.executable, "-c", run, str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert done.stderr == f"reports.attack: no folder {tmp_path / 'nowhere'}\n"
    assert not {"torch", "plotly", "pandas", "mlflow"} & set(done.stdout.split())


def test_a_trial_of_another_training_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.py").write_text(
        "from pydantic import BaseModel\nfrom study.trainable import as_trainable\n"
        "class Config(BaseModel, frozen=True):\n    seed: int = 0\n"
        "@as_trainable(config=Config, metrics=[])\ndef other(config, context):\n    yield {}\n"
    )
    path = f"{tmp_path / 'other.py'}:other"
    (tmp_path / "result.json").write_text(json.dumps({"trainable": path, "config": {"seed": 0}, "metrics": {}}))
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith(f"can be attacked, not of {path}\n")


@pytest.mark.slow
def test_all_checks_of_a_trial_are_on_its_page(copied: Path) -> None:
    _, metrics = result_of(copied)
    assert "check_unbounded" in metrics and "check_binarisation" not in metrics  # the cheap ones alone
    assert main([str(copied), "--samples", "5", "--checks"]) == 0
    page = (copied / "attack.html").read_text(encoding="utf-8")
    assert "Can the attack be trusted?" in page
    for name in ("effective_rank", "unbounded", "stronger_attack", "black_box", "binarisation"):
        assert f"{name}: " in page


@pytest.mark.slow
def test_all_checks_of_a_front_are_in_its_report(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    study_dir = journal.path.parent
    assert main([str(study_dir), "--checks"]) == 0
    assert capsys.readouterr().out == "t0000: all checks passed\n", "the other one was stopped"
    (section,) = check_sections(tabulate(read_study(study_dir)), study_dir)
    checks, _ = section.exports
    assert {"unbounded", "stronger_attack", "black_box", "binarisation"} <= set(checks.data["check"])
    (study_dir / "trials" / "t0000" / "checks.json").write_text("{")
    (section,) = check_sections(tabulate(read_study(study_dir)), study_dir)
    assert "binarisation" not in set(section.exports[0].data["check"]), "half a file is none"
