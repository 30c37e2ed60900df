"""Do the checks catch broken defences, and let honest trials pass?

    python -m benchmarks.checks --data-root DIR --output runs/checks --seeds 100

Trains the trials of ``HONEST`` for every seed and makes all checks of them; breaks the classifiers of ``BROKEN_ON`` in
all ways of ``benchmarks.broken_defences`` and makes all checks of those. Prints, check by check, the largest value of
an honest trial beside its limit, and for every broken defence the checks that it failed. What is finished is not
computed again. Trials whose names begin with ``cifar`` are of the image folder ``--data-root``.
"""

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.broken_defences import BROKEN
from study.record.environment import git_revision
from study.record.trial_folder import RESULT_NAME, save_result
from trainables.data.datasets import load_data
from trainables.evaluation.check_table import CHECKS, LIMITS, PREFIX, check_metrics, failed_checks
from trainables.evaluation.robust_accuracy import correct_under_attack, percent_correct
from trainables.evaluation.validity import checks_of_attack
from trainables.presets import LAPTOP
from trainables.robust_ssl import ROBUST_SSL
from trainables.run_trial import load_classifier, save_classifier
from trainables.trial import FinalReport, run_trial
from trainables.trial_config import TrialConfig

Changes = dict[str, Any]
SIMCLR: Changes = {"method": "simclr", "num_views": 2, "augmentation": "simclr", "epochs": 6}
SUPERVISED: Changes = {"method": "supervised", "num_views": 1, "probe": "own_head"}
VIEWS: Changes = {"probe": "n_views", "probe_views": 4, "probe_epochs": 20}
REDRAWN: Changes = VIEWS | {"probe_view_draw": "redrawn", "eval_eot_samples": 5, "probe_views": 2}
AUTOATTACK: Changes = {"eval_autoattack_samples": 10}
HONEST: dict[str, Changes] = {
    "digits, EMP-SSL, free": AUTOATTACK,
    "digits, EMP-SSL, PGD": {"adversary": "pgd"},
    "digits, EMP-SSL, none, robust probe, 16 pixels": {"adversary": "none", "image_size": 16},
    "digits, EMP-SSL, none, plain probe": {"adversary": "none", "probe": "central"} | AUTOATTACK,
    "digits, EMP-SSL, free, plain probe": {"probe": "central"},
    "digits, EMP-SSL, free, small radii": {"eval_radii_255": (1.0, 2.0, 4.0)},
    "digits, EMP-SSL, free, large radii": {"eval_radii_255": (8.0, 16.0, 32.0)},
    "digits, EMP-SSL, free, backbone": {"probe_layer": "backbone"},
    "digits, EMP-SSL, free, 4 views": VIEWS,
    "digits, EMP-SSL, PGD, 4 views redrawn": REDRAWN | {"adversary": "pgd"},
    "digits, EMP-SSL, none, views attacked": VIEWS | {"adversary": "none", "probe_threat": "per_view"},
    "digits, EMP-SSL, free, PGD on cross-entropy alone": {"eval_losses": ("cross_entropy",)},
    "digits, SimCLR, PGD, 16 pixels": SIMCLR | {"adversary": "pgd", "image_size": 16, "epochs": 3},
    "digits, SimCLR, none": SIMCLR | {"adversary": "none"},
    "digits, supervised, none, long": SUPERVISED | {"adversary": "none", "epochs": 15},
    "digits, supervised, PGD, long": SUPERVISED | {"adversary": "pgd", "epochs": 15},
    "cifar, EMP-SSL, free": AUTOATTACK,
    "cifar, EMP-SSL, none, plain probe": {"adversary": "none", "probe": "central"},
    "cifar, SimCLR, PGD": SIMCLR | {"adversary": "pgd"},
    "cifar, supervised, none, long": SUPERVISED | {"adversary": "none", "epochs": 15},
    "cifar, supervised, free, long": SUPERVISED | {"epochs": 15},
    "cifar, supervised, free, 24 pixels": SUPERVISED | {"epochs": 5, "image_size": 24},
}
MAX_BROKEN_IMAGES = 50
BROKEN_ON = ("digits, EMP-SSL, free", "cifar, supervised, free, long")


def config_of(name: str, seed: int, data_root: Path | None) -> TrialConfig:
    """The config of an honest trial, with all checks."""
    place: Changes = {}
    if name.startswith("cifar"):
        place = {"dataset": "imagefolder", "data_root": str(data_root), "image_size": 16, "train_images": 1500}
    small = {"image_size": 8, "train_images": 600, "eval_samples": 60, "epochs": 2, "eval_checks": "all", "seed": seed}
    return TrialConfig(**(LAPTOP | small | place | HONEST[name]))


def run_honest(config: TrialConfig, folder: Path) -> dict[str, Any]:
    """The metrics of a trial, run unless its folder has them."""
    if (folder / RESULT_NAME).exists():
        result = json.loads((folder / RESULT_NAME).read_text())
        if ROBUST_SSL.recorded(result["config"]).content_hash() != config.content_hash():
            raise ValueError(f"{folder} holds another config; give another --output")
        return dict(result["metrics"])
    folder.mkdir(parents=True, exist_ok=True)
    *_, report = run_trial(config, load_data(config), torch.device("cpu"))
    assert isinstance(report, FinalReport)
    save_classifier(report.classifier, config, folder)
    save_result(folder, ROBUST_SSL.path, config.model_dump(mode="json"), report.metrics, report.flags)
    return report.metrics


def run_broken(config: TrialConfig, folder: Path) -> dict[str, dict[str, Any]]:
    """Defence -> the metrics of its checks, with clean accuracy and accuracy under attack."""
    done = folder / "broken.json"
    if done.exists():
        return dict(json.loads(done.read_text()))
    images, labels = load_data(config).validation.tensors(MAX_BROKEN_IMAGES)
    images, found = images[:], {}
    for name, break_ in BROKEN.items():
        defence = break_(copy.deepcopy(load_classifier(folder, config, torch.device("cpu"))))
        flags = correct_under_attack(defence, images, labels, config)
        metrics = check_metrics(checks_of_attack(defence, images, labels, flags, config))
        found[name] = metrics | {key: percent_correct(correct) for key, correct in flags.items()}
        print("  ", name, failed_checks(found[name]), flush=True)
    done.write_text(json.dumps(found))
    return found


def honest_table(results: dict[str, dict[str, Any]]) -> str:
    """Each check with the honest trial that came closest to failing it."""
    lines = ["| check | passes | closest honest value, and its limit | trial | trials |", "|---|---|---|---|---|"]
    for check in CHECKS:
        made = {name: found for name, found in results.items() if PREFIX + check.name in found}
        if not made:
            continue
        sign = -1 if check.rule == "above" else 1

        def excess(name: str) -> float:
            return sign * (made[name][PREFIX + check.name] - made[name][LIMITS][check.name])  # noqa: B023

        name = max(made, key=excess)
        value, limit = made[name][PREFIX + check.name], made[name][LIMITS][check.name]
        rule = "above" if sign < 0 else "up to"
        lines.append(f"| {check.name} | {rule} | {value:.3g}, {limit:.3g} | {name} | {len(made)} |")
    failed = {name: failed_checks(found) for name, found in results.items() if failed_checks(found)}
    return "\n".join([*lines, "", f"{len(failed)} of {len(results)} honest trials failed a check: {failed or ''}"])


def broken_table(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Each broken defence with the checks that it failed, on each classifier."""
    head = [f"{name}: clean, PGD, failed" for name in results]
    lines = [f"| defence | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    caught = 0
    for defence in BROKEN:
        cells = []
        for found in results.values():
            failed = [f"{name} {found[defence][PREFIX + name]:.3g}" for name in failed_checks(found[defence])]
            caught += bool(failed)
            middle = [key for key in found[defence] if key.startswith("pgd_")][1]
            shown = f"{found[defence]['clean']:.0f}, {found[defence][middle]:.0f}"
            cells.append(f"{shown}, {', '.join(failed) or '**none**'}")
        lines.append(f"| {defence} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{caught} of {len(BROKEN) * len(results)} broken defences were caught."])


def main() -> None:
    """Runs what is missing and prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data-root", type=Path, help="image folder; without it, digits alone")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[100])
    parser.add_argument("--only", default="", help="trials whose name contains this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = [name for name in HONEST if options.data_root or not name.startswith("cifar")]
    results, broken = {}, {}
    for seed in options.seeds:
        for name in (name for name in names if options.only in name):
            folder = options.output / f"{name.replace(', ', '_').replace(' ', '-')}_{seed}"
            config = config_of(name, seed, options.data_root)
            results[f"{name}, seed {seed}"] = run_honest(config, folder)
            print(name, seed, results[f"{name}, seed {seed}"]["validity"], flush=True)
            if name in BROKEN_ON:
                broken[f"{name}, seed {seed}"] = run_broken(config, folder)
    print(f"\nrevision {git_revision()}, torch {torch.__version__}\n")
    print(honest_table(results), broken_table(broken), sep="\n\n")


if __name__ == "__main__":
    main()
