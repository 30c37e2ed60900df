"""Which cheap look at an unfinished encoder predicts its final robust accuracy best, and what does it cost?

    python -m benchmarks.rung_predictors --output runs/rung_predictors.csv

Configurations of the trade-off space (laptop preset, digits) are trained to their end. At the space's first rung, each
predictor looks at the encoder, in turns and timed: the short robust probe that rungs use, under PGD and clean; k-NN;
and k-NN under an attack that needs neither labels nor a probe. The target is the accuracy of the full robust probe on
test images under PGD at 8/255. A row is written after every trial, and existing rows are not computed again.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.tradeoff import ADVERSARIES
from study.files import replacing
from study.record.environment import git_revision
from trainables.data.datasets import TrialData, load_data
from trainables.evaluation.nearest_neighbours import correct_by_neighbours, votes_of_neighbours
from trainables.evaluation.probe import probed_layer, to_pixels
from trainables.evaluation.probe_training import train_probe
from trainables.evaluation.robust_accuracy import correct_under_attack, percent_correct
from trainables.pgd import pgd
from trainables.presets import LAPTOP
from trainables.pretraining.pretrain import Pretraining, TrialDiverged
from trainables.streams import stream
from trainables.trial_config import TrialConfig

RUNG_PASSES = 24  # view passes per training image at the first rung of the space
RADIUS_255 = 8.0
NEIGHBOURS = 20
PREDICTORS = ("probe_pgd", "probe_clean", "knn", "knn_attacked")
TIMED = ("probe", "knn", "knn_attacked")
COLUMNS = ("config", "seed", *PREDICTORS, *(f"{name}_seconds" for name in TIMED), "final")
RESAMPLES = 4000


def configurations(num: int) -> list[TrialConfig]:
    """``num`` configurations of the space, drawn evenly, of those that go on after the first rung."""
    grid = [
        TrialConfig(**(LAPTOP | ADVERSARIES[name] | {"num_views": views, "epochs": epochs, "view_scale_min": scale}))
        for views in (2, 4, 8)
        for epochs in (1, 2, 4)
        for name in ADVERSARIES
        for scale in (0.08, 0.3)
    ]
    longer = [config for config in grid if config.epochs * config.view_passes_per_image() > RUNG_PASSES]
    chosen = np.random.default_rng(0).permutation(len(longer))[:num]
    return [longer[index] for index in chosen]


def run_trial(config: TrialConfig, data: TrialData, turn: int) -> dict[str, float]:
    """The predictions at the rung, their seconds, and the final accuracy; ``turn`` rotates the order of predictors."""
    pretraining = Pretraining(config, data.train.tensors()[0], torch.device("cpu"))
    found: dict[str, float] = {}
    for _ in pretraining.run():
        if not found and pretraining.view_passes >= RUNG_PASSES * len(data.train.labels):
            found = predictions(pretraining, data, config, turn)
    pretraining.mean_loss()  # raises if the training has diverged
    probe = train_probe(
        pretraining.encoder, *data.train.tensors(), data.num_classes, config, num_epochs=config.probe_recipe().epochs
    )
    flags = correct_under_attack(probe, *data.test.tensors(), config, (RADIUS_255,))
    return found | {"final": percent_correct(flags[f"pgd_{RADIUS_255:g}"])}


def predictions(pretraining: Pretraining, data: TrialData, config: TrialConfig, turn: int) -> dict[str, float]:
    """What each predictor says of an unfinished encoder, and how long that took."""
    train, validation = data.train.tensors(config.rung_images), data.validation.tensors(config.rung_images)
    encoder = pretraining.encoder

    def by_probe() -> dict[str, float]:
        probe = train_probe(encoder, *train, data.num_classes, config, num_epochs=config.rung_probe_epochs)
        flags = correct_under_attack(probe, *validation, config, (RADIUS_255,))
        encoder.requires_grad_(True)
        return {
            "probe_pgd": percent_correct(flags[f"pgd_{RADIUS_255:g}"]),
            "probe_clean": percent_correct(flags["clean"]),
        }

    def by_neighbours() -> dict[str, float]:
        return {"knn": percent_correct(correct_by_neighbours(encoder, train, validation, NEIGHBOURS, config))}

    def by_attacked_neighbours() -> dict[str, float]:
        layer = probed_layer(config)
        device = pretraining.device
        encoder.eval()
        with torch.no_grad():
            bank = encoder.features(to_pixels(train[0], device), layer)
        attacked = encoder.features(away_from_itself(pretraining, to_pixels(validation[0], device)), layer).detach()
        votes = votes_of_neighbours(bank, train[1].to(device), attacked, data.num_classes, NEIGHBOURS)
        return {"knn_attacked": percent_correct((votes.argmax(dim=1).cpu() == validation[1]).numpy())}

    looks: list[tuple[str, Callable[[], dict[str, float]]]] = [
        ("probe", by_probe), ("knn", by_neighbours), ("knn_attacked", by_attacked_neighbours)
    ]  # fmt: skip
    found: dict[str, float] = {}
    for offset in range(len(looks)):
        name, look = looks[(turn + offset) % len(looks)]
        started = time.perf_counter()
        found |= look()
        found[f"{name}_seconds"] = time.perf_counter() - started
    return found


def away_from_itself(pretraining: Pretraining, pixels: Tensor) -> Tensor:
    """Images whose features PGD has turned away from those of ``pixels``; the steps are those of the robust probe."""
    config, encoder = pretraining.config, pretraining.encoder
    layer = probed_layer(config)
    with torch.no_grad():
        own = encoder.features(pixels, layer)
    radius = RADIUS_255 / 255
    start = (torch.rand(pixels.shape, generator=stream(config.seed, "away")) * 2 - 1) * radius
    return pgd(
        lambda perturbed: -functional.cosine_similarity(encoder.features(perturbed, layer), own).sum(),
        pixels,
        radius=radius,
        step=config.probe_attack_step_255 / 255,
        num_steps=config.probe_attack_steps,
        start=start.to(pixels.device),
    )


def rank_agreement(predicted: np.ndarray, final: np.ndarray) -> float:
    """Kendall's tau-b over configurations, averaged over seeds; arrays (configurations, seeds)."""
    return float(np.mean([kendall_tau(*pair) for pair in zip(predicted.T, final.T, strict=True)]))


def kendall_tau(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b of two arrays (n,): that of scipy, without its p-value, which a bootstrap would wait for.

    NaN if all values of an array are equal.
    """
    orders = [np.sign(values[:, None] - values) for values in (first, second)]
    with np.errstate(invalid="ignore"):
        return float((orders[0] * orders[1]).sum() / np.sqrt((orders[0] ** 2).sum() * (orders[1] ** 2).sum()))


def intervals(predicted: dict[str, np.ndarray], final: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """Rank agreement of each predictor and its difference from the first one, with 95% percentile intervals.

    The bootstrap resamples configurations with all of their seeds.
    """
    random = np.random.default_rng(0)
    first = next(iter(predicted))

    def measured(rows: np.ndarray) -> dict[str, float]:
        taus = {name: rank_agreement(values[rows], final[rows]) for name, values in predicted.items()}
        return taus | {f"{name} - {first}": tau - taus[first] for name, tau in taus.items() if name != first}

    found = measured(np.arange(len(final)))
    resampled = [measured(random.integers(len(final), size=len(final))) for _ in range(RESAMPLES)]
    ends = {name: np.nanpercentile([one[name] for one in resampled], (2.5, 97.5)) for name in found}
    return {name: (value, float(ends[name][0]), float(ends[name][1])) for name, value in found.items()}


def read_rows(path: Path) -> dict[tuple[str, int], dict[str, float]]:
    """The rows that are there: (configuration, seed) -> numbers."""
    if not path.exists():
        return {}
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {(row["config"], int(row["seed"])): {name: float(row[name]) for name in COLUMNS[2:]} for row in rows}


def write_rows(path: Path, rows: dict[tuple[str, int], dict[str, float]]) -> None:
    """Replaces the file at ``path``, atomically."""
    lines = [[name, str(seed), *(f"{row[column]:.6g}" for column in COLUMNS[2:])] for (name, seed), row in rows.items()]
    with replacing(path) as unfinished:
        unfinished.write_text("".join(",".join(line) + "\n" for line in [COLUMNS, *lines]))


def as_markdown(rows: dict[tuple[str, int], dict[str, float]], seeds: list[int]) -> str:
    """Tables of rank agreement and seconds, over the configurations that have all seeds."""
    names = [name for name in dict.fromkeys(name for name, _ in rows) if all((name, seed) in rows for seed in seeds)]

    def column(column: str) -> np.ndarray:
        return np.array([[rows[name, seed][column] for seed in seeds] for name in names])

    final = column("final")
    lines = [f"{len(names)} configurations, seeds {seeds}; final accuracies {final.min():.1f} to {final.max():.1f}", ""]
    lines += ["| predictor | Kendall's tau-b [95%] |", "|---|---|"]
    for name, (value, low, high) in intervals({name: column(name) for name in PREDICTORS}, final).items():
        lines.append(f"| {name} | {value:+.2f} [{low:+.2f}, {high:+.2f}] |")
    if len(seeds) > 1:
        lines.append(f"| final accuracy of another seed | {kendall_tau(final[:, 0], final[:, 1]):+.2f} |")
    lines += ["", "| predictor | seconds, median | probe takes this many times as long, median |", "|---|---|---|"]
    probe = column("probe_seconds")
    for name in TIMED:
        own = column(f"{name}_seconds")
        lines.append(f"| {name} | {np.median(own):.3f} | {np.median(probe / own):.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Runs the trials that are missing and prints the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rung_predictors", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--output", type=Path, required=True, help="CSV file")
    parser.add_argument("--configs", type=int, default=24)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = read_rows(options.output)
    data = load_data(TrialConfig(**(LAPTOP | {"eval_samples": None})))
    for number, config in enumerate(configurations(options.configs)):
        name = config.content_hash()
        for seed in options.seeds:
            if (name, seed) in rows:
                continue
            try:
                rows[name, seed] = run_trial(config.replace(seed=seed), data, turn=number + seed)
            except TrialDiverged as error:
                print(f"{name} {seed} is left out: {error}", flush=True)
                continue
            write_rows(options.output, rows)
            print(name, seed, rows[name, seed], flush=True)
    print(f"\nrevision {git_revision()}\n\n{as_markdown(rows, options.seeds)}")


if __name__ == "__main__":
    main()
