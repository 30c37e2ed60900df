"""Linear probes and full fine-tuning in the recipe of ACL, against plain loops."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.evaluation.probe_training import ProbeTraining, divergence, trades_loss, train_probe
from trainables.pretraining.encoders import build_encoder
from trainables.pretraining.pretrain import TrialDiverged
from trainables.pretraining.views import make_views
from trainables.streams import stream
from trainables.trial_config import TrialConfig

NUM_IMAGES, NUM_CLASSES = 20, 3
RECIPE: dict[str, Any] = {
    "probe_layer": "backbone", "probe_batch_size": 8, "probe_learning_rate": 0.05, "probe_attack_steps": 2,
    "probe_attack_step_255": 3.0, "probe_attack_radius_255": 5.0,
}  # fmt: skip


@pytest.fixture
def labelled(noise_images: Tensor) -> tuple[Tensor, Tensor]:
    return noise_images, torch.arange(NUM_IMAGES) % NUM_CLASSES


def uneven(config: TrialConfig) -> Any:
    """An encoder in training mode whose BatchNorm statistics are not those of a new one."""
    encoder = build_encoder(config, 0, NUM_CLASSES if config.method == "supervised" else None).train()
    encoder(torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(1)))
    return encoder


def plain_training(
    encoder: Any, images: Tensor, labels: Tensor, config: TrialConfig, num_epochs: int, milestones: tuple[int, ...]
) -> nn.Sequential:
    """Fine-tuning written out: all weights if the probe is full_finetuning, else a layer on the frozen backbone."""
    is_full = config.probe == "full_finetuning"
    head = nn.Linear(64, NUM_CLASSES)
    nn.init.zeros_(head.weight), nn.init.zeros_(head.bias)
    model = nn.Sequential(copy.deepcopy(encoder.backbone), head).eval()

    def predict(pixels: Tensor) -> Tensor:  # in another memory layout, rounding would turn signs of tiny gradients
        return model(pixels.contiguous(memory_format=torch.channels_last))

    weights = list(model.parameters()) if is_full else list(head.parameters())
    optimiser = torch.optim.SGD(weights, lr=0.05, momentum=0.9, weight_decay=2e-4)
    radius, step = 5 / 255, 3 / 255
    done = 0
    for epoch in range(num_epochs):
        optimiser.param_groups[0]["lr"] = 0.05 * 0.1 ** sum(epoch >= milestone for milestone in milestones)
        order = torch.randperm(NUM_IMAGES, generator=stream(config.seed, "probe", epoch))
        for chosen in order.split(8):
            random = stream(config.seed, "probe_batch", done)
            crops = config.replace(augmentation="padded_crop")
            clean, targets = make_views(images[chosen], crops, random, num_views=1)[0], labels[chosen]
            draw = torch.rand if config.probe_loss == "pgd" else torch.randn
            noise = draw(clean.shape, generator=random)
            start = (2 * noise - 1) * radius if config.probe_loss == "pgd" else 0.001 * noise
            perturbed = (clean + start).clamp(0, 1)
            model.eval()
            for _ in range(2):
                perturbed = perturbed.detach().requires_grad_()
                if config.probe_loss == "pgd":
                    loss = nn.CrossEntropyLoss()(predict(perturbed), targets)
                else:
                    loss = nn.KLDivLoss(reduction="sum")(predict(perturbed).log_softmax(1), predict(clean).softmax(1))
                (gradient,) = torch.autograd.grad(loss, perturbed)
                moved = torch.min(torch.max(perturbed + step * gradient.sign(), clean - radius), clean + radius)
                perturbed = moved.clamp(0, 1).detach()
            model.train(is_full)
            if config.probe_loss == "pgd":
                loss = nn.CrossEntropyLoss()(predict(perturbed), targets)
            else:
                predicted, attacked = predict(clean), predict(perturbed)
                robust = nn.KLDivLoss(reduction="sum")(attacked.log_softmax(1), predicted.softmax(1)) / len(chosen)
                loss = nn.CrossEntropyLoss()(predicted, targets) + config.probe_trades_beta * robust
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
    return model.eval()


@pytest.mark.parametrize("loss", ["pgd", "trades"])
@pytest.mark.parametrize("probe", ["robust_central", "full_finetuning"])
def test_fine_tuning_equals_a_plain_loop(
    tiny: Callable[..., TrialConfig], labelled: tuple[Tensor, Tensor], probe: str, loss: str
) -> None:
    config = tiny(probe=probe, probe_protocol="acl", probe_loss=loss, probe_trades_beta=3.0, **RECIPE)
    encoder = uneven(config)
    expected = plain_training(encoder, *labelled, config, num_epochs=4, milestones=(2, 3))
    before = copy.deepcopy(encoder.state_dict())
    found = train_probe(encoder, *labelled, NUM_CLASSES, config, num_epochs=4)
    pixels = labelled[0].float() / 255
    torch.testing.assert_close(found(pixels), expected(pixels), rtol=1e-3, atol=1e-4)
    assert found(pixels).std() > 0.01
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    changed = [not torch.equal(value, before[name]) for name, value in found.encoder.state_dict().items()]
    assert any(changed) == (probe == "full_finetuning")
    assert not found.training and not any(parameter.requires_grad for parameter in found.parameters())


def test_full_fine_tuning_leaves_the_encoder_ready_for_more_pretraining(
    tiny: Callable[..., TrialConfig], labelled: tuple[Tensor, Tensor]
) -> None:
    config = tiny(probe="full_finetuning", **RECIPE)
    encoder = uneven(config)
    classifier = train_probe(encoder, *labelled, NUM_CLASSES, config, num_epochs=1)
    assert encoder.training and all(p.requires_grad and p.grad is None for p in encoder.parameters())
    own = {parameter.data_ptr() for parameter in encoder.parameters()}
    assert own.isdisjoint(parameter.data_ptr() for parameter in classifier.parameters())


def test_trades_loss_is_that_of_the_paper() -> None:
    random = np.random.default_rng(0)
    clean, attacked = random.normal(size=(2, 5, 4)) * 3
    targets = np.array([0, 3, 1, 1, 2])
    p, q = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) for logits in (clean, attacked))
    expected = -np.log(p[np.arange(5), targets]).mean() + 6.0 * (p * np.log(p / q)).sum(axis=1).mean()
    logits = torch.tensor(clean, requires_grad=True)
    found = trades_loss(logits, torch.tensor(attacked), torch.tensor(targets), beta=6.0)
    assert float(found.detach()) == pytest.approx(expected, rel=1e-9)
    found.backward()  # through the clean predictions of the divergence, too
    of_divergence = torch.tensor(clean, requires_grad=True)
    divergence(of_divergence.softmax(dim=1), torch.tensor(attacked), "batchmean").backward()
    alone = torch.tensor(clean, requires_grad=True)
    functional.cross_entropy(alone, torch.tensor(targets)).backward()
    assert logits.grad is not None and of_divergence.grad is not None and alone.grad is not None
    assert float(of_divergence.grad.abs().max()) > 0.01
    torch.testing.assert_close(logits.grad, alone.grad + 6 * of_divergence.grad)


@pytest.mark.parametrize(
    ("changes", "stop_after"),
    [
        ({"probe": "full_finetuning", "probe_loss": "trades"}, 2),
        ({"probe": "full_finetuning"}, 3),
        ({"probe": "full_finetuning"}, 6),
        ({"probe": "robust_central"}, 2),
        ({"probe": "n_views", "probe_views": 2}, 3),
        ({"probe": "central", "probe_protocol": "acl"}, 4),
    ],
    ids=str,
)
@pytest.mark.usefixtures("global_rng_untouched")
def test_an_interrupted_training_goes_on_to_equal_weights(
    tiny: Callable[..., TrialConfig], labelled: tuple[Tensor, Tensor], changes: dict[str, Any], stop_after: int
) -> None:
    config = tiny(**RECIPE, **changes)
    encoder = uneven(config)
    whole = ProbeTraining(encoder, *labelled, NUM_CLASSES, config, num_epochs=2)
    steps = whole.run()
    for _ in range(stop_after):
        next(steps)
    saved = copy.deepcopy(whole.state_dict())
    assert whole.is_finished == (stop_after == 6) and saved["batches_done"] == stop_after
    for _ in steps:
        pass
    rest = ProbeTraining(encoder, *labelled, NUM_CLASSES, config, num_epochs=2)
    rest.load_state_dict(saved)
    assert len(list(rest.run())) == 6 - stop_after
    weights = whole.classifier.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in rest.classifier.state_dict().items())
    assert rest.seconds > 0 and not rest.classifier.training


def test_a_diverged_fine_tuning_says_so(tiny: Callable[..., TrialConfig], labelled: tuple[Tensor, Tensor]) -> None:
    config = tiny(probe="full_finetuning", **(RECIPE | {"probe_learning_rate": 1e30}))
    with pytest.raises(TrialDiverged, match="are not finite"):
        train_probe(uneven(config), *labelled, NUM_CLASSES, config, num_epochs=3)


@pytest.mark.parametrize("probe", ["central", "robust_central", "full_finetuning"])
def test_probes_of_a_supervised_encoder_have_a_new_head(
    tiny: Callable[..., TrialConfig], labelled: tuple[Tensor, Tensor], probe: str
) -> None:
    config = tiny(method="supervised", num_views=1, **(RECIPE | {"probe": probe, "probe_layer": "hidden"}))
    encoder = uneven(config)
    before = copy.deepcopy(encoder.state_dict())
    classifier = train_probe(encoder, *labelled, NUM_CLASSES, config, num_epochs=2)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert classifier.head is not encoder.head and classifier.layer == "backbone"
    pixels = labelled[0].float() / 255
    features = classifier.encoder.backbone(pixels)  # type: ignore[operator]
    torch.testing.assert_close(classifier(pixels), features @ classifier.head.weight.T + classifier.head.bias)
    assert not torch.allclose(classifier(pixels), encoder.eval()(pixels), atol=1e-2)


def test_an_image_that_is_left_alone_is_no_batch_of_a_full_fine_tuning(
    tiny: Callable[..., TrialConfig], labelled: tuple[Tensor, Tensor]
) -> None:
    config = tiny(probe="full_finetuning", **(RECIPE | {"probe_layer": "hidden", "probe_batch_size": 19}))
    training = ProbeTraining(uneven(config), *labelled, NUM_CLASSES, config, num_epochs=2)
    assert len(list(training.run())) == 2
    alone = tiny(probe="robust_central", **(RECIPE | {"probe_batch_size": 19}))
    assert len(list(ProbeTraining(uneven(alone), *labelled, NUM_CLASSES, alone, num_epochs=2).run())) == 4
    with pytest.raises(ValueError, match="probe_batch_size must be at least 2 for probe full_finetuning"):
        config.replace(probe_batch_size=1)
