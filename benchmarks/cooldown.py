"""Is a trial that goes on from a shared trunk the trial itself, and how does the cooldown compare with the cosine?

    python -m benchmarks.cooldown equal --data-root DIR
    python -m benchmarks.cooldown saved
    python -m benchmarks.cooldown compare --data-root DIR --output runs/cooldown.jsonl
    python -m benchmarks.cooldown compare --output runs/cooldown.jsonl --table

``equal`` trains each recipe fresh, as a branch of a shorter trial's trunk, and as a branch that is killed and resumed,
on digits and on the image folder ``--data-root`` at 16x16, and exits with 1 if any bit differs but for clocked numbers.

``saved`` trains one small recipe at 1, 2, 4 and 8 epochs in several orders and prints which share of the compute was
saved by sharing the trunk; that share does not depend on the size of images and networks.

``compare`` trains every schedule with each of ``SEEDS`` and appends each result to ``--output``; what is there is not
trained again. It prints mean differences of test accuracies in pairs by seed, with Student's t 90% intervals: two
one-sided tests at 5% each find schedules equivalent where the interval lies within ``MARGINS``.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from study.record.environment import git_revision
from trainables.data.datasets import TrialData, load_data
from trainables.presets import LAPTOP
from trainables.pretraining.shared_trunk import FOLDER_NAME
from trainables.trial import FinalReport, run_trial
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")
Changes = dict[str, Any]
Result = dict[str, Any]
RECIPES: dict[str, Changes] = {
    "EMP-SSL, free": {"adversary": "free", "replays": 3, "num_views": 2},
    "EMP-SSL, PGD": {"adversary": "pgd", "pgd_steps": 2, "num_views": 2},
    "SimCLR, PGD": {"adversary": "pgd", "pgd_steps": 2, "num_views": 2, "method": "simclr"},
}
CLOCKED = ("train_seconds", "evaluation_seconds", "images_per_second")
SCHEDULES: dict[str, Changes] = {
    "cosine": {},
    "cooldown 0.3": {"lr_schedule": "cooldown", "cooldown_share": 0.3},
    "cooldown 0.3, rate x 0.7": {"lr_schedule": "cooldown", "cooldown_share": 0.3, "learning_rate": 0.21},
    "cooldown 0.2, rate x 0.7": {"lr_schedule": "cooldown", "cooldown_share": 0.2, "learning_rate": 0.21},
}
PAIRS = (  # what is compared with what
    ("cooldown 0.3", "cosine"),
    ("cooldown 0.3, rate x 0.7", "cosine"),
    ("cooldown 0.2, rate x 0.7", "cosine"),
    ("cooldown 0.3, rate x 0.7", "cooldown 0.3"),
)
SEEDS = range(4, 24)
SIZES: dict[str, Changes] = {
    "digits": {"num_views": 2, "epochs": 2, "eval_radii_255": (8.0,)},
    "photographs": {
        "num_views": 4, "epochs": 2, "train_images": 2000, "eval_samples": 500, "eval_radii_255": (4.0,),
        "eval_losses": ("cross_entropy",), "eval_pgd_steps": 10,
    },
}  # fmt: skip
MARGINS = {"clean": 1.0, "robust": 2.0}  # points


def data_config(data: str, data_root: Path | None, **changes: Any) -> TrialConfig:
    """The laptop preset on ``data``: ``digits``, or ``photographs`` from the image folder ``data_root``, at 16x16."""
    place: Changes = {"image_size": 16}
    if data == "photographs":
        place |= {"dataset": "imagefolder", "data_root": str(data_root), "train_images": 1000}
    return TrialConfig(**(LAPTOP | place | changes))


def differences(config: TrialConfig, data: TrialData, folder: Path) -> list[str]:
    """What differs between a fresh run of ``config`` and its branches from the trunk of half its epochs."""
    fresh = _trained(config, data, None)
    short = config.replace(epochs=config.epochs // 2)
    _trained(short, data, folder / f"{short.pretraining_hash()}.pt")
    trunk = {*(folder / FOLDER_NAME).iterdir()}
    encoder = folder / f"{config.pretraining_hash()}.pt"
    branch = _trained(config, data, encoder)
    for kept_by_branch in {*(folder / FOLDER_NAME).iterdir()} - trunk | {encoder}:
        kept_by_branch.unlink()
    kept: Changes = {"checkpoint_path": folder / "kept" / "checkpoint.pt", "checkpoint_seconds": 0.0}
    killed = run_trial(config, data, CPU, encoder_path=encoder, **kept)
    for _ in range(2):
        next(killed)
    killed.close()  # type: ignore[attr-defined]
    resumed = _trained(config, data, encoder, **kept)
    found = [f"branch: {name}" for name in _unequal(branch, fresh)]
    found += [f"killed and resumed: {name}" for name in _unequal(resumed, fresh)]
    reused = [trial[0].metrics.get("reused_view_passes", 0) for trial in (branch, resumed)]
    return found + (["nothing was reused"] if min(reused) == 0 else [])


def _trained(
    config: TrialConfig, data: TrialData, encoder_path: Path | None, **kept: Any
) -> tuple[FinalReport, list[dict[str, float]]]:
    curve: list[dict[str, float]] = []
    *_, last = run_trial(config, data, CPU, encoder_path=encoder_path, on_measured=curve.append, **kept)
    assert isinstance(last, FinalReport)
    return last, curve


def _unequal(one: tuple[FinalReport, Any], other: tuple[FinalReport, Any]) -> Iterator[str]:
    weights, others = one[0].classifier.state_dict(), other[0].classifier.state_dict()
    yield from (name for name in others if not torch.equal(weights[name], others[name]))
    measured, expected = _unclocked(one[0].metrics), _unclocked(other[0].metrics)
    yield from (name for name in expected.keys() | measured.keys() if measured.get(name) != expected.get(name))
    yield from (name for name, right in other[0].flags.items() if not np.array_equal(right, one[0].flags[name]))
    if [_unclocked(row) for row in one[1]] != [_unclocked(row) for row in other[1]]:
        yield "curve"


def _unclocked(metrics: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in metrics.items() if k not in CLOCKED and not k.startswith("reused_")}


def saved(order: list[int], share: float) -> float:
    """The share of the compute of trials of these lengths, run one after the other, that sharing has saved."""
    tiny: Changes = {"image_size": 8, "train_images": 100, "num_views": 2, "batch_size": 10, "probe": "central"}
    tiny |= {"probe_epochs": 1, "eval_samples": 10, "eval_pgd_steps": 1, "eval_losses": ("cross_entropy",)}
    config = TrialConfig(**(LAPTOP | tiny), lr_schedule="cooldown", cooldown_share=share)
    data = load_data(config)
    alone, reused = 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for epochs in order:
            trial = config.replace(epochs=epochs)
            report, _ = _trained(trial, data, Path(folder) / f"{trial.pretraining_hash()}.pt")
            alone += report.metrics["train_pflop"]
            reused += report.metrics.get("reused_train_pflop", 0.0)
    return reused / alone


def compare(data_root: Path | None, output: Path, which: list[str]) -> None:
    """Trains what ``output`` does not hold yet, seed after seed."""
    done = {(r["data"], r["schedule"], r["seed"]) for r in _read(output)}
    loaded = {data: load_data(data_config(data, data_root, **SIZES[data])) for data in which}
    for seed, data in itertools.product(SEEDS, which):
        with tempfile.TemporaryDirectory() as trunks:
            for name in SCHEDULES:
                if (data, name, seed) not in done:
                    config = data_config(data, data_root, **SIZES[data], **SCHEDULES[name], seed=seed)
                    encoder = Path(trunks) / f"{config.pretraining_hash()}.pt"
                    report, _ = _trained(config, loaded[data], encoder)
                    _append(output, {"data": data, "schedule": name, "seed": seed}, config, report)


def _append(output: Path, result: Result, config: TrialConfig, report: FinalReport) -> None:
    result |= {"revision": git_revision(), "hash": config.content_hash()}
    names = [f"{split}_{metric}" for split in ("val", "test") for metric in _columns(result["data"]).values()]
    result |= {name: report.metrics[name] for name in [*names, "train_pflop"]}
    with output.open("a") as file:
        file.write(json.dumps(result) + "\n")


def _columns(data: str) -> dict[str, str]:
    return {"clean": "clean", "robust": f"pgd_{SIZES[data]['eval_radii_255'][0]:g}"}


def _read(output: Path) -> list[Result]:
    return [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []


def values(results: list[Result], data: str, schedule: str, metric: str) -> np.ndarray:
    """Test accuracy ``metric``, in percent, by seed; NaN where there is none."""
    column = f"test_{_columns(data)[metric]}"
    found = {r["seed"]: r[column] for r in results if (r["data"], r["schedule"]) == (data, schedule)}
    return np.array([found.get(seed, np.nan) for seed in SEEDS])


def interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean and Student's t 90% interval of paired differences, NaN left out.

    Example:
        >>> [round(bound, 3) for bound in interval(np.array([1.0, 2.0, 3.0]))]
        [2.0, 0.314, 3.686]
    """
    kept = differences[~np.isnan(differences)]
    half = stats.t.ppf(0.95, len(kept) - 1) * stats.sem(kept)
    return float(kept.mean()), float(kept.mean() - half), float(kept.mean() + half)


def verdict(low: float, high: float, margin: float) -> str:
    """What two one-sided tests say of an interval: equivalent within the margin, or better, worse, undecided."""
    if -margin < low and high < margin:
        return "equivalent"
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def table(results: list[Result]) -> Iterator[str]:
    """Lines of Markdown: the second of each of ``PAIRS``, the first, and by how much the first is better."""
    yield "| images | schedule | against | accuracy | its mean | mean | difference, 90% interval | seeds | verdict |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for data in dict.fromkeys(r["data"] for r in results):
        for (name, other), (metric, margin) in itertools.product(PAIRS, MARGINS.items()):
            ours, theirs = (values(results, data, schedule, metric) for schedule in (name, other))
            paired = ~np.isnan(ours - theirs)
            if paired.sum() > 1:
                mean, low, high = interval(ours - theirs)
                yield (
                    f"| {data} | {name} | {other} | {metric} | {theirs[paired].mean():.1f} | {ours[paired].mean():.1f} "
                    f"| {mean:+.1f} [{low:+.1f}, {high:+.1f}] | {paired.sum()} | {verdict(low, high, margin)} |"
                )


def main() -> int:
    """Command line: see the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["equal", "saved", "compare"])
    parser.add_argument("--data-root", type=Path, help="an image folder with train and test; none: digits alone")
    parser.add_argument("--output", type=Path, default=Path("runs/cooldown.jsonl"))
    parser.add_argument("--table", action="store_true", help="train nothing, print what there is")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    which = ["digits"] if options.data_root is None else ["digits", "photographs"]
    if options.what == "saved":
        for share in (0.2, 0.3):
            for order in ([1, 2, 4, 8], [8, 4, 2, 1], [4, 8, 1, 2]):
                print(f"epochs {order}, cooldown_share {share}: {saved(order, share):.1%} saved", flush=True)
        return 0
    if options.what == "compare":
        options.output.parent.mkdir(parents=True, exist_ok=True)
        if not options.table:
            compare(options.data_root, options.output, which)
        print("\n".join(table(_read(options.output))))
        return 0
    found = []
    for data in which:
        cooldown = {"lr_schedule": "cooldown", "epochs": 2, "train_images": 200, "eval_samples": 20, "probe": "central"}
        loaded = load_data(data_config(data, options.data_root, **cooldown))
        for recipe, changes in RECIPES.items():
            with tempfile.TemporaryDirectory() as folder:
                config = data_config(data, options.data_root, **(cooldown | changes))
                unequal = differences(config, loaded, Path(folder))
            print(f"{data}, {recipe}: {', '.join(unequal) or 'equal bit for bit'}", flush=True)
            found += unequal
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
