"""The plain baseline computes what the project computes: losses, weights and accuracies on equal views."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.plain_baseline import (
    PlainPretraining,
    coding_rate,
    emp_ssl_augmentation,
    plain_accuracies,
    plain_probe,
    view_loader,
)
from trainables.data.datasets import load_data
from trainables.evaluation.probe import ProbedClassifier
from trainables.evaluation.robust_accuracy import accuracies, correct_under_attack
from trainables.pretraining.pretrain import Pretraining
from trainables.pretraining.ssl_losses import total_coding_rate
from trainables.pretraining.views import make_views
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")
CONFIG = TrialConfig(
    dataset="digits",
    image_size=8,
    num_views=3,
    batch_size=6,
    epochs=2,
    encoder="resnet_narrow",
    projector_hidden_dim=24,
    projector_dim=12,
    learning_rate=0.5,
)
IMAGES = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def flat_weights(encoder: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in encoder.parameters()])


class Recorded(Pretraining):
    """Keeps the views and the losses of every update."""

    views: list[Tensor]
    losses: list[float]

    def _next_batch(self) -> tuple[Tensor, Tensor | None]:
        views, labels = super()._next_batch()
        self.views.append(views)
        return views, labels

    def _step(self, loss: Tensor, replay: int = 0) -> None:
        super()._step(loss, replay)
        self.losses.append(float(loss))


@pytest.mark.parametrize("changes", [{"adversary": "free", "replays": 3}, {"adversary": "pgd", "pgd_steps": 3}])
def test_losses_and_weights_are_those_of_the_project(changes: dict[str, Any]) -> None:
    config = CONFIG.replace(**changes)
    ours = Recorded(config, IMAGES, CPU)
    ours.views, ours.losses = [], []
    ours.encoder.train()
    plain = PlainPretraining(config, copy.deepcopy(ours.encoder), CPU, ours.num_batches)
    start = flat_weights(plain.encoder)
    losses: list[float] = []
    for _ in range(ours.num_batches):
        ours.train_batch()
        batch = ours.views[-1].transpose(0, 1)
        losses += plain.free_updates(batch) if config.adversary == "free" else [plain.pgd_update(batch)]
    assert len(losses) == len(ours.losses) == 4 * config.updates_per_batch()
    assert losses == pytest.approx(ours.losses, rel=1e-4)
    weights = [flat_weights(encoder) for encoder in (ours.encoder, plain.encoder)]
    moved = (weights[0] - start).norm()
    assert moved > 0.1 and (weights[0] - weights[1]).norm() < 1e-2 * moved


def test_the_coding_rate_of_a_view_is_that_of_the_project() -> None:
    z = torch.nn.functional.normalize(torch.randn(1, 5, 9, generator=torch.Generator().manual_seed(1)), dim=2)
    torch.testing.assert_close(coding_rate(z[0], 0.2), total_coding_rate(z, 0.2))


def test_views_are_drawn_as_the_project_draws_them() -> None:
    """The same mean of pixels and of squares, over many views, of augmentations that are implemented twice."""
    torch.manual_seed(0)
    config = CONFIG.replace(num_views=250, image_size=16)
    images = torch.nn.functional.interpolate(IMAGES[:6].float(), scale_factor=3).to(torch.uint8)
    loader = view_loader(images.numpy(), config, num_workers=0)
    plain = next(iter(loader)).flatten(0, 1)
    ours = make_views(images, config, torch.Generator().manual_seed(0)).flatten(0, 1)
    assert plain.shape == ours.shape
    for power in (1, 2):
        ours_mean, plain_mean = ((views**power).mean(dim=(1, 2, 3)) for views in (ours, plain))
        spread = (ours_mean.var() / len(ours) + plain_mean.var() / len(plain)).sqrt()
        assert abs(float(ours_mean.mean() - plain_mean.mean())) < 4 * float(spread)
    assert "Solarize" in str(emp_ssl_augmentation(config))


def test_probe_and_attack_say_what_the_project_says() -> None:
    torch.manual_seed(0)
    config = CONFIG.replace(
        train_images=600, batch_size=50, epochs=2, num_views=4, probe="central", probe_batch_size=50, eval_samples=100,
        eval_losses=("cross_entropy",), eval_pgd_steps=4, eval_radii_255=(2.0, 8.0), projector_hidden_dim=128,
        projector_dim=64,
    )  # fmt: skip
    data = load_data(config)
    images, labels = data.train.tensors()
    assert isinstance(images, Tensor)
    pretraining = Pretraining(config, images, CPU)
    for _ in pretraining.run():
        pass
    head = plain_probe(pretraining.encoder, images.float() / 255, labels, 10, config, epochs=40, robust=False)
    classifier = ProbedClassifier(pretraining.encoder, head, config).eval()
    tested, targets = data.test.tensors(100)
    assert isinstance(tested, Tensor)
    plain = plain_accuracies(classifier, tested.float() / 255, targets, config)
    ours = list(accuracies(correct_under_attack(classifier, tested, targets, config), "test").values())[:3]
    assert plain[0] == ours[0] > 50
    assert all(tighter <= loose + 1e-9 for tighter, loose in zip(ours, plain, strict=True))
    assert plain == pytest.approx(ours, abs=4), "an image that falls and rises again within the steps"
