"""The command that runs one trial: its files, its exit codes, its messages."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch

from study.record.curves import read_curve
from study.record.intervals import wilson_95
from study.settings import parse_settings
from trainables import trial as trial_module
from trainables.data.datasets import load_data
from trainables.presets import AUTHORS, LAPTOP
from trainables.run_trial import CLASSIFIER_NAME, load_classifier, main, save_classifier
from trainables.trial import FinalReport, run_trial
from trainables.trial_config import TrialConfig
from trainables.trial_terminal import ProgressLine

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]
TINY = (
    "image_size=8", "train_images=100", "num_views=2", "projector_hidden_dim=16", "projector_dim=8", "batch_size=20",
    "epochs=1", "probe_epochs=1", "eval_samples=50", "eval_pgd_steps=3", "adversary=none",
)  # fmt: skip


def arguments(*settings: str) -> list[str]:
    return [word for setting in (*TINY, *settings) for word in ("--set", setting)]


def test_writes_result_flags_and_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "new" / "folder"
    assert main([*arguments(), "--device", "cpu", "--output", str(output)]) == 0
    printed = capsys.readouterr()
    assert printed.err == "" and "val_pgd_8" in printed.out and str(output) in printed.out
    result = json.loads((output / "result.json").read_text())
    config = TrialConfig(**result["config"])
    assert config.num_views == 2 and config.encoder == LAPTOP["encoder"]
    assert config.content_hash() in printed.out
    with np.load(output / "flags.npz") as flags:
        for name in ("val_clean", "test_clean", "val_pgd_8", "test_pgd_16"):
            assert flags[name].shape == (50,)
            assert result["metrics"][name] == pytest.approx(100 * flags[name].mean())
    curve = read_curve(output)
    assert curve is not None and curve["epoch"].tolist() == [1] and curve["view_passes"].tolist() == [200]
    assert curve["train_loss"].tolist() == [result["metrics"]["train_loss"]]
    value, low, high = result["metrics"]["val_clean"], *wilson_95(result["metrics"]["val_clean"], 50)
    assert f"  {'val_clean':28} {value:.1f} % [{low:.1f}, {high:.1f}]\n" in printed.out
    assert re.search(r"^  training compute +[0-9.]+ [MG]FLOP$", printed.out, re.MULTILINE)
    assert re.search(r"^  training view passes +200$", printed.out, re.MULTILINE)
    stages = (
        "pretraining ",
        "probe ",
        "evaluation on validation images ",
        "evaluation on test images ",
        "checks of the",
    )
    starts = [printed.out.index(f"\n  {stage}") for stage in stages]
    assert starts == sorted(starts)
    saved = torch.load(output / "classifier.pt", weights_only=True)
    assert saved["config"] == config.content_hash()
    assert saved["classifier"]["head.weight"].shape == (10, 16)
    assert (output / "checkpoint.pt").exists()


@pytest.mark.usefixtures("global_rng_untouched")
@pytest.mark.parametrize(
    "settings",
    [
        ("probe=central",),
        ("probe=central", "probe_layer=backbone", "seed=2"),
        ("method=supervised", "probe=own_head", "num_views=1"),
        ("probe=n_views", "probe_views=2"),
        ("probe=full_finetuning", "probe_loss=trades", "probe_attack_steps=1"),
        ("method=supervised", "probe=central", "num_views=1"),
        ("method=supervised", "probe=full_finetuning", "probe_attack_steps=1", "num_views=1"),
    ],
)
def test_the_saved_classifier_is_the_trained_one(tmp_path: Path, settings: tuple[str, ...]) -> None:
    config = TrialConfig(**(LAPTOP | parse_settings([*TINY, *settings], TrialConfig)))
    data = load_data(config)
    *_, final = run_trial(config, data, CPU)
    assert isinstance(final, FinalReport)
    save_classifier(final.classifier, config, tmp_path)
    found = load_classifier(tmp_path, config, CPU)
    pixels = data.test.tensors()[0][:].float() / 255
    assert torch.equal(found(pixels), final.classifier(pixels))
    assert not found.training and not any(parameter.requires_grad for parameter in found.parameters())
    assert found.encoder.training is False and found.head.weight.abs().sum() > 0


def test_weights_of_another_config_or_none_are_refused(tmp_path: Path) -> None:
    config = TrialConfig(**(LAPTOP | parse_settings(TINY, TrialConfig)))
    with pytest.raises(ValueError, match=r"no weights in .*: it has no classifier.pt"):
        load_classifier(tmp_path, config, CPU)
    path = tmp_path / CLASSIFIER_NAME
    torch.save({"config": config.replace(seed=1).content_hash(), "classifier": {}}, path)
    with pytest.raises(ValueError, match="of another config"):
        load_classifier(tmp_path, config, CPU)
    for content in (b"", b"no weights", path.read_bytes()[:-200]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="no weights of a trial, or damaged ones"):
            load_classifier(tmp_path, config, CPU)
    torch.save({"weights": 1}, path)
    with pytest.raises(ValueError, match="no weights of a trial, or damaged ones: KeyError"):
        load_classifier(tmp_path, config, CPU)


@pytest.mark.slow
def test_photographs_at_224_pixels(make_photographs: Callable[[Path, int], Path], tmp_path: Path) -> None:
    """As a user runs it; twelve images of each of two parts are enough for every stage of a trial."""
    root = make_photographs(tmp_path / "photographs", 10)
    settings = (
        "dataset=imagefolder", f"data_root={root}", "image_size=224", "train_images=20", "num_views=2", "batch_size=10",
        "projector_hidden_dim=16", "projector_dim=8", "epochs=1", "probe_epochs=1", "probe=central", "eval_samples=12",
        "eval_pgd_steps=1", "eval_radii_255=[8]", "adversary=none",
    )  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    found = subprocess.run(
        [sys.executable, "-m", "trainables.run_trial", *words, "--device", "cpu", "--output", str(tmp_path / "output")],
        cwd=ROOT,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    lines = ["decoding images: 60 of 60", "decoding images: 20 of 20"]
    assert [line.strip() for line in found.stderr.splitlines() if line.strip()] == lines
    metrics = json.loads((tmp_path / "output" / "result.json").read_text())["metrics"]
    assert metrics["val_n"] == metrics["test_n"] == 12 and metrics["view_passes"] == 40
    shapes = {np.load(path, mmap_mode="r").shape for path in (tmp_path / "cache").rglob("*.npy")}
    assert shapes == {(60, 3, 224, 224), (20, 3, 224, 224)}


def test_progress_is_one_line_of_a_terminal_and_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    now = [0.0]
    monkeypatch.setattr("trainables.trial_terminal.time.monotonic", lambda: now[0])
    terminal = Terminal()
    with ProgressLine(terminal) as line:
        for share in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
            now[0] = share
            line.show("pretraining", share, "x" * 200)
        line.show("probe", 1.0)
    shown = terminal.getvalue().split("\r\x1b[K")[1:]
    assert [text.split(",")[0] for text in shown] == [
        "  pretraining   0%", "  pretraining  20%", "  pretraining  40%", "  probe 100%", ""
    ]  # fmt: skip
    assert "\n" not in terminal.getvalue() and max(map(len, shown)) == shutil.get_terminal_size().columns - 1


def test_ctrl_c_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trial_module, "require_memory", interrupted)
    assert main(arguments()) == 130
    assert capsys.readouterr().err == "interrupted; nothing was kept without --output\n"


def test_runs_without_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments()) == 0
    assert list(tmp_path.iterdir()) == []
    assert "saved" not in capsys.readouterr().out


def test_warns_of_settings_without_effect(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments("replays=7", "temperature=0.5")) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: replays has no effect in this config",
        "warning: temperature has no effect in this config",
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("num_view=4",), ("unknown field 'num_view'", "num_views")),
        (("num_views",), ("FIELD=VALUE", "num_views")),
        (("epochs=0",), ("epochs", "greater than or equal to 1", "0")),
        (("epochs=many",), ("epochs", "integer", "many")),
        (("method=simclr", "num_views=3"), ("num_views must be 2", "num_views=3")),
        (("dataset=imagefolder", "data_root=/no/such/folder"), ("/no/such/folder", "digits")),
        (("train_images=5000", "validation_fraction=0.001"), ("validation split", "1347 images")),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], settings: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert main(arguments(*settings)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ") and all(word in line for word in words), line


def test_batch_that_does_not_fit_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments("batch_size=101")) == 1
    assert "error: batch_size must not exceed the training images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError("out of memory before it began"), "error: out of memory before it began"),
        (MemoryError(), "error: out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory.\nSee documentation"), "error: CUDA out of memory."),
    ],
)
def test_out_of_memory_is_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    monkeypatch.setattr(trial_module, "require_memory", lambda *given: (_ for _ in ()).throw(error))
    assert main(arguments()) == 1
    assert capsys.readouterr().err.splitlines() == [line]


def test_divergence_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments("batch_size=100", "learning_rate=1e38", "momentum=0")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: the weights of the probe are not finite"


def test_preset_authors_has_the_colours_of_the_method(capsys: pytest.CaptureFixture[str]) -> None:
    simclr = [*TINY, "method=simclr", "dataset=digits", "encoder=resnet_narrow"]
    settings = [word for setting in simclr for word in ("--set", setting)]
    assert main(["--preset", "authors", *settings]) == 0
    expected = TrialConfig(**AUTHORS | parse_settings(simclr, TrialConfig) | {"augmentation": "simclr"})
    assert expected.content_hash() in capsys.readouterr().out


def test_output_of_another_config_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments(), "--output", str(tmp_path)]) == 0
    assert main([*arguments("seed=1"), "--output", str(tmp_path)]) == 1
    assert "is of another pretraining config" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--device", "--output"])
def test_device_and_output_are_checked_first(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    (tmp_path / "file").write_text("")
    assert main([*arguments(), option, "bogus" if option == "--device" else str(tmp_path / "file")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: no device 'bogus'" if option == "--device" else "error: cannot make the folder")


def test_unknown_option_is_refused() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--num-views", "4"])
    assert caught.value.code == 2
