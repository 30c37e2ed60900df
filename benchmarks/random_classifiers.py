"""Does a random classifier lose accuracy merely by being evaluated more often?

    python -m benchmarks.random_classifiers

A probe on redrawn views is attacked by one step so small that it can have no effect, with one radius, three radii and
three restarts; the accuracy at the largest radius must not depend on what else is evaluated. Digits, laptop preset,
half a minute on one core.
"""

import torch

from trainables.data.datasets import load_data
from trainables.evaluation.probe_training import train_probe
from trainables.evaluation.robust_accuracy import correct_under_attack
from trainables.presets import LAPTOP
from trainables.pretraining.pretrain import Pretraining
from trainables.trial_config import TrialConfig

REDRAWN = {"adversary": "none", "probe": "n_views", "probe_views": 8, "probe_view_draw": "redrawn", "probe_epochs": 20}
NO_EFFECT = {"eval_eot_samples": 1, "eval_pgd_steps": 1, "eval_step_255": 1e-9}
ASKED = (((1e-6,), 1), ((2e-7, 5e-7, 1e-6), 1), ((1e-6,), 3))


def main() -> None:
    """Trains one classifier and prints its accuracies for each of ``ASKED``."""
    torch.set_num_threads(1)
    config = TrialConfig(**(LAPTOP | REDRAWN | NO_EFFECT))
    data = load_data(config)
    images, labels = data.train.tensors()
    pretraining = Pretraining(config, images, torch.device("cpu"))
    for _ in pretraining.run():
        pass
    classifier = train_probe(pretraining.encoder, images, labels, 10, config, num_epochs=config.probe_recipe().epochs)
    for radii, restarts in ASKED:
        asked = config.replace(eval_radii_255=radii, eval_restarts=restarts)
        flags = correct_under_attack(classifier, *data.test.tensors(), asked)
        print(radii, restarts, {name: round(100 * float(correct.mean()), 1) for name, correct in flags.items()})


if __name__ == "__main__":
    main()
