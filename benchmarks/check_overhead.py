"""What the evaluation takes with a margin beside the cross-entropy, and with the cheap checks.

    python -m benchmarks.check_overhead
    python -m benchmarks.check_overhead --data-root DIR --eval-samples 500

Trains the laptop preset once and evaluates it repeatedly, the ways in turn, in CPU seconds of this process: a machine
that others use distorts them less than wall time. ``before`` is the attack on the cross-entropy alone with the two
checks that there were then, effective rank and unbounded attack.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from study.record.environment import git_revision
from trainables.data.datasets import TrialData, load_data
from trainables.evaluation.attack_checks import unbounded_attack_accuracy
from trainables.evaluation.probe import ProbedClassifier
from trainables.evaluation.probe_training import train_probe
from trainables.evaluation.robust_accuracy import Flags, correct_under_attack
from trainables.evaluation.validity import MAX_CHECKED_IMAGES, checks_of_attack, feature_effective_rank
from trainables.presets import PRESETS
from trainables.pretraining.pretrain import Pretraining
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")


def ways(classifier: ProbedClassifier, data: TrialData, config: TrialConfig) -> dict[str, Callable[[], object]]:
    """Name -> an evaluation of validation and test images."""
    images, labels = data.validation.tensors()
    alone = config.replace(eval_losses=("cross_entropy",))

    def before() -> None:
        attack(alone)
        feature_effective_rank(classifier, images)
        unbounded_attack_accuracy(classifier, images[:MAX_CHECKED_IMAGES], labels[:MAX_CHECKED_IMAGES], alone)

    def attack(chosen: TrialConfig) -> Flags:
        correct_under_attack(classifier, *data.test.tensors(), chosen)
        return correct_under_attack(classifier, images, labels, chosen)

    def with_checks() -> None:
        flags = attack(config)
        feature_effective_rank(classifier, images)
        checks_of_attack(classifier, images, labels, flags, config)

    def with_probe() -> None:
        train_probe(classifier.encoder, *data.train.tensors(), data.num_classes, config,
                    num_epochs=config.probe_recipe().epochs)  # fmt: skip

    return {
        "before": before,
        "cross-entropy": lambda: attack(alone),
        "cross-entropy and margin": lambda: attack(config),
        "both, cheap checks": with_checks,
        "training of the probe": with_probe,
    }


def main() -> None:
    """Trains, measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_overhead", description=__doc__.split("\n")[0])
    parser.add_argument("--data-root", type=Path, help="an image folder; none: digits")
    parser.add_argument("--eval-samples", type=int, default=250)
    parser.add_argument("--train-images", type=int)
    parser.add_argument("--adversary", default="free")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = TrialConfig(**PRESETS["laptop"]).replace(
        eval_samples=options.eval_samples, train_images=options.train_images, adversary=options.adversary
    )
    if options.data_root is not None:
        config = config.replace(dataset="imagefolder", data_root=str(options.data_root), image_size=32)
    data = load_data(config)
    pretraining = Pretraining(config, data.train.tensors()[0], CPU)
    for _ in pretraining.run():
        pass
    epochs = config.probe_recipe().epochs
    classifier = train_probe(pretraining.encoder, *data.train.tensors(), data.num_classes, config, num_epochs=epochs)
    ways_ = ways(classifier, data, config)
    seconds: dict[str, list[float]] = {name: [] for name in ways_}
    for _ in range(options.repeats):
        for name, evaluate in ways_.items():
            started = time.process_time()
            evaluate()
            seconds[name].append(time.process_time() - started)
    print(f"revision {git_revision()}, {config.dataset}, {options.eval_samples} images a split, {options.adversary}")
    for name, found in seconds.items():
        ratios = [one / base for one, base in zip(found, seconds["before"], strict=True)]
        print(f"{name:28} {statistics.median(found):6.1f} CPU s, x{statistics.median(ratios):.2f} of before")
    pairs = zip(seconds["both, cheap checks"], seconds["cross-entropy and margin"], strict=True)
    print(f"cheap checks: x{statistics.median(one / other for one, other in pairs):.2f} of the attack without them")


if __name__ == "__main__":
    main()
