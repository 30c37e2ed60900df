"""What an attack would see of a classifier: its gradients, whether it is one fixed function, what its outputs are.

Shapes: N images, K classes. ``pixels`` is what an attacker perturbs, in [0, 1], shape (N, ...).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainables.evaluation.attack_losses import LOSSES
from trainables.evaluation.probe import ProbedClassifier

SUM_TOLERANCE = 1e-4  # of what counts as probabilities


def classifier_checks(
    classifier: nn.Module, pixels: Tensor, targets: Tensor, losses: tuple[str, ...]
) -> dict[str, float]:
    """Check -> value, as in ``check_table``; a classifier of redrawn views draws the same ones for each pass.

    Args:
        classifier: in the mode in which it is evaluated.
        pixels: (N, ...), N >= 2.
        targets: (N,) int64.
        losses: that attacks ascend.
    """
    redraw = _redraw(classifier)
    state = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    redraw()
    with torch.no_grad():
        logits = classifier(pixels).float()
        redraw()
        again = classifier(pixels).float()
        half = len(pixels) // 2
        alone = torch.cat([classifier(part).float() for part in (pixels[:half], pixels[half:])])
    changed = sum(not torch.equal(state[name], tensor) for name, tensor in classifier.state_dict().items())
    redraw()
    found = {
        "zero_gradients": max(_percent(_has_no_gradient(classifier, pixels, targets, loss)) for loss in losses),
        "repeated_passes": _relative_difference(logits, again),
        "changed_state": float(changed + sum(module.training for module in classifier.modules())),
        "probabilities": _percent(
            (logits >= -SUM_TOLERANCE).all(dim=1) & ((logits.sum(dim=1) - 1).abs() < SUM_TOLERANCE)
        ),
        "saturated": _percent(logits.softmax(dim=1).amax(dim=1) == 1),
    }
    # Redrawn views differ between passes of other sizes, whatever else the images share.
    is_drawn = isinstance(classifier, ProbedClassifier) and classifier.is_stochastic
    return found if is_drawn else found | {"other_images": _relative_difference(again, alone)}


def _redraw(classifier: nn.Module) -> Callable[[], None]:
    """Restarts declared draws, so that only undeclared ones differ."""
    if isinstance(classifier, ProbedClassifier) and classifier.is_stochastic:
        return lambda: classifier.redraw_for("checks")
    return lambda: None


def _has_no_gradient(classifier: nn.Module, pixels: Tensor, targets: Tensor, loss: str) -> Tensor:
    """For each image (N,), whether the gradient of ``loss`` with respect to its pixels is zero or not finite."""
    perturbed = pixels.detach().clone().requires_grad_()
    with torch.enable_grad():
        value = LOSSES[loss](classifier(perturbed), targets).sum()
        gradient = torch.autograd.grad(value, perturbed, allow_unused=True)[0] if value.requires_grad else None
    if gradient is None:
        return torch.ones(len(pixels), dtype=torch.bool)
    flat = gradient.flatten(1)
    return ~flat.isfinite().all(dim=1) | (flat == 0).all(dim=1)


def _relative_difference(one: Tensor, other: Tensor) -> float:
    """The largest distance of an image's logits, each scaled to length 1, as AutoAttack compares them."""
    scaled = (logits / (logits.norm(dim=1, keepdim=True) + 1e-10) for logits in (one, other))
    return float((next(scaled) - next(scaled)).norm(dim=1).max())


def _percent(flags: Tensor) -> float:
    return 100 * int(flags.sum()) / len(flags)
