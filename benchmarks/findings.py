"""The paper's qualitative findings, measured again: a few configurations, each over the same seeds, compared in pairs.

    python -m benchmarks.findings --data-root DIR --output runs/findings

Every row of ``ROWS`` is pretrained once per seed and evaluated under each of its probes, two trials at a time with one
thread each. An existing result is not computed again, so the command may be repeated after an interruption. The table
gives mean and standard deviation over seeds; differences are paired by seed, with a 95% t interval.
"""

import argparse
import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import torch
from scipy import stats

from study.record.environment import git_revision
from study.record.trial_folder import save_result
from trainables.data.datasets import load_data
from trainables.presets import LAPTOP
from trainables.robust_ssl import ROBUST_SSL
from trainables.run_trial import save_classifier
from trainables.trial import FinalReport, run_trial
from trainables.trial_config import TrialConfig

PATCH = {"view_scale_min": 0.25, "view_scale_max": 0.25, "view_ratio_min": 1.0, "view_ratio_max": 1.0}


class Row(NamedTuple):
    """One pretraining: its changes to the base, the factor on the base's epochs, and the probes that evaluate it."""

    changes: dict[str, Any]
    probes: tuple[str, ...] = ("robust_central",)
    epochs_factor: int = 1


# Free training makes m = 3 updates on each batch; rows with three times the epochs make as many updates.
# Rows with an attack, the longest, come first, so that the processes end at about the same time.
ROWS = {
    "pgd, 3x epochs": Row({"adversary": "pgd"}, epochs_factor=3),
    "pgd, gradient leak": Row({"adversary": "pgd", "gradient_leak": True}),
    "pgd": Row({"adversary": "pgd"}),
    "free": Row({}, ("robust_central", "central")),
    "free, patches": Row(PATCH),
    "free, horizon in batches": Row({"lr_horizon": "batches"}),
    "standard, 3x epochs": Row({"adversary": "none"}, ("robust_central", "central"), epochs_factor=3),
}
# Finding -> (row and probe, row and probe that it is compared with).
COMPARISONS = {
    "a. free adversarial against standard pretraining, plain probe": (
        ("free", "central"),
        ("standard, 3x epochs", "central"),
    ),
    "a. the same, robust probe": (("free", "robust_central"), ("standard, 3x epochs", "robust_central")),
    "b. robust against plain probe": (("free", "robust_central"), ("free", "central")),
    "c. crops against patches": (("free", "robust_central"), ("free, patches", "robust_central")),
    "d. free, m = 3, against PGD-5, equal updates": (("free", "robust_central"), ("pgd, 3x epochs", "robust_central")),
    "d. free, m = 3, against PGD-5, equal epochs": (("free", "robust_central"), ("pgd", "robust_central")),
    "e. horizon in batches": (("free, horizon in batches", "robust_central"), ("free", "robust_central")),
    "e. gradient leak": (("pgd, gradient leak", "robust_central"), ("pgd", "robust_central")),
}
SHOWN = ("test_clean", "test_pgd_4", "test_pgd_8", "test_pgd_16", "train_pflop", "view_passes")
Key = tuple[str, str]  # row, probe


def run_row(row: str, seed: int, base: dict[str, Any], output: Path) -> None:
    """Pretrains one row for one seed and evaluates it under all its probes, from the checkpoint of the first one."""
    torch.set_num_threads(1)
    probes = ROWS[row].probes
    first = output / _folder(row, probes[0], seed)
    for probe in probes:
        config = row_config(row, probe, seed, base)
        folder = output / _folder(row, probe, seed)
        if (folder / "result.json").exists():
            read_metrics(folder / "result.json", config)
            continue
        checkpoint = folder / "checkpoint.pt"
        if folder != first and not checkpoint.exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(first / "checkpoint.pt", checkpoint)
        for report in run_trial(config, load_data(config), torch.device("cpu"), checkpoint_path=checkpoint):
            if isinstance(report, FinalReport):
                save_classifier(report.classifier, config, folder)
                fields = config.model_dump(mode="json")
                save_result(folder, ROBUST_SSL.path, fields, report.metrics, report.flags)
                print(f"{row}, {probe}, seed {seed}: {_short(report.metrics)}", flush=True)


def row_config(row: str, probe: str, seed: int, base: dict[str, Any]) -> TrialConfig:
    """The trial of one row, under one of its probes."""
    changes, _, epochs_factor = ROWS[row]
    own = {"epochs": base["epochs"] * epochs_factor, "probe": probe, "seed": seed}
    return TrialConfig(**(base | changes | own))


def read_metrics(path: Path, config: TrialConfig) -> dict[str, Any]:
    """The metrics in a ``result.json``; raises ``ValueError`` if they belong to a config other than ``config``."""
    result = json.loads(path.read_text())
    found, asked = ROBUST_SSL.recorded(result["config"]).effective(), config.effective()
    differing = sorted(field for field in found | asked if found.get(field) != asked.get(field))
    if differing:
        raise ValueError(
            f"{path} is of another config, by {', '.join(differing)}; give another --output, or remove its folder"
        )
    return result["metrics"]


def read_results(output: Path, seeds: list[int], base: dict[str, Any]) -> dict[Key, list[dict[str, Any]]]:
    """The metrics of every row and probe that has all of its seeds, in the order of ``seeds``.

    Raises:
        ValueError: if a result belongs to a config other than its row's with ``base``.
    """
    results: dict[Key, list[dict[str, Any]]] = {}
    for row, (_, probes, _) in ROWS.items():
        for probe in probes:
            paths = {seed: output / _folder(row, probe, seed) / "result.json" for seed in seeds}
            if all(path.exists() for path in paths.values()):
                results[row, probe] = [
                    read_metrics(path, row_config(row, probe, seed, base)) for seed, path in paths.items()
                ]
    return results


def paired_difference(first: list[float], second: list[float]) -> tuple[float, float, float]:
    """Mean of ``first - second`` and its 95% t interval; at least two pairs."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    half = stats.t.ppf(0.975, len(differences) - 1) * stdev(differences) / len(differences) ** 0.5
    return mean(differences), mean(differences) - half, mean(differences) + half


def as_markdown(results: dict[Key, list[dict[str, Any]]]) -> str:
    """Two tables: mean ± standard deviation over seeds, and the paired differences of the findings."""
    lines = ["| row | probe | " + " | ".join(SHOWN) + " |", "|---|---|" + "---|" * len(SHOWN)]
    for (row, probe), metrics in results.items():
        cells = [_spread([m[name] for m in metrics]) for name in SHOWN]
        lines.append(f"| {row} | {probe} | " + " | ".join(cells) + " |")
    lines += ["", "| finding | clean | PGD 8/255 | view passes |", "|---|---|---|---|"]
    for finding, (one, other) in COMPARISONS.items():
        if one in results and other in results:
            cells = []
            for name in ("test_clean", "test_pgd_8"):
                values = ([m[name] for m in results[key]] for key in (one, other))
                cells.append("{:+.1f} [{:+.1f}, {:+.1f}]".format(*paired_difference(*values)))
            ratio = results[one][0]["view_passes"] / results[other][0]["view_passes"]
            lines.append(f"| {finding} | {cells[0]} | {cells[1]} | x{ratio:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Runs what is missing and prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.findings", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data-root", required=True, help="image folder with train/<class>/ and test/<class>/")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train-images", type=int, default=5000)
    parser.add_argument("--eval-samples", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    base = LAPTOP | {
        "dataset": "imagefolder",
        "data_root": str(Path(options.data_root).resolve()),
        "image_size": 32,
        "train_images": options.train_images,
        "eval_samples": options.eval_samples,
        "eval_losses": ("cross_entropy",),  # as in the paper
        "epochs": options.epochs,
    }
    load_data(TrialConfig(**base))  # decodes once, before the processes start
    read_results(options.output, options.seeds, base)  # reports results that do not belong there before hours are spent
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(run_row, row, seed, base, options.output) for seed in options.seeds for row in ROWS]
        for job in jobs:
            job.result()
    print(f"\nrevision {git_revision()}, base {base}\n")
    print(as_markdown(read_results(options.output, options.seeds, base)))


def _folder(row: str, probe: str, seed: int) -> str:
    return f"{row.replace(', ', '_').replace(' ', '_')}-{probe}-seed{seed}"


def _spread(values: list[float]) -> str:
    if max(values) == min(values):
        return f"{values[0]:.4g}"
    return f"{mean(values):.1f} ± {stdev(values):.1f}"


def _short(metrics: dict[str, Any]) -> str:
    return ", ".join(f"{name} {metrics[name]:.4g}" for name in SHOWN if name.startswith("test"))


if __name__ == "__main__":
    main()
