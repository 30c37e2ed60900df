"""Two objectives, a front: how accurate a random forest can be at which size.

python -m study.run --space examples/own_training_two_objectives.py --trials 8
"""

from time import perf_counter
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution
from pydantic import BaseModel
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from study import Context, Factor, Metric, Search, StudySpec, as_trainable


class Config(BaseModel, frozen=True):
    """What a trial is made from; ``seed`` is set by the study."""

    trees: int = 20
    depth: int = 8
    share_of_pixels: float = 0.2
    seed: int = 0


METRICS = (
    Metric("val_accuracy", "maximize", "accuracy", "%", kind="share", split="val", twin="test_accuracy", count="val_n"),
    Metric("test_accuracy", "maximize", "accuracy", "%", kind="share", split="test", twin="val_accuracy",
           count="test_n"),
    Metric("leaves", "minimize", "leaves of all trees", kind="cost", units=((1000, "thousand"), (1, ""))),
    Metric("train_seconds", "minimize", "training time", kind="cost", is_clocked=True, units=((1, "s"),)),
)  # fmt: skip


@as_trainable(config=Config, metrics=METRICS)
def fit(config: Config, context: Context) -> None:
    """Reports once. The size of the model is its number of leaves, which unlike seconds is the same on any machine."""
    images, labels = load_digits(return_X_y=True)
    images, test_images, labels, test_labels = train_test_split(images, labels, test_size=360, random_state=0)
    images, val_images, labels, val_labels = train_test_split(images, labels, test_size=360, random_state=0)
    model = RandomForestClassifier(
        n_estimators=config.trees,
        max_depth=config.depth,
        max_features=config.share_of_pixels,
        random_state=config.seed,
    )
    started = perf_counter()
    model.fit(images, labels)
    report: dict[str, Any] = {"train_seconds": perf_counter() - started}
    report["leaves"] = sum(int(tree.get_n_leaves()) for tree in model.estimators_)
    report |= {"val_accuracy": 100 * model.score(val_images, val_labels), "val_n": len(val_labels)}
    report |= {"test_accuracy": 100 * model.score(test_images, test_labels), "test_n": len(test_labels)}
    context.report(report)


STUDY = StudySpec(
    name="own_training_two_objectives",
    question="How accurate can a random forest on digits be, and how small?",
    base=Config(),
    factors=(
        Factor(name="trees", distribution=IntDistribution(2, 64, log=True)),
        Factor(name="depth", distribution=IntDistribution(2, 12)),
        Factor(name="share_of_pixels", distribution=FloatDistribution(0.05, 1.0)),
    ),
    objectives=("val_accuracy", "leaves"),
    design=Search(trials=24),
)
