"""AutoAttack on a linear classifier of known robustness, and what the wrapper puts back."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from trainables.evaluation import autoattack_adapter
from trainables.evaluation.autoattack_adapter import STANDARD_ATTACKS, correct_under_autoattack
from trainables.trial_config import TrialConfig

RADII_255 = (4.0, 8.0)
CONFIG = TrialConfig(eval_radii_255=RADII_255)


def everything_survived(num_images: int) -> dict[float, np.ndarray]:
    return {radius: np.ones(num_images, dtype=bool) for radius in RADII_255}


def test_flags_equal_the_closed_form(sign_classifier: Callable[..., nn.Module]) -> None:
    classifier = sign_classifier(6)  # fewer than the ten that targeted attacks expect
    labels = torch.tensor([0, 3, 5])
    images = classifier.images(labels, torch.tensor([6.0, 3.0, 2.0]))
    distances = classifier.distances_255(images, labels)
    flags = correct_under_autoattack(classifier, images, labels, everything_survived(3), CONFIG)
    assert list(flags) == ["aa_4", "aa_8"]
    for radius, name in zip(RADII_255, flags, strict=True):
        assert (abs(distances - radius) > 0.2).all()
        assert np.array_equal(flags[name], distances > radius)
    assert [flags["aa_4"].sum(), flags["aa_8"].sum()] == [1, 0]
    assert not np.shares_memory(flags["aa_4"], flags["aa_8"])


@pytest.mark.parametrize("shift", [0.2, float("nan")])
def test_examples_outside_the_ball_are_an_error(
    sign_classifier: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    classifier, labels = sign_classifier(6), torch.tensor([0, 3])
    images = classifier.images(labels, torch.tensor([6.0, 3.0]))
    monkeypatch.setattr(
        "pyautoattack.AutoAttack.run_standard_evaluation", lambda self, pixels, targets, **options: (pixels + shift, 0)
    )
    with pytest.raises(RuntimeError, match=r"AutoAttack's apgd-ce moved an image by (0\.2|nan)"):
        correct_under_autoattack(classifier, images, labels, everything_survived(2), CONFIG)


@pytest.mark.parametrize("attacks", [("apgd-ce",), pytest.param(STANDARD_ATTACKS, marks=pytest.mark.slow)])
def test_l2_flags_equal_the_closed_form(
    sign_classifier: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch, attacks: tuple[str, ...]
) -> None:
    """A margin falls at most by the radius times the l2 norm of the difference of two classes' weights."""
    monkeypatch.setattr(autoattack_adapter, "STANDARD_ATTACKS", attacks)
    classifier = sign_classifier(4)
    labels = torch.tensor([0, 3, 1])
    images = classifier.images(labels, torch.tensor([2.0, 5.0, 9.0]))
    weight = classifier.linear.weight.double()
    with torch.no_grad():
        logits = classifier(images.float() / 255).double()
        gaps = logits.gather(1, labels[:, None]) - logits
        lengths = (weight[labels][:, None] - weight).norm(dim=2)
        distances = (255 * gaps / lengths).masked_fill(lengths == 0, torch.inf).amin(dim=1).numpy()
    config = CONFIG.replace(eval_l2_radii_255=(30.0, 60.0))
    known = {radius: np.ones(3, dtype=bool) for radius in (30.0, 60.0)}
    flags = correct_under_autoattack(classifier, images, labels, known, config, norm="l2")
    assert list(flags) == ["aa_l2_30", "aa_l2_60"]
    for radius, name in ((30, "aa_l2_30"), (60, "aa_l2_60")):
        assert (abs(distances - radius) > 2).all(), distances
        assert np.array_equal(flags[name], distances > radius)
    assert [flags["aa_l2_30"].sum(), flags["aa_l2_60"].sum()] == [2, 1]


def test_global_state_is_put_back(sign_classifier: Callable[..., nn.Module]) -> None:
    def trace(frame: FrameType, event: str, argument: object) -> None:
        return None

    classifier = sign_classifier(10)
    labels = torch.tensor([3])
    images = classifier.images(labels, torch.tensor([2.0]))
    logger, trace_before = logging.getLogger("auto-attack"), sys.gettrace()
    level = logger.level
    rng_before = torch.get_rng_state()
    logger.setLevel(logging.ERROR)
    try:
        sys.settrace(trace)
        flags = correct_under_autoattack(classifier, images, labels, everything_survived(1), CONFIG)
        trace_after, level_after = sys.gettrace(), logger.level
    finally:
        sys.settrace(trace_before)
        logger.setLevel(level)
    assert not flags["aa_4"].any()  # it did run
    assert trace_after is trace and level_after == logging.ERROR
    assert torch.equal(torch.get_rng_state(), rng_before)


def test_what_weaker_attacks_broke_stays_broken(sign_classifier: Callable[..., nn.Module]) -> None:
    classifier = sign_classifier(10)
    labels = torch.tensor([0, 3])
    images = classifier.images(labels, torch.tensor([30.0, 2.0]))
    known = everything_survived(2)
    known[4.0][0] = False  # of the image that AutoAttack cannot break
    flags = correct_under_autoattack(classifier, images, labels, known, CONFIG)
    assert flags["aa_4"].tolist() == [False, False]
    assert flags["aa_8"].tolist() == [False, False]  # although nothing broke it at 8: the ball is larger
    assert known[8.0].all()


@pytest.mark.slow
def test_an_interrupted_run_goes_on_behind_the_attacks_that_are_done(
    sign_classifier: Callable[..., nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = sign_classifier(4)
    labels = torch.tensor([0, 3])
    images = classifier.images(labels, torch.tensor([30.0, 6.0]))
    ran: list[tuple[str, ...]] = []
    original = autoattack_adapter._broken_by

    def interrupted_after_six(attacks: tuple[str, ...], *rest: Any) -> np.ndarray:
        if len(ran) == 6:
            raise KeyboardInterrupt
        ran.append(attacks)
        return original(attacks, *rest)

    def run(progress_path: Path | None) -> dict[str, np.ndarray]:
        return correct_under_autoattack(classifier, images, labels, everything_survived(2), CONFIG, progress_path)

    whole = run(None)
    monkeypatch.setattr(autoattack_adapter, "_broken_by", interrupted_after_six)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "progress.json")
    ran.clear()
    resumed = run(tmp_path / "progress.json")
    assert ran == [("fab-t",), ("square",)]  # of the second radius; all before was done
    assert all(np.array_equal(resumed[name], whole[name]) for name in whole)
    assert whole["aa_8"].tolist() == [True, False]
    ran.clear()
    assert run(tmp_path / "progress.json").keys() == whole.keys() and ran == []
    with torch.no_grad():
        classifier.linear.bias += 1e-3  # another classifier: nothing of the old one counts
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "progress.json")
    assert len(ran) == 6


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b'{"fingerprint": "'])
def test_a_damaged_note_of_progress_counts_as_none(
    sign_classifier: Callable[..., nn.Module], tmp_path: Path, content: bytes
) -> None:
    classifier, labels, path = sign_classifier(10), torch.tensor([3]), tmp_path / "progress.json"
    images = classifier.images(labels, torch.tensor([2.0]))
    path.write_bytes(content)
    flags = correct_under_autoattack(classifier, images, labels, everything_survived(1), CONFIG, path)
    assert not flags["aa_4"].any()
    assert len(json.loads(path.read_text())["done"]) == 8 and list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_random_classifier_is_attacked_anew_and_looked_at_once_at_each_radius(
    coin_classifier: Callable[..., Any],
) -> None:
    config, classifier, images, labels = coin_classifier(160, mean_255=1, swing_255=6, eval_radii_255=(2.0, 4.0, 16.0))
    nothing_survived = {radius: np.zeros(160, dtype=bool) for radius in config.eval_radii_255}
    flags = correct_under_autoattack(classifier, images, labels, nothing_survived, config)
    for name in ("aa_2", "aa_4"):
        assert abs(flags[name].mean() - 0.5) < 0.2, name  # five standard deviations
    assert not np.array_equal(flags["aa_2"], flags["aa_4"])
    assert not flags["aa_16"].any()  # nor is an image spared that is misclassified before it is attacked


@pytest.mark.slow
def test_an_interrupted_run_on_a_random_classifier_goes_on_to_equal_flags(
    coin_classifier: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = autoattack_adapter._broken_by
    left = [2]

    def interrupted_after_one(*given: Any) -> np.ndarray:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return original(*given)

    def run() -> dict[str, np.ndarray]:
        config, classifier, images, labels = coin_classifier(40, mean_255=1, swing_255=6, eval_radii_255=(4.0, 6.0))
        known = {radius: np.ones(40, dtype=bool) for radius in config.eval_radii_255}
        path = tmp_path / "progress.json"
        return correct_under_autoattack(classifier, images, labels, known, config, path)

    monkeypatch.setattr(autoattack_adapter, "_broken_by", interrupted_after_one)
    with pytest.raises(KeyboardInterrupt):
        run()
    resumed = run()
    (tmp_path / "progress.json").unlink()
    whole = run()
    assert all(np.array_equal(resumed[name], whole[name]) for name in whole)
    assert 0 < whole["aa_6"].mean() < 1


def test_training_mode_is_refused(sign_classifier: Callable[..., nn.Module]) -> None:
    classifier = sign_classifier(10).train()
    labels = torch.tensor([3])
    images = classifier.images(labels, torch.tensor([2.0]))
    with pytest.raises(ValueError, match="evaluation mode"):
        correct_under_autoattack(classifier, images, labels, everything_survived(1), CONFIG)
