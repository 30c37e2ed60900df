"""DeACL's second stage against its formula: loss, attack, update, what the student begins with, what is counted."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from trainables.pretraining.cost import PassCost, train_pflop_per_batch
from trainables.pretraining.distillation import deacl_attack_loss, deacl_loss, hand_over
from trainables.pretraining.encoders import Encoder, build_encoder
from trainables.pretraining.pretrain import Pretraining
from trainables.trial_config import TrialConfig

CPU = torch.device("cpu")
DEACL: dict[str, Any] = {"method": "deacl", "num_views": 2, "probe_layer": "backbone", "replays": 3, "pgd_steps": 2}
Tiny = Callable[..., TrialConfig]


def states(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_equal_states(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def teacher_of(config: TrialConfig) -> Encoder:
    """A teacher that has seen a few views, so that its running statistics are not those of a new network."""
    teacher = build_encoder(config.stages()[0], 5).train()
    with torch.no_grad():
        teacher(torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(1)))
    return teacher.eval()


def start(config: TrialConfig, images: Tensor) -> tuple[Pretraining, Encoder]:
    """A student that has taken over from a teacher, in training mode, and that teacher."""
    student, teacher = Pretraining(config, images, CPU), teacher_of(config)
    hand_over(teacher, student)
    student.encoder.train()
    return student, teacher


def features_of(network: nn.Module, views: Tensor) -> Tensor:
    """Of the backbone, unscaled, in the mode in which the network is."""
    features: Tensor = network.backbone(views)  # type: ignore[operator]
    return features


@pytest.mark.parametrize("num_views", [1, 3])
def test_the_loss_is_deacls(tiny: Tiny, num_views: int) -> None:
    config = tiny(**DEACL | {"num_views": num_views, "distillation_robust_weight": 3.0})
    random = torch.Generator().manual_seed(0)
    clean, perturbed, teacher = (torch.randn(num_views * 5, 7, generator=random) for _ in range(3))
    to_teacher = cosine_similarity(clean, teacher).mean()
    to_clean = cosine_similarity(perturbed, clean).mean()
    unit = [nn.functional.normalize(x, dim=1).unflatten(0, (num_views, 5)) for x in (clean, perturbed, teacher)]
    both = torch.cat(unit[:2])
    torch.testing.assert_close(deacl_loss(both, config, unit[2]), -to_teacher - 3 * to_clean)
    torch.testing.assert_close(deacl_loss(unit[0], config, unit[2]), -to_teacher)
    away = -cosine_similarity(perturbed, teacher).mean()
    torch.testing.assert_close(deacl_attack_loss(unit[1], config, unit[2]), away)
    student_anchored = config.replace(distillation_attack_anchor="student")
    torch.testing.assert_close(deacl_attack_loss(both, student_anchored, unit[2]), -to_clean)


@pytest.mark.parametrize("batchnorm", ["eval", "train"])
@pytest.mark.parametrize("anchor", ["teacher", "student"])
def test_an_update_with_pgd_is_deacls(tiny: Tiny, noise_images: Tensor, anchor: str, batchnorm: str) -> None:
    """By a loop of its own over unscaled features; the random start is the training's."""
    config = tiny(
        **DEACL, adversary="pgd", attack_batchnorm=batchnorm, distillation_attack_anchor=anchor, student_start="random"
    )
    student, teacher = start(config, noise_images)
    reference = copy.deepcopy(student.encoder)
    views, _ = student._next_batch()
    noise = student._random_start(views, 8 / 255).flatten(0, 1)
    loss = student._gradients(views, None)

    flat = views.flatten(0, 1)
    target = features_of(teacher, flat).detach()
    reference.train(batchnorm == "train")
    anchors = target if anchor == "teacher" else features_of(reference, flat).detach()
    attacked = (flat + noise).clamp(0, 1)
    for _ in range(2):
        attacked.requires_grad_()
        (away,) = torch.autograd.grad(-cosine_similarity(features_of(reference, attacked), anchors).sum(), attacked)
        attacked = attacked.detach() + 2.55 / 255 * away.sign()
        attacked = torch.min(torch.max(attacked, flat - 8 / 255), flat + 8 / 255).clamp(0, 1)
    reference.train()
    clean, perturbed = features_of(reference, torch.cat([flat, attacked])).chunk(2)
    expected = -cosine_similarity(clean, target).mean() - 2 * cosine_similarity(perturbed, clean).mean()
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    found = dict(student.encoder.named_parameters())
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(found[name].grad, parameter.grad, rtol=1e-3, atol=1e-5)


def test_a_free_update_takes_both_gradients_from_one_pass(tiny: Tiny, noise_images: Tensor) -> None:
    config = tiny(**DEACL, adversary="free")
    student, teacher = start(config, noise_images)
    reference = copy.deepcopy(student.encoder)
    views, _ = student._next_batch()
    noise = student._random_start(views, 8 / 255)
    assert noise.abs().max() <= 8 / 255 and noise.std() > 4 / 255, "uniform in the ball"
    loss = student._free_gradients(views, None, replay=0)
    flat, perturbed = views.flatten(0, 1), (views + noise).clamp(0, 1).flatten(0, 1).requires_grad_()
    clean_features, features = features_of(reference, torch.cat([flat, perturbed])).chunk(2)
    target = features_of(teacher, flat).detach()
    expected = (
        -cosine_similarity(clean_features, target).mean() - 2 * cosine_similarity(features, clean_features).mean()
    )
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    assert perturbed.grad is not None and student.perturbation is not None
    moved = (perturbed.detach() + 2.55 / 255 * perturbed.grad.sign() - flat).clamp(-8 / 255, 8 / 255)
    moved = (flat + moved).clamp(0, 1) - flat
    assert ((student.perturbation.flatten(0, 1) - moved).abs() > 1e-6).float().mean() < 1e-3, (
        "but for signs of nearly 0"
    )


@pytest.mark.parametrize("adversary", ["none", "fgsm", "pgd", "free"])
def test_training_leaves_the_teacher_as_it_was(tiny: Tiny, noise_images: Tensor, adversary: str) -> None:
    student, teacher = start(tiny(**DEACL, adversary=adversary), noise_images)
    assert student.second_network is not None
    frozen, weights, begun = states(student.second_network), states(teacher), states(student.encoder)
    for _ in student.run():
        pass
    assert_equal_states(states(student.second_network), frozen)
    assert_equal_states(states(teacher), weights)
    assert not any(torch.equal(v, begun[n]) for n, v in student.encoder.named_parameters()), "the student has learned"


@pytest.mark.parametrize("layer", ["backbone", "hidden"])
@pytest.mark.parametrize("student_start", ["teacher", "random"])
def test_what_a_student_begins_with(tiny: Tiny, noise_images: Tensor, student_start: str, layer: str) -> None:
    config = tiny(**DEACL, student_start=student_start, distilled_layer=layer)
    student, teacher = start(config, noise_images)
    assert student.second_network is not None
    own, frozen, theirs = states(student.encoder), states(student.second_network.network), states(teacher)
    assert_equal_states(frozen, {name: theirs[name] for name in frozen})
    layers = {"backbone", "hidden"} if layer == "hidden" else {"backbone"}
    assert {name.partition(".")[0] for name in own} == layers
    first = build_encoder(config.stages()[0], 0).state_dict()
    weights = [name for name in own if name.endswith("weight") and own[name].ndim > 1]
    assert all(torch.equal(own[name], theirs[name]) == (student_start == "teacher") for name in weights)
    assert not any(torch.equal(own[name], first[name]) for name in weights), "nor with what its teacher began with"
    views = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    expected = nn.functional.normalize(teacher.features(views, layer), dim=1)  # type: ignore[arg-type]
    torch.testing.assert_close(student.second_network(views), expected)


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({"adversary": "none"}, 2),
        ({"adversary": "fgsm"}, 2 + 2 + 2),
        ({"adversary": "pgd"}, 2 + 2 + 2 * 2),
        ({"adversary": "free"}, (2 + 2) * 3),
    ],
    ids=str,
)
def test_every_pass_is_counted(tiny: Tiny, noise_images: Tensor, changes: dict[str, Any], passes: int) -> None:
    config = tiny(**DEACL | changes)
    student, _ = start(config, noise_images)
    seen: dict[str, int] = {"student": 0, "teacher": 0}
    for name, network in (("student", student.encoder), ("teacher", student.second_network)):
        assert network is not None
        network.register_forward_pre_hook(lambda _, views, name=name: seen.update({name: seen[name] + len(views[0])}))
    student.train_batch()
    assert seen == {"student": 8 * passes, "teacher": 8 * 2}, "the teacher sees the clean views once, whatever follows"
    assert config.view_passes_per_image() == passes
    assert student.view_passes == 8 * passes
    cost = PassCost(update=0, attack=0, target=10**6)
    assert train_pflop_per_batch(config, cost, 8) * 1e15 == pytest.approx(8 * 2 * 1e6)
    assert student.pass_cost.attack == 2 * student.pass_cost.target, "forward, and backward for the views"
