"""Training loops as people write them, for tests of the contract; nothing here learns anything."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from study.trainable import Context, Metric, as_trainable

SCORE = Metric("score", "maximize", "score", is_headline=True)
closed: list[str] = []  # what noticed that nobody wants its next report


class Config(BaseModel, frozen=True):
    """Of all loops but the last two."""

    rate: float = 0.5
    width: int = 4
    epochs: int = 9
    fails_at: int = 0
    seed: int = 0


class GeneratorConfig(Config, frozen=True):
    """Of ``generator``."""


class CallbackConfig(Config, frozen=True):
    """Of ``callback``."""


class ShortConfig(Config, frozen=True):
    """Of ``endless``."""


class DataConfig(Config, frozen=True):
    """Of ``on_data``."""


class SilentConfig(Config, frozen=True):
    """Of ``silent``."""


class Orphan(BaseModel, frozen=True):
    """Of no loop."""

    seed: int = 0


def score(config: Config, epoch: int) -> float:
    """Grows with epochs, is best at a rate of 0.3, and tells seeds apart."""
    return epoch * (1 - (config.rate - 0.3) ** 2) * config.width + config.seed / 1000


def fail_where_asked(config: Config, epoch: int) -> None:
    if epoch == config.fails_at:
        raise RuntimeError(f"diverged in epoch {epoch}")


@as_trainable(config=GeneratorConfig, metrics=[SCORE], progress="epochs", total="epochs")
def generator(config: GeneratorConfig, context: Context) -> Iterator[dict[str, Any]]:
    """Yields its reports."""
    try:
        for epoch in range(1, config.epochs + 1):
            fail_where_asked(config, epoch)
            yield {"epochs": epoch, "score": score(config, epoch)}
    except GeneratorExit:
        closed.append("generator")
        raise


@as_trainable(config=CallbackConfig, metrics=[SCORE], progress="epochs", total=lambda config: config.epochs)
def callback(config: CallbackConfig, context: Context) -> str:
    """Reports by a callback."""
    try:
        for epoch in range(1, config.epochs + 1):
            fail_where_asked(config, epoch)
            context.report({"epochs": epoch, "score": score(config, epoch)})
    finally:
        closed.append("callback")
    return "what it returns is of no interest"


@as_trainable(config=ShortConfig, metrics=[SCORE])
def endless(config: ShortConfig, context: Context) -> Iterator[dict[str, Any]]:
    """Does not say how long it takes, nor how far it is."""
    for epoch in range(1, config.epochs + 1):
        yield {"score": score(config, epoch)}


def load(config: DataConfig) -> list[int]:
    return [config.width, 2]


@as_trainable(config=DataConfig, metrics=lambda config: [Metric("loss", "minimize"), SCORE], load=load)
def on_data(config: DataConfig, data: list[int], context: Context) -> None:
    """Needs data."""
    context.report({"loss": 1.0 / sum(data), "score": float(sum(data))})


@as_trainable(config=SilentConfig, metrics=[SCORE])
def silent(config: SilentConfig, context: Context) -> None:
    """Reports nothing."""
