"""A PyTorch training loop as a trial: a small convolutional network on handwritten digits.

python -m study.run --space examples/torch_training.py --trials 8
"""

from collections.abc import Iterator
from typing import Any

import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from pydantic import BaseModel
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from study import Context, Factor, Metric, MoAsha, Search, StudySpec, as_trainable


class Config(BaseModel, frozen=True):
    """What a trial is made from; ``seed`` is set by the study."""

    channels: int = 16
    learning_rate: float = 0.01
    epochs: int = 9
    seed: int = 0


ACCURACY = Metric("val_accuracy", "maximize", "accuracy", "%", kind="share", split="val", count="val_n")


@as_trainable(config=Config, metrics=[ACCURACY], progress="epochs", total="epochs")
def fit(config: Config, context: Context) -> Iterator[dict[str, Any]]:
    """Yields the accuracy on 360 held-out images after each epoch."""
    torch.set_num_threads(context.num_threads)
    order = torch.Generator().manual_seed(config.seed)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32, device=context.device)[:, None] / 16
    labels = torch.tensor(digits.target, device=context.device)
    train, held_out = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)).split([1437, 360])
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)  # of the weights
        model = nn.Sequential(
            nn.Conv2d(1, config.channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(16 * config.channels, 10),
        ).to(context.device)  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=config.learning_rate, momentum=0.9)
    for _ in range(config.epochs):
        for batch in train[torch.randperm(len(train), generator=order)].split(64):
            optimizer.zero_grad()
            cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            right = model(images[held_out]).argmax(1) == labels[held_out]
        yield {"val_accuracy": 100 * right.float().mean().item(), "val_n": 360}


STUDY = StudySpec(
    name="torch_training",
    question="How many channels, and which learning rate?",
    base=Config(),
    factors=(
        Factor(name="channels", distribution=CategoricalDistribution([4, 8, 16, 32])),
        Factor(name="learning_rate", distribution=FloatDistribution(1e-3, 0.3, log=True)),
    ),
    design=Search(trials=12),
    stopping=MoAsha(first_rung=1),
)
