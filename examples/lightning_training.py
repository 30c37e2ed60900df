"""A Lightning training as a trial: its loop stays as it is, and a callback reports.

pip install 'robust-ssl-studies[lightning]'
python -m study.run --space examples/lightning_training.py --trials 4
"""

from typing import Any

import lightning
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from pydantic import BaseModel
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset, random_split

from study import Context, Factor, Metric, MoAsha, Search, StudySpec, as_trainable


class Config(BaseModel, frozen=True):
    """What a trial is made from; ``seed`` is set by the study."""

    width: int = 32
    learning_rate: float = 0.1
    epochs: int = 4
    seed: int = 0


class Perceptron(lightning.LightningModule):
    """Two layers for 8x8 images."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, config.width), nn.ReLU(), nn.Linear(config.width, 10))
        self.learning_rate = config.learning_rate

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The loss of a batch."""
        images, labels = batch
        return cross_entropy(self.layers(images), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Logs the accuracy."""
        images, labels = batch
        self.log("val_accuracy", 100 * (self.layers(images).argmax(1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD."""
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate)


class ReportToStudy(lightning.Callback):
    """Reports after each validation, and waits until the study wants more."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Hands over what the module has logged."""
        measured = {"val_accuracy": trainer.callback_metrics["val_accuracy"].item(), "val_n": 360}
        self.context.report({"epochs": trainer.current_epoch + 1} | measured)


ACCURACY = Metric("val_accuracy", "maximize", "accuracy", "%", kind="share", split="val", count="val_n")


@as_trainable(config=Config, metrics=[ACCURACY], progress="epochs", total="epochs")
def fit(config: Config, context: Context) -> None:
    """Trains as one would without a study."""
    digits = load_digits()
    data = TensorDataset(torch.tensor(digits.images / 16, dtype=torch.float32), torch.tensor(digits.target))
    train, held_out = random_split(data, [1437, 360], torch.Generator().manual_seed(0))
    torch.manual_seed(config.seed)
    trainer = lightning.Trainer(
        accelerator="gpu" if context.device == "cuda" else "cpu",
        devices=1,
        max_epochs=config.epochs,
        callbacks=[ReportToStudy(context)],
        default_root_dir=context.folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    loaders: list[Any] = [DataLoader(train, 64, shuffle=True), DataLoader(held_out, 360)]
    trainer.fit(Perceptron(config), *loaders)


STUDY = StudySpec(
    name="lightning_training",
    question="Which width and learning rate?",
    base=Config(),
    factors=(
        Factor(name="width", distribution=CategoricalDistribution([8, 32, 128])),
        Factor(name="learning_rate", distribution=FloatDistribution(1e-3, 1, log=True)),
    ),
    design=Search(trials=8),
    stopping=MoAsha(first_rung=1),
)
