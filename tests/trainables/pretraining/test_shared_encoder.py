"""Finished encoders: found by trials of equal pretraining, trained once, never half there."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.data.datasets import TrialData, load_data
from trainables.evaluation import evaluate
from trainables.hardware import hardware_name
from trainables.pretraining.shared_encoder import SharedEncoder, encoder_name
from trainables.trial import FinalReport, InterimReport, Progress, run_trial
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")


@pytest.fixture
def config(tiny: Callable[..., TrialConfig]) -> TrialConfig:
    return tiny(train_images=40, adversary="free", eval_pgd_steps=5, eval_samples=30, rung_images=20)


@pytest.fixture
def data(config: TrialConfig) -> TrialData:
    return load_data(config)


def finish(config: TrialConfig, data: TrialData, path: Path | None, **options: Any) -> tuple[FinalReport, list[Any]]:
    reports = list(run_trial(config, data, CPU, encoder_path=path, **options))
    assert isinstance(reports[-1], FinalReport)
    return reports[-1], reports


def untimed(report: FinalReport, *but: str) -> dict[str, Any]:
    """What a trial measured, whoever trained its encoder."""
    but = ("train_seconds", "evaluation_seconds", *but)
    return {k: v for k, v in report.metrics.items() if k not in but and not k.startswith("reused_")}


def test_a_found_encoder_gives_the_numbers_of_one_that_was_trained(
    config: TrialConfig, data: TrialData, tmp_path: Path
) -> None:
    alone, _ = finish(config, data, None)
    first, _ = finish(config, data, tmp_path / "e.pt")
    second, reports = finish(config, data, tmp_path / "e.pt", milestones=(50, 100))
    assert untimed(first) == untimed(alone)
    assert untimed(second, "is_encoder_shared") == untimed(alone, "is_encoder_shared")
    assert not first.metrics["is_encoder_shared"] and second.metrics["is_encoder_shared"]
    assert "reused_train_pflop" not in first.metrics
    for cost in ("view_passes", "train_pflop", "train_seconds"):
        assert second.metrics[f"reused_{cost}"] == second.metrics[cost] == first.metrics[cost]
    assert not any(isinstance(report, InterimReport | Progress) for report in reports), "nothing was trained"
    passes = second.metrics["view_passes"]
    _, reports = finish(config, data, tmp_path / "e.pt", milestones=(passes - 1,))
    assert not any(isinstance(report, InterimReport) for report in reports), "also not in the last batch"
    other_probe, _ = finish(config.replace(probe="central", eval_pgd_steps=3), data, tmp_path / "e.pt")
    assert other_probe.metrics["is_encoder_shared"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.pt"]


def test_a_found_encoder_says_where_its_seconds_were_clocked(
    config: TrialConfig, data: TrialData, tmp_path: Path
) -> None:
    first, _ = finish(config, data, tmp_path / "e.pt")
    assert first.metrics["hardware"] == hardware_name(CPU)
    state = torch.load(tmp_path / "e.pt")
    torch.save(state | {"hardware": ["a GPU elsewhere"]}, tmp_path / "e.pt")
    second, _ = finish(config, data, tmp_path / "e.pt")
    assert second.metrics["is_encoder_shared"] and second.metrics["hardware"] == "a GPU elsewhere"


def test_a_fine_tuned_encoder_is_not_the_one_that_is_shared(
    config: TrialConfig, data: TrialData, tmp_path: Path
) -> None:
    tuned = config.replace(probe="full_finetuning", probe_attack_steps=1)
    first, _ = finish(tuned, data, tmp_path / "e.pt", checkpoint_path=tmp_path / "c.pt")
    second, _ = finish(tuned, data, tmp_path / "e.pt")
    assert untimed(second, "is_encoder_shared") == untimed(first, "is_encoder_shared")
    alone, _ = finish(config, data, None)
    reused = second.metrics["reused_train_pflop"]
    assert (
        second.metrics["is_encoder_shared"] and reused == alone.metrics["train_pflop"] < second.metrics["train_pflop"]
    )
    from_checkpoint = finish(config, data, None, checkpoint_path=tmp_path / "c.pt")
    for linear, _ in (finish(config, data, tmp_path / "e.pt"), from_checkpoint):
        weights = linear.classifier.state_dict()
        assert all(torch.equal(value, weights[name]) for name, value in alone.classifier.state_dict().items())


def test_names_are_equal_exactly_where_the_encoder_would_be(config: TrialConfig) -> None:
    name = encoder_name(config, "images", "cpu")
    assert encoder_name(config.replace(probe="central", eval_pgd_steps=7), "images", "cpu") == name
    others = [
        encoder_name(config.replace(seed=1), "images", "cpu"),
        encoder_name(config.replace(epochs=5), "images", "cpu"),
        encoder_name(config, "other images", "cpu"),
        encoder_name(config, "images", "cuda"),
    ]
    assert len({name, *others}) == 5


def test_a_stopped_trial_leaves_no_encoder_and_gives_way(config: TrialConfig, data: TrialData, tmp_path: Path) -> None:
    stopped = run_trial(config, data, CPU, encoder_path=tmp_path / "e.pt")
    next(stopped)
    waiting = run_trial(config, data, CPU, encoder_path=tmp_path / "e.pt")
    assert next(waiting) == Progress(0, 0.0), "somebody else trains"
    stopped.close()
    report = list(waiting)[-1]
    assert isinstance(report, FinalReport) and not report.metrics["is_encoder_shared"]
    assert [path.name for path in tmp_path.iterdir()] == ["e.pt"]


def test_who_waits_takes_what_was_finished(config: TrialConfig, data: TrialData, tmp_path: Path) -> None:
    first = run_trial(config, data, CPU, encoder_path=tmp_path / "e.pt")
    next(first)
    second = run_trial(config, data, CPU, encoder_path=tmp_path / "e.pt")
    next(second)
    list(first)
    report = list(second)[-1]
    assert isinstance(report, FinalReport) and report.metrics["is_encoder_shared"]


def test_the_right_to_train_ends_with_the_process(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from trainables.pretraining.shared_encoder import SharedEncoder
        mine = SharedEncoder(Path(sys.argv[1]))
        mine.take_over()
        print("mine", flush=True)
        time.sleep(600)
        """
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "e.pt")], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "mine\n"
        with SharedEncoder(tmp_path / "e.pt") as mine:
            assert not mine.take_over()
            holder.kill()
            holder.wait()
            assert mine.take_over() and mine.take_over()
    finally:
        holder.kill()


def test_an_own_checkpoint_comes_before_an_encoder_of_others(
    config: TrialConfig, data: TrialData, tmp_path: Path
) -> None:
    trial = run_trial(config, data, CPU, checkpoint_path=tmp_path / "c.pt", checkpoint_seconds=0)
    next(trial), next(trial)
    trial.close()
    found, _ = finish(config, data, tmp_path / "e.pt", checkpoint_path=tmp_path / "c.pt")
    alone, _ = finish(config, data, None)
    assert untimed(found) == untimed(alone)
    assert (tmp_path / "e.pt").exists()


def test_a_trial_that_found_an_encoder_still_says_so_where_it_goes_on_after_an_interruption(
    config: TrialConfig, data: TrialData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = finish(config, data, tmp_path / "e.pt")
    kept = {"checkpoint_path": tmp_path / "c.pt"}
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(
            evaluate, "correct_under_attack", lambda *given, **named: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        finish(config, data, tmp_path / "e.pt", **kept)
    resumed, _ = finish(config, data, tmp_path / "e.pt", **kept)
    assert resumed.metrics["is_encoder_shared"]
    assert untimed(resumed, "is_encoder_shared") == untimed(first, "is_encoder_shared")


@pytest.mark.parametrize("kind", ["empty", "half", "zeros in the weights"])
def test_a_damaged_encoder_is_trained_anew_and_replaced(
    config: TrialConfig, data: TrialData, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "e.pt"
    first, _ = finish(config, data, path)
    whole = path.read_bytes()
    weights = torch.load(path)["encoder"]["hidden.0.weight"].numpy().tobytes()
    damaged = {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "zeros in the weights": whole.replace(weights, bytes(len(weights))),
    }
    assert damaged[kind] != whole
    path.write_bytes(damaged[kind])
    again, _ = finish(config, data, path)
    assert untimed(again) == untimed(first), "is_encoder_shared among them"
    third, _ = finish(config, data, path)
    assert third.metrics["is_encoder_shared"]
    assert untimed(third, "is_encoder_shared") == untimed(first, "is_encoder_shared")
    assert [file.name for file in tmp_path.iterdir()] == ["e.pt"]


def test_nothing_is_shared_without_a_path() -> None:
    with SharedEncoder(None) as nothing:
        assert nothing.load() is None and nothing.take_over()
        nothing.save({})
