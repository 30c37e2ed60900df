"""Losses against their formulas, written as loops."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainables.pretraining.methods import METHODS, MethodName
from trainables.pretraining.ssl_losses import invariance_loss, nt_xent_loss, ssl_loss, total_coding_rate
from trainables.trial_config import TrialConfig


def unit_vectors(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return functional.normalize(drawn, dim=-1).to(dtype)


def coding_rate_reference(projections: Tensor, eps2: float) -> float:
    """1/2 logdet of the D x D form of EMP-SSL's equation 2, averaged over the views."""
    rates = []
    for view in projections.double():
        num_images, dim = view.shape
        matrix = torch.eye(dim, dtype=torch.float64) + dim / (num_images * eps2) * view.T @ view
        sign, logdet = torch.linalg.slogdet(matrix)
        assert sign == 1
        rates.append(float(logdet) / 2)
    return sum(rates) / len(rates)


@pytest.mark.parametrize(("num_images", "dim"), [(6, 20), (20, 6), (9, 9), (100, 64)])
@pytest.mark.parametrize("eps2", [0.2, 2.0])
def test_total_coding_rate_equals_slogdet(num_images: int, dim: int, eps2: float) -> None:
    projections = unit_vectors(3, num_images, dim)
    expected = coding_rate_reference(projections, eps2)
    assert float(total_coding_rate(projections, eps2)) == pytest.approx(expected, rel=1e-10)
    assert float(total_coding_rate(projections.float(), eps2)) == pytest.approx(expected, rel=1e-5)


def test_total_coding_rate_of_equal_vectors_has_one_eigenvalue() -> None:
    projections = unit_vectors(1, 1, 16).expand(2, 10, 16)  # the D x D matrix then has eigenvalues 1 + D/eps2 and 1
    assert float(total_coding_rate(projections, 0.2)) == pytest.approx(math.log(1 + 16 / 0.2) / 2, rel=1e-10)


def test_invariance_equals_loop() -> None:
    projections = unit_vectors(4, 5, 7)
    total = 0.0
    for image in range(5):
        centre = sum(projections[view, image] for view in range(4)) / 4
        for view in range(4):
            z = projections[view, image]
            total += float(z @ centre / (z.norm() * centre.norm()))
    assert float(invariance_loss(projections)) == pytest.approx(-total / 20, rel=1e-10)


def test_invariance_is_minus_one_exactly_for_equal_views() -> None:
    equal = unit_vectors(1, 5, 7).expand(4, 5, 7)
    assert float(invariance_loss(equal)) == pytest.approx(-1, abs=1e-12)
    assert float(invariance_loss(unit_vectors(4, 5, 7))) > -0.95


def test_invariance_to_targets_equals_loop() -> None:
    projections, targets = unit_vectors(4, 5, 7), unit_vectors(3, 5, 7).flip(2)
    total = 0.0
    for image in range(5):
        centre = sum(targets[view, image] for view in range(3))
        for view in range(4):
            z = projections[view, image]
            total += float(z @ centre / (z.norm() * centre.norm()))
    assert float(invariance_loss(projections, targets)) == pytest.approx(-total / 20, rel=1e-10)


def test_clean_views_are_targets_alone(tiny: Callable[..., TrialConfig]) -> None:
    clean, perturbed = unit_vectors(6, 6, 5).split(3)
    config = tiny(num_views=3, adversary="pgd", invariance_target="clean")
    expected = 200 * invariance_loss(perturbed, clean) - total_coding_rate(perturbed, 0.2)
    assert float(ssl_loss(torch.cat([clean, perturbed]), config)) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("has_targets", [False, True])
def test_invariance_has_the_gradient_of_cosines(has_targets: bool) -> None:
    """Where projections come out of a normalisation, as they do: it takes away what cosines do not see, the length."""

    def cosines(z: Tensor, targets: Tensor | None) -> Tensor:
        centre = (z if targets is None else targets).mean(dim=0, keepdim=True)
        return -functional.cosine_similarity(z, centre, dim=2).mean()

    drawn = torch.randn(6, 5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    gradients = []
    for loss in (invariance_loss, cosines):
        z = functional.normalize(drawn, dim=2)
        value = loss(z[:4], z[4:]) if has_targets else loss(z, None)
        gradients.append(torch.autograd.grad(value, drawn)[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_nt_xent_equals_algorithm_1(temperature: float) -> None:
    num_images = 6
    first, second = unit_vectors(2, num_images, 5)
    z = [view[image] for image in range(num_images) for view in (first, second)]  # z_{2k-1}, z_{2k} are positives

    def pair_loss(i: int, j: int) -> float:
        similarity = [math.exp(float(z[i] @ z[k]) / temperature) for k in range(2 * num_images)]
        return -math.log(similarity[j] / sum(s for k, s in enumerate(similarity) if k != i))

    total = sum(pair_loss(2 * k, 2 * k + 1) + pair_loss(2 * k + 1, 2 * k) for k in range(num_images))
    expected = total / (2 * num_images)
    assert float(nt_xent_loss(first, second, temperature)) == pytest.approx(expected, rel=1e-10)


def test_nt_xent_falls_when_positives_agree() -> None:
    first, second = unit_vectors(2, 6, 5)
    assert float(nt_xent_loss(first, first, 0.07)) < float(nt_xent_loss(first, second, 0.07))


def test_emp_ssl_weighs_invariance_and_coding_rate(tiny: Callable[..., TrialConfig]) -> None:
    projections = unit_vectors(3, 6, 5)
    config = tiny(invariance_weight=7.0, coding_rate_weight=0.5, coding_rate_eps2=0.3)
    expected = 7.0 * invariance_loss(projections) - 0.5 * total_coding_rate(projections, 0.3)
    assert float(ssl_loss(projections, config)) == pytest.approx(float(expected), rel=1e-12)


def test_paper_weights_are_the_default() -> None:
    projections = unit_vectors(3, 6, 5)
    expected = 200 * float(invariance_loss(projections)) - coding_rate_reference(projections, 0.2)
    assert float(ssl_loss(projections, TrialConfig())) == pytest.approx(expected, rel=1e-10)


def test_simclr_contrasts_its_two_views(tiny: Callable[..., TrialConfig]) -> None:
    projections = unit_vectors(2, 6, 5)
    config = tiny(method="simclr", num_views=2, temperature=0.3)
    assert float(ssl_loss(projections, config)) == float(nt_xent_loss(projections[0], projections[1], 0.3))


# What holds for every method.


def outputs_and_targets(config: TrialConfig, num_images: int, dim: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Outputs of all views and, for methods that ask, labels or what a second network says."""
    outputs = unit_vectors(config.num_perturbed_views() + config.num_clean_views(), num_images, dim, dtype=dtype)
    labels = torch.arange(num_images) % dim
    targets = unit_vectors(config.num_views, num_images, dim, seed=1, dtype=dtype)
    return outputs, labels if METHODS[config.method].needs_labels else targets


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adversary", ["none", "free"])
@pytest.mark.parametrize(("num_images", "dim"), [(3, 5), (5, 3)])
def test_gradients(
    tiny_of: Callable[..., TrialConfig], method: MethodName, adversary: str, num_images: int, dim: int
) -> None:
    config = tiny_of(method, adversary=adversary)
    outputs, targets = outputs_and_targets(config, num_images, dim, torch.float64)
    assert torch.autograd.gradcheck(lambda z: ssl_loss(z, config, targets), outputs.requires_grad_())


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_collapsed_outputs_are_finite(tiny_of: Callable[..., TrialConfig], method: MethodName) -> None:
    outputs, targets = outputs_and_targets(tiny_of(method), 12, 8, torch.float32)
    collapsed = outputs[:1, :1].expand_as(outputs).clone().requires_grad_()
    loss = ssl_loss(collapsed, tiny_of(method), targets)
    (gradient,) = torch.autograd.grad(loss, collapsed)
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_finite_is_told_by_the_loss_and_raises_nothing(
    tiny_of: Callable[..., TrialConfig], method: MethodName, bad: float
) -> None:
    outputs, targets = outputs_and_targets(tiny_of(method), 6, 8, torch.float32)
    outputs[0, 0, 0] = bad
    loss = ssl_loss(outputs.requires_grad_(), tiny_of(method), targets)
    loss.backward()
    assert not torch.isfinite(loss)
