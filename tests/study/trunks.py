"""A training without arithmetic whose trials share trunks: half of each is common to all of a recipe."""

import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from study.trainable import Context, Final, Interim, Metric, Progress, Report, Trainable


class Config(BaseModel, frozen=True):
    trainable: ClassVar[str] = f"{Path(__file__).resolve()}:TRUNKS"
    recipe: int = 0
    length: int = 2
    seed: int = 0


class Trunks(Trainable):
    """Keeps its trunk after 1, 2, 4, ... steps and where its second half begins."""

    path = Config.trainable
    config = Config

    def metrics(self, config: Config) -> Sequence[Metric]:
        return [Metric("accuracy", unit="%"), Metric("steps", "minimize", kind="cost", is_known=True)]

    def total_progress(self, config: Config, scale: int) -> int:
        return config.length

    def known_metrics(self, config: Config) -> Mapping[str, float]:
        return {"steps": config.length}

    def reusable(self, config: Config, others: Sequence[Config]) -> Mapping[str, float]:
        kept = [step for other in others if other.recipe == config.recipe for step in _kept(other)]
        shared = max((step for step in kept if step <= config.length // 2), default=0)
        return {"steps": shared} if shared else {}

    def discard_shared(self, config: Config, shared_folder: Path) -> None:
        shutil.rmtree(shared_folder / f"recipe {config.recipe}", ignore_errors=True)

    def run(self, config: Config, data: Any, context: Context) -> Iterator[Report]:
        assert context.shared_folder is not None
        folder = context.shared_folder / f"recipe {config.recipe}"
        folder.mkdir(exist_ok=True)
        found = (int(path.name) for path in folder.iterdir())
        start = done = max((step for step in found if step <= config.length // 2), default=0)
        if context.checkpoint_path.exists():
            start, done = map(int, context.checkpoint_path.read_text().split())
        pending = [milestone for milestone in context.milestones if milestone > done]
        for step in range(done + 1, config.length + 1):
            if step in _kept(config):
                context.checkpoint_path.write_text(f"{start} {step - 1}")
                (folder / str(step)).touch()
            yield Progress(step / config.length)
            while pending and step >= pending[0]:
                yield Interim({"milestone": pending.pop(0), "reused_steps": start} | _numbers(config, step))
        yield Final({"reused_steps": start} | _numbers(config, config.length))


def _kept(config: Config) -> set[int]:
    half = config.length // 2
    return {2**n for n in range(half.bit_length())} | {half}


def _numbers(config: Config, step: int) -> dict[str, Any]:
    return {"steps": step, "accuracy": step + random.Random(f"{config.recipe} {step}").uniform(0, 60)}


TRUNKS = Trunks()
