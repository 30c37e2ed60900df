"""A training function of one's own: a multi-layer perceptron on handwritten digits, stopped early where it is poor.

python -m study.run --space examples/own_training.py --trials 8
"""

from collections.abc import Iterator
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution
from pydantic import BaseModel
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from study import Context, Factor, Metric, MoAsha, Search, StudySpec, as_trainable


class Config(BaseModel, frozen=True):
    """What a trial is made from; ``seed`` is set by the study."""

    width: int = 32
    learning_rate: float = 0.01
    epochs: int = 9
    seed: int = 0


METRICS = (
    Metric("val_accuracy", "maximize", "accuracy", "%", kind="share", split="val", twin="test_accuracy", count="val_n"),
    Metric("test_accuracy", "maximize", "accuracy", "%", kind="share", split="test", twin="val_accuracy",
           count="test_n", is_interim=False),
)  # fmt: skip


@as_trainable(config=Config, metrics=METRICS, progress="epochs", total="epochs")
def fit(config: Config, context: Context) -> Iterator[dict[str, Any]]:
    """Yields the accuracy after each epoch: on validation images, by which the study decides, and on test images."""
    images, labels = load_digits(return_X_y=True)
    images, test_images, labels, test_labels = train_test_split(images / 16, labels, test_size=360, random_state=0)
    images, val_images, labels, val_labels = train_test_split(images, labels, test_size=360, random_state=0)
    model = MLPClassifier((config.width,), learning_rate_init=config.learning_rate, random_state=config.seed)
    for epoch in range(1, config.epochs + 1):
        model.partial_fit(images, labels, classes=range(10))
        report = {"epochs": epoch, "val_accuracy": 100 * model.score(val_images, val_labels), "val_n": 360}
        if epoch == config.epochs:
            report |= {"test_accuracy": 100 * model.score(test_images, test_labels), "test_n": 360}
        yield report


STUDY = StudySpec(
    name="own_training",
    question="Which width and learning rate classify digits best after nine epochs?",
    base=Config(),
    factors=(
        Factor(name="width", distribution=IntDistribution(4, 128, log=True)),
        Factor(name="learning_rate", distribution=FloatDistribution(1e-4, 0.1, log=True)),
    ),
    objectives=("val_accuracy",),
    design=Search(trials=16),
    stopping=MoAsha(first_rung=1),  # of the trials at epochs 1, 2, 4 and 8, the best half goes on
)
