"""Whole trials on digits: reports, milestones, and going on after an interruption."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.data.datasets import ImageSet, TrialData, load_data
from trainables.evaluation import evaluate
from trainables.evaluation.probe_training import ProbeTraining
from trainables.pretraining.pretrain import TrialDiverged
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial import FinalReport, InterimReport, Metrics, Progress, run_trial
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")
TIMES = {"train_seconds", "evaluation_seconds"}
CONFIG = TrialConfig(
    dataset="digits",
    image_size=8,
    train_images=100,
    num_views=2,
    encoder="resnet_narrow",
    projector_hidden_dim=16,
    projector_dim=8,
    batch_size=20,
    epochs=2,
    replays=2,
    probe_epochs=1,
    probe_learning_rate=1e-2,
    eval_samples=50,
    eval_pgd_steps=3,
    rung_images=40,
    rung_probe_epochs=1,
)
VIEW_PASSES_PER_BATCH = 20 * 2 * 2
VIEW_PASSES = 10 * VIEW_PASSES_PER_BATCH
MILESTONES = (1, 200, 240, 500, 520, VIEW_PASSES, VIEW_PASSES + 1)


@pytest.fixture(scope="module")
def data() -> TrialData:
    return load_data(CONFIG)


Report = Progress | InterimReport | FinalReport


def untimed(report: Report) -> Metrics:
    assert not isinstance(report, Progress)
    return {name: value for name, value in report.metrics.items() if name not in TIMES}


def final(reports: Sequence[Report]) -> FinalReport:
    assert isinstance(reports[-1], FinalReport)
    return reports[-1]


def promised(config: TrialConfig, *, interim: bool = False) -> set[str]:
    """What reports of ``config`` hold of validation and cost, as studies are told."""
    found = [metric for metric in ROBUST_SSL.metrics(config) if metric.split != "test"]
    return {metric.name for metric in found if (metric.is_interim if interim else metric.is_final)}


def interim(reports: Sequence[Report]) -> list[InterimReport]:
    return [report for report in reports if isinstance(report, InterimReport)]


def assert_equal_results(found: FinalReport, expected: FinalReport) -> None:
    assert untimed(found) == untimed(expected)
    assert all(np.array_equal(flags, expected.flags[name]) for name, flags in found.flags.items())
    weights = expected.classifier.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in found.classifier.state_dict().items())


@pytest.fixture(scope="module")
def plain(data: TrialData) -> list[Report]:
    return list(run_trial(CONFIG, data, CPU))


@pytest.fixture(scope="module")
def with_milestones(data: TrialData) -> list[Report]:
    return list(run_trial(CONFIG, data, CPU, milestones=MILESTONES))


def test_progress_after_every_batch(plain: list[Report]) -> None:
    progress = [report for report in plain if isinstance(report, Progress)]
    assert plain[:-1] == progress and len(progress) == 10
    assert [report.view_passes for report in progress] == [VIEW_PASSES_PER_BATCH * (n + 1) for n in range(10)]
    assert [report.share_done for report in progress] == pytest.approx([(n + 1) / 10 for n in range(10)])


def test_final_report_has_what_is_promised(plain: list[Report], data: TrialData) -> None:
    metrics, flags = final(plain).metrics, final(plain).flags
    assert promised(CONFIG) == {
        "val_clean", "val_pgd_4", "val_pgd_8", "val_pgd_16", "view_passes", "train_pflop", "train_seconds"
    }  # fmt: skip
    assert promised(CONFIG) <= set(metrics)
    assert metrics["view_passes"] == VIEW_PASSES and metrics["train_seconds"] > 0
    assert metrics["val_n"] == metrics["test_n"] == 50
    assert metrics["chance_accuracy"] == data.chance_percent
    assert np.isfinite(metrics["train_loss"])
    names = ("clean", "pgd_4", "pgd_8", "pgd_16")
    assert set(flags) == {f"{split}_{name}" for split in ("val", "test") for name in names}
    for name, correct in flags.items():
        assert correct.shape == (50,) and metrics[name] == pytest.approx(100 * correct.mean())
    labels = torch.from_numpy(data.test.labels)
    found = final(plain).classifier(torch.from_numpy(data.test.images) / 255).argmax(dim=1)
    assert np.array_equal((found == labels).numpy(), flags["test_clean"])


def test_every_milestone_is_reported_once_in_order(with_milestones: list[Report]) -> None:
    reached = [milestone for milestone in MILESTONES if milestone < VIEW_PASSES]
    reports = interim(with_milestones)
    assert [report.metrics["milestone"] for report in reports] == reached
    for milestone, report in zip(reached, reports, strict=True):
        assert milestone <= report.metrics["view_passes"] < milestone + VIEW_PASSES_PER_BATCH
    for before, after in itertools.pairwise(with_milestones):
        if isinstance(before, Progress) and isinstance(after, InterimReport):
            assert before.view_passes == after.metrics["view_passes"]


def test_interim_reports_see_no_test_image(data: TrialData, with_milestones: list[Report]) -> None:
    empty = ImageSet(data.test.images[:0], data.test.labels[:0])
    for expected, found in zip(interim(with_milestones), run_interim(replace(data, test=empty)), strict=True):
        assert untimed(found) == untimed(expected)
        assert not any("test" in name for name in found.metrics)


def run_interim(data: TrialData) -> list[InterimReport]:
    reports = []
    for report in run_trial(CONFIG, data, CPU, milestones=MILESTONES):
        if isinstance(report, InterimReport):
            reports.append(report)
        if isinstance(report, Progress) and report.share_done == 1:
            return reports
    raise AssertionError("no end of pretraining")


def test_interim_report_has_what_is_promised(with_milestones: list[Report]) -> None:
    assert promised(CONFIG, interim=True) == {
        "val_clean", "val_pgd_8", "view_passes", "train_pflop", "train_seconds"
    }  # fmt: skip
    for report in interim(with_milestones):
        expected = promised(CONFIG, interim=True) | {"milestone", "val_n", "train_loss"}
        assert set(report.metrics) == expected
        assert report.metrics["val_n"] == 40


def test_costs_grow_with_milestones(with_milestones: list[Report]) -> None:
    costs = [report.metrics for report in (*interim(with_milestones), final(with_milestones))]
    per_view = costs[-1]["train_pflop"] / costs[-1]["view_passes"]
    assert all(cost["train_pflop"] == pytest.approx(per_view * cost["view_passes"]) for cost in costs)


def test_milestones_do_not_change_the_training(plain: list[Report], with_milestones: list[Report]) -> None:
    assert_equal_results(final(with_milestones), final(plain))
    assert len({report.metrics["train_loss"] for report in interim(with_milestones)}) > 1, "since the last report"


@pytest.mark.parametrize("stop_at", [1, 6])
def test_interrupted_trial_goes_on_to_equal_numbers(
    data: TrialData, plain: list[Report], tmp_path: Path, stop_at: int
) -> None:
    path = tmp_path / "deep" / "checkpoint.pt"
    first = run_trial(CONFIG, data, CPU, checkpoint_path=path, checkpoint_seconds=0)
    for _ in range(stop_at):
        next(first)
    first.close()
    assert path.exists() == (stop_at > 1)  # a checkpoint follows the progress of its batch
    rest = list(run_trial(CONFIG, data, CPU, checkpoint_path=path))
    assert rest[:-1] == plain[stop_at - 1 : -1]
    assert_equal_results(final(rest), final(plain))
    assert [found.name for found in path.parent.iterdir()] == ["checkpoint.pt"]  # and no unfinished file


def test_interrupted_after_a_report_it_is_not_reported_again(
    data: TrialData, with_milestones: list[Report], tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pt"
    first = run_trial(CONFIG, data, CPU, milestones=MILESTONES, checkpoint_path=path, checkpoint_seconds=1e9)
    reported = 0
    while reported < 2:
        reported += isinstance(next(first), InterimReport)
    first.close()
    rest = list(run_trial(CONFIG, data, CPU, milestones=MILESTONES[2:], checkpoint_path=path))
    expected = interim(with_milestones)[2:]
    assert [untimed(report) | {"train_loss": 0} for report in interim(rest)] == [
        untimed(report) | {"train_loss": 0} for report in expected
    ]
    assert_equal_results(final(rest), final(with_milestones))


def test_no_milestone_is_reported_twice(data: TrialData, tmp_path: Path) -> None:
    """Neither where it is given twice nor by a trial that is interrupted after its report and started as before."""
    path, given = tmp_path / "checkpoint.pt", (240, 200, 200, 500)
    first = run_trial(CONFIG, data, CPU, milestones=given, checkpoint_path=path, checkpoint_seconds=1e9)
    seen: list[Report] = []
    while len(interim(seen)) < 2 or isinstance(seen[-1], InterimReport):  # it is asked for more than the second report
        seen.append(next(first))
    first.close()  # type: ignore[attr-defined]
    seen += run_trial(CONFIG, data, CPU, milestones=given, checkpoint_path=path)
    assert [report.metrics["milestone"] for report in interim(seen)] == [200, 240, 500]


def test_a_checkpoint_of_an_earlier_version_is_gone_on_with(
    data: TrialData, with_milestones: list[Report], tmp_path: Path
) -> None:
    path = checkpoint_after_two_batches(data, tmp_path)
    saved = torch.load(path)
    for name in ("whole_sum", "whole_count", "hardware"):
        del saved["state"][name]
    del saved["reported"]
    torch.save(saved, path)
    found = final(list(run_trial(CONFIG, data, CPU, checkpoint_path=path)))
    hardware = found.metrics.pop("hardware")
    assert hardware == f"unknown hardware, then {final(with_milestones).metrics['hardware']}"
    assert found.metrics["train_loss"] == final(with_milestones).metrics["train_loss"]


def checkpoint_after_two_batches(data: TrialData, folder: Path) -> Path:
    path = folder / "checkpoint.pt"
    first = run_trial(CONFIG, data, CPU, checkpoint_path=path, checkpoint_seconds=0)
    next(first), next(first)
    first.close()
    return path


def test_checkpoint_of_another_pretraining_is_refused(data: TrialData, tmp_path: Path) -> None:
    path = checkpoint_after_two_batches(data, tmp_path)
    with pytest.raises(ValueError, match=r"checkpoint .*checkpoint\.pt is of another pretraining config"):
        next(run_trial(CONFIG.replace(seed=1), data, CPU, checkpoint_path=path))
    other_probe = run_trial(CONFIG.replace(probe_epochs=2), data, CPU, checkpoint_path=path)
    report: Any = next(other_probe)
    assert report.view_passes == 2 * VIEW_PASSES_PER_BATCH  # another probe may go on from it


def test_checkpoint_of_other_images_is_refused(data: TrialData, tmp_path: Path) -> None:
    path = checkpoint_after_two_batches(data, tmp_path)
    with pytest.raises(ValueError, match=r"checkpoint .*checkpoint\.pt is of other images .*remove it"):
        next(run_trial(CONFIG, replace(data, checksum="of others"), CPU, checkpoint_path=path))


def test_a_damaged_checkpoint_is_refused(data: TrialData, tmp_path: Path) -> None:
    path = checkpoint_after_two_batches(data, tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"the checkpoint .*checkpoint\.pt is damaged.*start the trial again"):
        next(run_trial(CONFIG, data, CPU, checkpoint_path=path))


def test_divergence_ends_the_trial(data: TrialData) -> None:
    with pytest.raises(TrialDiverged, match="training loss is"):
        list(run_trial(CONFIG.replace(learning_rate=1e38, momentum=0.0), data, CPU))


BLOWN_UP = {"adversary": "none", "learning_rate": 1e38, "momentum": 0.0}  # by the first update, whose loss is finite


@pytest.mark.parametrize("method", ["emp_ssl", "supervised"])
def test_an_encoder_that_is_not_finite_is_a_divergence(data: TrialData, method: str) -> None:
    changes = {"method": method} | ({"num_views": 1, "probe": "own_head"} if method == "supervised" else {})
    once = CONFIG.replace(**BLOWN_UP, **changes, epochs=1, batch_size=100)
    with pytest.raises(TrialDiverged, match="are not finite"):
        list(run_trial(once, data, CPU))
    twice = once.replace(batch_size=50)
    with pytest.raises(TrialDiverged, match="are not finite"):  # of NaN, a tenth of the classes would be right
        next(report for report in run_trial(twice, data, CPU, milestones=(1,)) if isinstance(report, InterimReport))


@pytest.mark.parametrize("probe", ["central", "robust_central"])
def test_a_probe_that_is_not_finite_is_a_divergence(data: TrialData, probe: str) -> None:
    config = CONFIG.replace(probe=probe, probe_learning_rate=3e37, probe_batch_size=5, epochs=1)
    with pytest.raises(TrialDiverged, match="the weights of the probe are not finite"):
        list(run_trial(config, data, CPU))


def test_a_class_of_which_a_rung_sees_no_image_is_named(data: TrialData) -> None:
    rows = np.argsort(data.train.labels != 3, kind="stable")  # the images of class 3 first
    sorted_data = replace(data, train=data.train.take(rows))
    config = CONFIG.replace(rung_images=20)
    reports = run_trial(config, sorted_data, CPU, milestones=(1,))
    (found,) = next(r for r in reports if isinstance(r, InterimReport)).metrics["validity"]
    missing = sorted(set(range(10)) - set(data.train.labels[rows][:20].tolist()))
    assert len(missing) > 0 and found.startswith(f"rung_images=20 leaves the probe no image of {missing[0]}")


def test_too_few_images_are_refused(data: TrialData) -> None:
    with pytest.raises(ValueError, match="batch_size=101, images=100"):
        next(run_trial(CONFIG.replace(batch_size=101), data, CPU))
    many = CONFIG.replace(eval_knn_neighbours=101, rung_images=200)
    with pytest.raises(ValueError, match="eval_knn_neighbours=101, images=100"):
        next(run_trial(many, data, CPU))


def test_autoattack_is_reported_on_the_first_test_images(data: TrialData) -> None:
    config = CONFIG.replace(epochs=1, eval_radii_255=(64.0,), eval_pgd_steps=20, eval_autoattack_samples=12)
    report = final(list(run_trial(config, data, CPU)))
    assert report.metrics["test_aa_n"] == 12 and report.flags["test_aa_64"].shape == (12,)
    assert not (report.flags["test_aa_64"] & ~report.flags["test_pgd_64"][:12]).any()
    assert report.metrics["test_aa_64"] == pytest.approx(100 * report.flags["test_aa_64"].mean())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"probe": "n_views", "probe_views": 2},
        {"method": "supervised", "num_views": 1, "probe": "own_head"},
        {"probe": "full_finetuning", "probe_attack_steps": 1},
    ],
    ids=["robust_central", "n_views", "own_head", "full_finetuning"],
)
def test_an_evaluation_goes_on_with_the_head_it_had(
    data: TrialData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    config, path = CONFIG.replace(epochs=1, **changes), tmp_path / "checkpoint.pt"
    whole = final(list(run_trial(config, data, CPU)))

    def interrupted(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(evaluate, "correct_under_attack", interrupted)
        list(run_trial(config, data, CPU, checkpoint_path=path))
    with monkeypatch.context() as patched:
        patched.setattr(ProbeTraining, "_loss", lambda *given: pytest.fail("trained once more"))
        resumed = final(list(run_trial(config, data, CPU, checkpoint_path=path)))
        assert_equal_results(resumed, whole)
        assert not any(parameter.requires_grad for parameter in resumed.classifier.parameters())
    if changes == {}:
        other = config.replace(probe="central", probe_epochs=2)
        trained_anew = final(list(run_trial(other, data, CPU, checkpoint_path=path)))
        assert_equal_results(trained_anew, final(list(run_trial(other, data, CPU))))


@pytest.mark.usefixtures("global_rng_untouched")
def test_global_generators_untouched(data: TrialData) -> None:
    list(run_trial(CONFIG.replace(epochs=1), data, CPU, milestones=(100,)))


def test_loss_is_reported_again_where_an_interim_report_got_lost(tmp_path: Path, data: TrialData) -> None:
    path = tmp_path / "checkpoint.pt"
    trial = run_trial(CONFIG, data, CPU, checkpoint_path=path, milestones=(200,), checkpoint_seconds=1e9)
    lost = next(report for report in trial if isinstance(report, InterimReport))
    trial.close()  # type: ignore[attr-defined]
    again = next(run_trial(CONFIG, data, CPU, checkpoint_path=path, milestones=(200,)))
    assert isinstance(again, InterimReport) and untimed(again) == untimed(lost)


@pytest.mark.parametrize("adversary", ["none", "pgd", "free"])
def test_supervised_training_is_a_trial_like_any_other(data: TrialData, adversary: str) -> None:
    config = CONFIG.replace(method="supervised", num_views=1, probe="own_head", adversary=adversary, epochs=8)
    report = final(list(run_trial(config, data, CPU)))
    assert set(promised(config)) <= set(report.metrics)
    assert report.classifier.head is report.classifier.encoder.head
    assert report.metrics["val_clean"] > 2 * data.chance_percent


FINETUNED = CONFIG.replace(epochs=1, probe="full_finetuning", probe_epochs=2, probe_batch_size=40, probe_attack_steps=1)


@pytest.fixture(scope="module")
def finetuned(data: TrialData) -> list[Report]:
    return list(run_trial(FINETUNED, data, CPU))


def test_full_fine_tuning_is_counted_as_training(data: TrialData, finetuned: list[Report]) -> None:
    metrics = final(finetuned).metrics
    shares = [report.share_done for report in finetuned if isinstance(report, Progress)]
    assert len(shares) == 5 + 2 * 3 and shares == sorted(shares) and shares[-1] == pytest.approx(1)
    linear = final(list(run_trial(FINETUNED.replace(probe="central"), data, CPU))).metrics
    assert linear["train_pflop"] == pytest.approx(shares[4] * metrics["train_pflop"])
    known = ROBUST_SSL.known_metrics(FINETUNED)
    assert metrics["train_pflop"] == pytest.approx(100 * known["train_pflop"])  # 100 images
    assert metrics["view_passes"] == 5 * VIEW_PASSES_PER_BATCH, "of the pretraining alone"


@pytest.mark.parametrize("stop_at", [5, 8])
def test_interrupted_fine_tuning_goes_on_to_equal_numbers(
    data: TrialData, finetuned: list[Report], tmp_path: Path, stop_at: int
) -> None:
    path = tmp_path / "checkpoint.pt"
    first = run_trial(FINETUNED, data, CPU, checkpoint_path=path, checkpoint_seconds=0)
    for _ in range(stop_at + 1):
        next(first)  # a checkpoint follows the progress of its batch
    first.close()
    rest = list(run_trial(FINETUNED, data, CPU, checkpoint_path=path))
    assert rest[:-1] == finetuned[stop_at:-1]
    assert_equal_results(final(rest), final(finetuned))


def test_interim_fine_tuning_changes_no_encoder(data: TrialData, finetuned: list[Report]) -> None:
    reports = list(run_trial(FINETUNED, data, CPU, milestones=(1, 200)))
    assert len(interim(reports)) == 2
    assert_equal_results(final(reports), final(finetuned))


def test_every_probe_reports_the_same_metrics(data: TrialData) -> None:
    names = []
    for changes in (
        {"probe": "central"},
        {"probe": "robust_central"},
        {"probe": "n_views"},
        {"probe": "n_views", "probe_threat": "per_view"},
        {"probe": "n_views", "probe_view_draw": "redrawn", "eval_eot_samples": 2},
    ):
        config = CONFIG.replace(probe_views=2, eval_samples=10, eval_pgd_steps=1, epochs=1, **changes)
        found = set(final(list(run_trial(config, data, CPU))).metrics)
        names.append(found | {"check_other_images"})  # not made where views are redrawn
    assert all(found == names[0] for found in names)


def test_autoattack_on_too_few_classes_is_refused_before_training(data: TrialData) -> None:
    config = CONFIG.replace(eval_autoattack_samples=5)
    with pytest.raises(ValueError, match=r"AutoAttack needs at least 4 classes.*classes=3"):
        next(run_trial(config, replace(data, class_names=("a", "b", "c")), CPU))
