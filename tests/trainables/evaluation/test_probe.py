"""Linear probes on encoders whose best clean and robust heads are known."""

import copy
import tempfile
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from trainables.evaluation import probe as probe_module
from trainables.evaluation.probe import ProbedClassifier, frozen_features
from trainables.evaluation.probe_training import train_probe
from trainables.evaluation.robust_accuracy import correct_under_attack, evaluation_batch
from trainables.pretraining.encoders import ProjectedEncoder, build_encoder
from trainables.trial_config import TrialConfig

CLASS_COLOURS = torch.tensor([[200, 60, 60], [60, 200, 60], [60, 60, 200]])
ROBUST_PIXELS, FRAGILE_PIXELS = slice(0, 4), slice(4, 8)  # rows of an 8x8 image


def coloured_images(num_images: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noisy images of three colours: separable in any random encoder."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_images) % 3
    noise = torch.randint(-40, 41, (num_images, 3, 8, 8), generator=random)
    return (CLASS_COLOURS[labels][:, :, None, None] + noise).to(torch.uint8), labels


def two_cue_images(num_images: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two classes with a large cue that is wrong on a tenth of the images, and a tiny cue that is always right."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_images) % 2
    signs = labels * 2 - 1
    misleading = torch.rand(num_images, generator=random) < 0.1
    images = torch.full((num_images, 3, 8, 8), 128)
    images[:, :, ROBUST_PIXELS] += (torch.where(misleading, -signs, signs) * 26)[:, None, None, None]
    images[:, :, FRAGILE_PIXELS] += (signs * 2)[:, None, None, None]
    return images.to(torch.uint8), labels


class TwoCues(nn.Module):
    """The mean of either half of an image; that of the tiny cue amplified a hundredfold."""

    def __init__(self) -> None:
        super().__init__()
        self.gains = nn.Parameter(torch.tensor([10.0, 100 * 255 / 26]))

    def forward(self, views: Tensor) -> Tensor:
        halves = [views[:, :, rows].mean(dim=(1, 2, 3)) - 128 / 255 for rows in (ROBUST_PIXELS, FRAGILE_PIXELS)]
        return self.gains * torch.stack(halves, dim=1)


def linear_pgd_accuracy(classifier: ProbedClassifier, images: Tensor, labels: Tensor, config: TrialConfig) -> float:
    return float(correct_under_attack(classifier, images, labels, config, radii_255=(8.0,))["pgd_8"].mean())


@pytest.mark.parametrize("probe", ["central", "robust_central"])
@pytest.mark.parametrize("layer", ["hidden", "backbone"])
def test_encoder_does_not_change(tiny: Callable[..., TrialConfig], probe: str, layer: str) -> None:
    config = tiny(probe=probe, probe_layer=layer, probe_batch_size=16)
    encoder = build_encoder(config, 0).train()
    encoder(torch.rand(8, 3, 8, 8))  # BatchNorm statistics of their own
    before = copy.deepcopy(encoder.state_dict())
    classifier = train_probe(encoder, *coloured_images(40), 3, config, num_epochs=2)
    assert classifier.encoder is encoder
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in encoder.parameters())
    assert not any(module.training for module in classifier.modules())
    assert classifier.head.weight.shape == (3, 16 if layer == "hidden" else 64)
    assert classifier(torch.rand(5, 3, 8, 8)).shape == (5, 3)


@pytest.mark.parametrize("probe", ["central", "n_views"])
def test_features_in_a_file_give_the_same_probe(
    tiny: Callable[..., TrialConfig], monkeypatch: pytest.MonkeyPatch, probe: str
) -> None:
    config = tiny(probe=probe, probe_views=3, probe_batch_size=16)
    images, labels = coloured_images(40)

    def trained() -> tuple[ProbedClassifier, Tensor]:
        classifier = train_probe(build_encoder(config, 0), images, labels, 3, config, num_epochs=2)
        return classifier, frozen_features(classifier, images)

    opened: list[int] = []
    temporary_file = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: opened.append(1) or temporary_file())
    monkeypatch.setattr(probe_module, "MAX_PASSES_AT_ONCE", 18)  # several parts
    monkeypatch.setattr(probe_module, "MAX_FEATURE_BYTES", 4 * 40 * 16)
    in_memory, features = trained()
    assert opened == []
    monkeypatch.setattr(probe_module, "MAX_FEATURE_BYTES", 4 * 40 * 16 - 1)
    in_file, mapped = trained()
    assert opened == [1, 1]
    assert torch.equal(mapped, features) and features.shape == (40, 16)
    assert torch.equal(in_file.head.weight, in_memory.head.weight)


@pytest.mark.parametrize(("probe", "updates"), [("central", 1 + 2), ("n_views", 3 + 5)])
def test_batches_are_of_the_recipes_size_unless_given(
    tiny: Callable[..., TrialConfig], probe: str, updates: int
) -> None:
    made: list[int] = []
    hook = register_optimizer_step_post_hook(lambda *_: made.append(1))
    for size, num_images in ((None, 256), (128, 256)) if probe == "central" else ((None, 256), (60, 300)):
        config = tiny(probe=probe, probe_views=1, probe_batch_size=size)
        train_probe(build_encoder(config, 0), *coloured_images(num_images), 3, config, num_epochs=1)
    hook.remove()
    assert len(made) == updates


@pytest.mark.parametrize(
    ("size", "views", "images"), [(8, 1, 500), (64, 1, 500), (65, 1, 484), (224, 1, 40), (224, 3, 13), (512, 50, 1)]
)
def test_fewer_large_images_are_in_memory_at_once(
    tiny: Callable[..., TrialConfig], size: int, views: int, images: int
) -> None:
    config = tiny(dataset="imagefolder", image_size=size, probe_views=views, probe="n_views")
    classifier = ProbedClassifier(build_encoder(config, 0), nn.Linear(16, 3), config)
    assert classifier.images_at_once(500) == images  # of 500 * 64 * 64 pixels
    assert evaluation_batch(classifier) == images


@pytest.mark.parametrize("layer", ["hidden", "backbone"])
def test_clean_probe_fits_separable_features(tiny: Callable[..., TrialConfig], layer: str) -> None:
    config = tiny(probe="central", probe_layer=layer, probe_learning_rate=0.1)
    classifier = train_probe(build_encoder(config, 0), *coloured_images(120), 3, config, num_epochs=60)
    images, labels = coloured_images(60, seed=1)
    assert float((classifier(images / 255).argmax(dim=1) == labels).float().mean()) > 0.95


def test_clean_probe_equals_full_batch_adam(tiny: Callable[..., TrialConfig]) -> None:
    config = tiny(probe="central", probe_layer="backbone", probe_batch_size=40, probe_learning_rate=0.05)
    encoder = build_encoder(config, 0)
    images, labels = coloured_images(40)
    start = train_probe(encoder, images, labels, 3, config, num_epochs=0)
    head = copy.deepcopy(start.head).requires_grad_()
    with torch.no_grad():
        features = encoder.backbone(images / 255)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(10):
        optimiser.zero_grad()
        (-(head(features).log_softmax(dim=1)[torch.arange(40), labels])).mean().backward()
        optimiser.step()
    found = train_probe(encoder, images, labels, 3, config, num_epochs=10).head
    torch.testing.assert_close(found.weight, head.weight.detach(), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(found.weight, start.head.weight, atol=1e-2)


def test_robust_probe_prefers_the_robust_cue(tiny: Callable[..., TrialConfig]) -> None:
    accuracies = {}
    for probe in ("central", "robust_central"):
        config = tiny(probe=probe, probe_layer="backbone", probe_learning_rate=0.05)
        encoder = ProjectedEncoder(TwoCues(), 2, 4, 4)
        classifier = train_probe(encoder, *two_cue_images(200), 2, config, num_epochs=60)
        images, labels = two_cue_images(200, seed=1)
        clean = float((classifier(images / 255).argmax(dim=1) == labels).float().mean())
        accuracies[probe] = clean, linear_pgd_accuracy(classifier, images, labels, config)
    assert accuracies["central"][0] > 0.98 and accuracies["central"][1] < 0.05
    assert accuracies["robust_central"][0] > 0.8 and accuracies["robust_central"][1] > 0.8


def test_robust_probe_of_radius_zero_is_the_clean_probe(tiny: Callable[..., TrialConfig]) -> None:
    heads = []
    for changes in ({"probe": "central"}, {"probe": "robust_central", "probe_attack_radius_255": 0.0}):
        config = tiny(**changes, probe_batch_size=16)
        heads.append(train_probe(build_encoder(config, 0), *coloured_images(40), 3, config, num_epochs=3).head)
    torch.testing.assert_close(heads[0].weight, heads[1].weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("probe", ["central", "robust_central"])
@pytest.mark.usefixtures("global_rng_untouched")
def test_deterministic(tiny: Callable[..., TrialConfig], probe: str) -> None:
    heads = []
    for seed in (0, 0, 1):
        config = tiny(probe=probe, seed=seed, probe_batch_size=16)
        encoder = build_encoder(config, 0)
        heads.append(train_probe(encoder, *coloured_images(40), 3, config, num_epochs=2).head.weight)
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def n_views_classifier(config: TrialConfig) -> ProbedClassifier:
    """A random encoder with a random head, seen through views."""
    encoder = build_encoder(config, 0)
    head = nn.Linear(16, 3)
    return ProbedClassifier(encoder, head, config).eval().requires_grad_(False)


def test_fixed_views_are_those_of_the_image_alone(tiny: Callable[..., TrialConfig]) -> None:
    classifier = n_views_classifier(tiny(probe="n_views", probe_views=4))
    images = coloured_images(6)[0].float() / 255
    together = classifier.views(images)
    assert together.shape == (6, 4, 3, 8, 8)
    alone = torch.cat([classifier.views(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
    assert not torch.equal(together[:, 0], together[:, 1])


def test_fixed_views_have_no_purpose_and_redrawn_ones_begin_anew_for_each(tiny: Callable[..., TrialConfig]) -> None:
    images = coloured_images(2)[0].float() / 255
    fixed = n_views_classifier(tiny(probe="n_views", probe_views=4))
    redrawn = n_views_classifier(tiny(probe="n_views", probe_views=4, probe_view_draw="redrawn"))
    seen = []
    for classifier in (fixed, redrawn):
        looks = [classifier.views(images)]
        for purpose in ("one", "other", "one"):
            classifier.redraw_for(purpose)
            looks.append(classifier.views(images))
        seen.append([torch.equal(first, looks[1]) for first in looks])
    assert seen == [[True, True, True, True], [False, True, False, True]]


def test_redrawn_views_differ_between_looks_and_images(tiny: Callable[..., TrialConfig]) -> None:
    classifier = n_views_classifier(tiny(probe="n_views", probe_views=4, probe_view_draw="redrawn"))
    images = coloured_images(1)[0].repeat(2, 1, 1, 1).float() / 255
    first, second = classifier.views(images), classifier.views(images)
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])
    assert classifier.is_stochastic


def test_features_are_the_mean_over_the_views(tiny: Callable[..., TrialConfig]) -> None:
    classifier = n_views_classifier(tiny(probe="n_views", probe_views=3))
    images = coloured_images(5)[0].float() / 255
    views = classifier.views(images)
    expected = torch.stack([classifier.encoder.features(views[:, v], "hidden") for v in range(3)]).mean(dim=0)
    torch.testing.assert_close(classifier.features(images), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(classifier.features(views), expected, atol=1e-5, rtol=1e-5)


def test_what_is_attacked_follows_the_threat_model(tiny: Callable[..., TrialConfig]) -> None:
    images = coloured_images(5)[0].float() / 255
    by_image = n_views_classifier(tiny(probe="n_views", probe_views=3))
    by_view = n_views_classifier(tiny(probe="n_views", probe_views=3, probe_threat="per_view"))
    assert by_image.attack_space(images) is images
    torch.testing.assert_close(by_view.attack_space(images), by_image.views(images))


def test_views_carry_the_gradient_to_the_image(tiny: Callable[..., TrialConfig]) -> None:
    classifier = n_views_classifier(tiny(probe="n_views", probe_views=8, view_scale_min=0.5))
    images = (coloured_images(2)[0].float() / 255).requires_grad_()
    (gradient,) = torch.autograd.grad(classifier(images)[:, 0].sum(), images)
    step = 1e-3 * gradient / gradient.norm()
    gain = (classifier(images + step) - classifier(images - step))[:, 0].sum() / 2
    assert float(gain.detach()) == pytest.approx(float((gradient * step).sum()), rel=0.1)


def test_image_attack_is_no_stronger_than_the_attack_on_each_view(tiny: Callable[..., TrialConfig]) -> None:
    images, labels = coloured_images(60)
    config = tiny(probe="n_views", probe_views=3, probe_learning_rate=3.0, eval_pgd_steps=10)
    classifier = train_probe(build_encoder(config, 0), images, labels, 3, config, num_epochs=100)
    per_view = ProbedClassifier(classifier.encoder, classifier.head, config.replace(probe_threat="per_view")).eval()
    by_image = correct_under_attack(classifier, images, labels, config)
    by_view = correct_under_attack(per_view, images, labels, config)
    assert (by_image["clean"] == by_view["clean"]).all() and by_image["clean"].mean() > 0.9
    assert by_view["pgd_16"].sum() <= by_image["pgd_16"].sum()


def test_supervised_head_is_used_as_it_is(tiny: Callable[..., TrialConfig]) -> None:
    config = tiny(method="supervised", num_views=1, probe="own_head")
    encoder = build_encoder(config, 0, num_classes=3)
    images, labels = coloured_images(6)
    pixels = images.float() / 255
    classifier = train_probe(encoder, images, labels, 3, config, num_epochs=1)
    torch.testing.assert_close(classifier(pixels), encoder(pixels))
