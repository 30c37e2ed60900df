"""Makes a table of learning curves of a study of recipes by epochs.

    python -m study.run --space search_spaces/tables/recipes_by_epochs.py --concurrency 1
    python -m benchmarks.record_curves --study runs/recipes_by_epochs --table benchmarks/data/digits_curves.csv.gz

The first command takes about an hour on one idle core, can be interrupted, and goes on when it is given again. The
second writes what there is so far: all recipes of which every length is complete. A line of the table is a report:
after an epoch, or, the last of a trial, its result. Compute is counted, evaluations included; the processor's seconds
are there, too.
"""

import argparse
import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from search_spaces.tables.recipes_by_epochs import ADVERSARIES, BOUNDS, EPOCHS, recipes
from study.files import replacing
from study.record.curves import read_curve
from study.record.journal import StudyRecord, TrialRecord, read_study
from study.record.trial_folder import trial_folder
from trainables.every_epoch import EVERY_EPOCH
from trainables.pretraining.cost import PassCost, count_feature_cost
from trainables.pretraining.encoders import build_encoder
from trainables.pretraining.pretrain import cooldown_start
from trainables.trial_config import TrialConfig

KNOWN: dict[str, Any] = {"direction": "minimize", "kind": "cost", "is_known": True}
SECONDS: dict[str, Any] = {"direction": "minimize", "kind": "cost", "unit": "s", "is_clocked": True}
METRICS: dict[str, dict[str, Any]] = {
    "val_clean": {"unit": "%", "split": "val", "twin": "test_clean"},
    "val_pgd_16": {"unit": "%", "split": "val", "twin": "test_pgd_16", "is_headline": True},
    "test_clean": {"unit": "%", "split": "test", "twin": "val_clean", "is_interim": False},
    "test_pgd_16": {"unit": "%", "split": "test", "twin": "val_pgd_16", "is_interim": False},
    "view_passes": KNOWN | {"label": "view passes of the training"},
    "train_pflop": KNOWN | {"label": "training compute", "unit": "PFLOP"},
    "trunk_view_passes": KNOWN | {"label": "view passes up to the cooldown", "is_interim": False},
    "trunk_train_pflop": KNOWN | {"label": "training compute up to the cooldown", "is_interim": False},
    "evaluation_pflop": KNOWN | {"label": "compute of this one evaluation, at most", "is_known": False},
    "train_seconds": SECONDS | {"label": "training time, on cores that were shared"},
    "train_cpu_seconds": SECONDS | {"label": "processor time of the training so far"},
    "evaluation_cpu_seconds": SECONDS | {"label": "processor time of this one evaluation"},
}
HYPERPARAMETERS = ("num_views", "training", *BOUNDS, "epochs")
DIGITS = 6  # kept of what is measured


def record_table(study_dir: Path, path: Path) -> int:
    """Writes a table (``trainables.recorded_table``), and returns the number of its trials.

    Raises:
        ValueError: if no recipe is complete.
    """
    study = read_study(study_dir)
    by_recipe: dict[str, list[TrialRecord]] = {name: [] for name in recipes()}
    for trial in study.trials.values():
        if trial.state == "complete":
            by_recipe[trial.params["recipe"]].append(trial)
    trials = [trial for group in by_recipe.values() if len(group) == len(EPOCHS) for trial in group]
    if not trials:
        raise ValueError(f"no recipe of {study_dir} is complete")
    first = EVERY_EPOCH.recorded(trials[0].config)
    images = trials[0].metrics["view_passes"] // (first.epochs * first.view_passes_per_image())
    text = io.StringIO()
    text.write(f"# {json.dumps(_head(study, images))}\n")
    writer = csv.DictWriter(text, [*HYPERPARAMETERS, *METRICS], lineterminator="\n")
    writer.writeheader()
    for trial in trials:
        writer.writerows(_lines(trial, study_dir, images))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))  # equal tables are equal files
    return len(trials)


def _head(study: StudyRecord, images: int) -> dict[str, Any]:
    return {
        "command": "python -m study.run --space search_spaces/tables/recipes_by_epochs.py --concurrency 1",
        "environment": study.environments[0],
        "base": {name: value for name, value in study.spec["base"].items() if name != "data_root"},
        "metrics": METRICS,
        "progress": "view_passes",
        "scale": images,
        "scattered": list(BOUNDS),
        "trunk_of": "epochs",
    }


def _lines(trial: TrialRecord, study_dir: Path, images: int) -> Iterator[dict[str, Any]]:
    config = EVERY_EPOCH.recorded(trial.config)
    params = {name: getattr(config, name) for name in HYPERPARAMETERS if name != "training"}
    params["training"] = next(
        name for name, fields in ADVERSARIES.items() if all(getattr(config, f) == value for f, value in fields.items())
    )
    if config.adversary == "none":
        params["attack_radius_255"] = None
    curve = read_curve(trial_folder(study_dir, trial.uid))
    looks = (
        [] if curve is None or "epochs_done" not in curve else curve[curve["epochs_done"].notna()].to_dict("records")
    )
    if len(looks) != config.epochs - 1:
        raise ValueError(f"{trial.uid} has {len(looks)} evaluations before its end, not {config.epochs - 1}")
    for look in looks:
        cost = evaluation_pflop(config, min(config.rung_images, images), config.rung_probe_epochs, int(look["val_n"]))
        yield params | _measured(look, evaluation_pflop=cost)
    num_evaluated = trial.metrics["val_n"] + trial.metrics["test_n"]
    cost = evaluation_pflop(config, images, config.probe_recipe().epochs, num_evaluated)
    batches = images // config.batch_size * config.epochs
    trunk = cooldown_start(batches, config) / batches
    costs = {f"trunk_{name}": trunk * trial.metrics[name] for name in ("view_passes", "train_pflop")}
    yield params | _measured(trial.metrics, evaluation_pflop=cost, **costs)


def _measured(found: dict[str, Any], **further: float) -> dict[str, Any]:
    known = {name: value for name, value in (found | further).items() if name in METRICS}
    return {
        name: int(value) if float(value).is_integer() else float(f"{value:.{DIGITS}g}") for name, value in known.items()
    }


def evaluation_pflop(config: TrialConfig, num_train: int, num_epochs: int, num_evaluated: int) -> float:
    """PFLOP (1e15 operations) of training a robust probe on frozen features and of attacking it.

    Every image counts as attacked to the last step on every loss, though attacks leave broken ones alone: an upper
    bound. A forward pass counts as half an attack step; the head is not counted.

    Args:
        config: with probe ``robust_central``.
        num_train: images that the probe is trained on.
        num_epochs: of the probe.
        num_evaluated: images that are attacked, at one radius.

    Raises:
        ValueError: for another probe.
    """
    if config.probe != "robust_central":
        raise ValueError(f"only the evaluation by probe robust_central is counted: probe={config.probe}")
    cost: PassCost = count_feature_cost(build_encoder(config, 0, 10), config, config.probe_layer)
    training = num_train * num_epochs * (config.probe_attack_steps + 0.5)
    attacks = num_evaluated * (1 + len(config.eval_losses) * config.eval_pgd_steps * config.eval_restarts)
    return (training + attacks) * cost.attack / 1e15


def main() -> None:
    """Writes the table and says how much is in it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.record_curves",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--study", type=Path, required=True, help="folder of the study")
    parser.add_argument("--table", type=Path, required=True, help="file to write, .csv.gz")
    options = parser.parse_args()
    num = record_table(options.study, options.table)
    size = options.table.stat().st_size
    print(f"{options.table}: {num} trials of {num // len(EPOCHS)} recipes, {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
