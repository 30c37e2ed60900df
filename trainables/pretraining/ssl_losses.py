"""The losses of the methods, in fp32.

Shapes: V views, B images, D projected features; projections z are unit vectors of shape (V, B, D).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from trainables.pretraining.methods import METHODS, imported
from trainables.trial_config import TrialConfig


def ssl_loss(outputs: Tensor, config: TrialConfig, targets: Tensor | None = None) -> Tensor:
    """The loss of ``config.method`` on the outputs (V, B, D) of its views; see ``Method.loss`` for the targets.

    The first ``config.num_clean_views()`` outputs are those of clean views.
    """
    loss: Tensor = imported(METHODS[config.method].loss)(outputs, config, targets)
    return loss


def attack_loss(outputs: Tensor, config: TrialConfig, targets: Tensor | None = None) -> Tensor:
    """What adversary pgd ascends, of the same arguments: the loss unless the method has one of its own for attacks."""
    method = METHODS[config.method]
    loss: Tensor = imported(method.attack_loss or method.loss)(outputs, config, targets)
    return loss


def emp_ssl_loss(projections: Tensor, config: TrialConfig, targets: None = None) -> Tensor:
    """Weighted invariance minus weighted coding rate of the projections (V, B, D) that may be perturbed."""
    num_clean = config.num_clean_views()
    perturbed, clean = (projections[num_clean:], projections[:num_clean]) if num_clean else (projections, None)
    invariance = invariance_loss(perturbed, clean)
    coding_rate = total_coding_rate(perturbed, config.coding_rate_eps2)
    return config.invariance_weight * invariance - config.coding_rate_weight * coding_rate


def simclr_loss(projections: Tensor, config: TrialConfig, targets: None = None) -> Tensor:
    """NT-Xent of two views (2, B, D)."""
    return nt_xent_loss(projections[0], projections[1], config.temperature)


def barlow_twins_loss(projections: Tensor, config: TrialConfig, targets: None = None) -> Tensor:
    """Squared distance from the identity of the correlations (D, D) between the features of two views (2, B, D).

    What is off the diagonal counts ``config.barlow_lambda`` times.

    Source: Barlow Twins (arXiv:2103.03230), equation 1.
    """
    first, second = (functional.batch_norm(view, None, None, training=True) for view in projections)
    correlation = first.mT @ second / len(first)
    squares = (correlation - torch.eye(len(correlation), device=correlation.device)).square()
    diagonal = squares.diagonal().sum()
    return diagonal + config.barlow_lambda * (squares.sum() - diagonal)


def vicreg_loss(projections: Tensor, config: TrialConfig, targets: None = None) -> Tensor:
    """Weighted sum of three terms of the projections (2, B, D): invariance, variance and covariance.

    They are the mean squared difference of the views, what the standard deviation of each feature lacks to 1 on
    average, and the sum over both views of the squared covariances of different features, divided by D.

    Source: VICReg (arXiv:2105.04906), equations 1 to 6; the variance is averaged over the views, as in its code.
    """
    invariance = functional.mse_loss(projections[0], projections[1])
    variance = functional.relu(1 - (projections.var(dim=1) + 1e-4).sqrt()).mean()
    centred = projections - projections.mean(dim=1, keepdim=True)
    squares = (centred.mT @ centred / (projections.shape[1] - 1)).square()
    covariance = (squares.sum() - squares.diagonal(dim1=1, dim2=2).sum()) / projections.shape[2]
    return (
        config.vicreg_invariance_weight * invariance
        + config.vicreg_variance_weight * variance
        + config.vicreg_covariance_weight * covariance
    )


def byol_loss(predictions: Tensor, config: TrialConfig, targets: Tensor) -> Tensor:
    """Squared distance of each view's prediction (2, B, D) to the other view's target, summed over views; in [0, 8].

    Predictions and targets are unit vectors. In adversarial training the targets are those of clean views.

    Source: BYOL (arXiv:2006.07733), equation 2, made symmetric as there.
    """
    return (predictions - targets.flip(0)).square().sum(dim=2).mean(dim=1).sum()


def supervised_loss(logits: Tensor, config: TrialConfig, targets: Tensor) -> Tensor:
    """Cross-entropy of the logits (1, B, K) with the labels ``targets`` (B,)."""
    return functional.cross_entropy(logits[0], targets)


def invariance_loss(projections: Tensor, targets: Tensor | None = None) -> Tensor:
    """Minus the mean cosine similarity of each view (V, B, D) to the mean target (V', B, D) of its image; in [-1, 1].

    Without targets, the projections are their own targets, as in the paper's code, and the loss lies in [-1, 0]; the
    paper's text can be read as taking the projections of the clean views as targets.

    The mean cosine of unit vectors to one centre is the inner product of their mean with the centre's direction, so
    that no further tensor of the size of the projections is needed.

    Source: EMP-SSL (arXiv:2304.03977), equation 1, with the cosine of its code instead of the inner product.
    """
    mean = projections.mean(dim=0)
    centre = mean if targets is None else targets.mean(dim=0)
    return -(mean * functional.normalize(centre, dim=1)).sum(dim=1).mean()


def total_coding_rate(projections: Tensor, eps2: float) -> Tensor:
    """Mean over views of 1/2 logdet(I + D/(B eps2) Z Z^T) for the projections Z (B, D) of each view.

    Args:
        projections: (V, B, D).
        eps2: squared distortion, > 0.

    Source: EMP-SSL (arXiv:2304.03977), equation 2, there with the D x D matrix Z^T Z. By Sylvester's identity both
    determinants are equal, so that the smaller of the two is factored (all views in one batched Cholesky).
    """
    _, num_images, dim = projections.shape
    rate: Tensor = _HalfLogDet.apply(projections, dim / (num_images * eps2))
    return rate.mean()


class _HalfLogDet(torch.autograd.Function):
    """1/2 logdet(I + c Z Z^T) for every Z (B, D) of (V, B, D), with its gradient c (I + c Z Z^T)^-1 Z in closed form.

    Automatic differentiation would take two more products of that size, one for each factor, although both are Z.
    """

    @staticmethod
    def forward(ctx: Any, projections: Tensor, scale: float) -> Tensor:
        num_images, dim = projections.shape[1:]
        gram = projections @ projections.mT if num_images <= dim else projections.mT @ projections
        matrix = gram.mul_(scale)
        matrix.diagonal(dim1=1, dim2=2).add_(1)
        # check_errors would synchronise with the device; the matrix is positive definite unless inputs are not finite.
        factor, _ = torch.linalg.cholesky_ex(matrix, check_errors=False)
        ctx.save_for_backward(projections, factor)
        ctx.scale = scale
        return factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, rate_gradient: Tensor) -> tuple[Tensor, None]:
        projections, factor = ctx.saved_tensors
        identity = torch.eye(factor.shape[1], device=factor.device, dtype=factor.dtype)
        # cholesky_inverse would check for errors and therefore wait for the device.
        half = torch.linalg.solve_triangular(factor, identity, upper=False)
        inverse = half.mT @ half * (ctx.scale * rate_gradient)[:, None, None]
        return inverse @ projections if projections.shape[1] <= projections.shape[2] else projections @ inverse, None


def nt_xent_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalised-temperature cross-entropy over 2B unit vectors; ``first[i]`` and ``second[i]`` (B, D) are positives.

    Source: SimCLR (arXiv:2002.05709), equation 1 and algorithm 1. In robust training one of the two is adversarial.
    """
    both = torch.cat([first, second])
    similarity = both @ both.mT / temperature
    similarity = similarity.masked_fill(torch.eye(len(both), dtype=torch.bool, device=both.device), float("-inf"))
    positives = torch.arange(len(both), device=both.device).roll(len(first))
    return functional.cross_entropy(similarity, positives)
