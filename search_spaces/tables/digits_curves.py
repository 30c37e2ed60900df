"""Robust pretraining on digits, looked up: 3 continuous factors, numbers of views, adversaries and epochs.

    python -m study.run --space search_spaces/tables/digits_curves.py --concurrency 4

Recorded by ``search_spaces/tables/recipes_by_epochs.py``, with an evaluation after every epoch. The file is with the
sources, in ``benchmarks/data``.
"""

from pathlib import Path

from optuna.distributions import CategoricalDistribution, FloatDistribution

from study.spec import Factor, MoAsha, Search, StudySpec
from trainables.recorded_table import recorded_table

TABLE = recorded_table(Path(__file__).resolve().parents[2] / "benchmarks" / "data" / "digits_curves.csv.gz")


def _between(name: str) -> FloatDistribution:
    numbers = [value for value in TABLE.table.choices[name] if value is not None]
    return FloatDistribution(min(numbers), max(numbers), log=True)


def _one_of(name: str) -> CategoricalDistribution:
    return CategoricalDistribution(list(TABLE.table.choices[name]))


STUDY = StudySpec(
    name="digits_curves",
    question="What do views, adversary, learning rate, crops, radius and epochs buy, each for its compute?",
    base=TABLE.config(),
    factors=(
        Factor(name="num_views", distribution=_one_of("num_views")),
        Factor(name="training", distribution=_one_of("training")),
        Factor(name="epochs", distribution=_one_of("epochs")),
        Factor(name="learning_rate", distribution=_between("learning_rate")),
        Factor(name="view_scale_min", distribution=_between("view_scale_min")),
        Factor(
            name="attack_radius_255",
            distribution=_between("attack_radius_255"),
            when={"training": tuple(level for level in TABLE.table.choices["training"] if level != "none")},
        ),
    ),
    objectives=("val_clean", "val_pgd_16", "train_pflop"),
    design=Search(trials=40),
    stopping=MoAsha(first_rung=6, eta=2),
)
