"""Accuracy against training time of perceptrons on the German credit data, looked up in a table of 30,000 configs.

    pip install 'robust-ssl-studies[tables]'
    python -m study.run --space search_spaces/tables/hpobench_credit_g.py --concurrency 4

A recorded second takes 2 ms, so that trials end in the order in which they would have ended.
"""

from optuna.distributions import FloatDistribution, IntDistribution

from study.spec import Factor, Search, StudySpec
from trainables.recorded_table import recorded_table

TABLE = recorded_table("hpobench/credit_g")

STUDY = StudySpec(
    name="hpobench_credit_g",
    question="Which perceptrons are accurate on the German credit data, and which of them train fast?",
    base=TABLE.config(seconds_per_recorded_second=0.002),
    factors=(
        Factor(name="learning_rate_init", distribution=FloatDistribution(1e-5, 1, log=True)),
        Factor(name="alpha", distribution=FloatDistribution(1e-8, 1, log=True)),
        Factor(name="batch_size", distribution=IntDistribution(4, 256, log=True)),
        Factor(name="depth", distribution=IntDistribution(1, 3)),
        Factor(name="width", distribution=IntDistribution(16, 1024, log=True)),
    ),
    objectives=("val_acc", "train_seconds"),
    design=Search(trials=40),
)
