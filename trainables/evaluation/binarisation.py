"""The binarisation test: does the attack find adversarial examples that are there by construction?

For each image a linear classifier of its own is put on the frozen features. It tells points drawn well within the ball
around the image from one point on the ball's surface, so that this point is an adversarial example of the image. An
attack that does not find one there cannot tell robustness from its own weakness.

Source: Zimmermann et al., Increasing Confidence in Adversarial Robustness Evaluations (arXiv:2206.13991). Deviations:
99 inner points rather than 999, one least-squares solution rather than logistic regression, no random search beside it.

Shapes: N images, P points of each, F features.
"""

import torch
from torch import Tensor, nn

from trainables.evaluation.attack_losses import LOSSES
from trainables.evaluation.probe import ProbedClassifier
from trainables.pgd import pgd
from trainables.streams import stream
from trainables.trial_config import TrialConfig

INNER_POINTS = 99
INNER_SHARE = 0.5  # of the radius within which inner points lie
THRESHOLD = -0.5  # between the -1 that is fitted to the inner points and the 1 of the planted example
MIN_MARGIN = 0.1  # of the planted example above the threshold and of the image below it; less is no separation
RIDGE = 1e-6  # of the mean squared feature, against points that cannot be told apart


def planted_examples_missed(
    classifier: nn.Module, pixels: Tensor, radius: float, config: TrialConfig
) -> tuple[float, int]:
    """The percentage of planted adversarial examples that the evaluation's attack does not find, and their number.

    Args:
        classifier: a function of the image alone; of a ``ProbedClassifier`` the features are used, else logits.
        pixels: (N, 3, S, S) in [0, 1].
        radius: of the l-infinity ball, on the [0, 1] scale.
        config: the ``eval_*`` fields.

    Returns:
        The percentage over the images whose example could be planted, and how many these are (0: the percentage is 0).
    """
    features_of = classifier.features if isinstance(classifier, ProbedClassifier) else classifier
    readouts = [_readout(features_of, image, radius, config, index) for index, image in enumerate(pixels)]
    rows = [index for index, readout in enumerate(readouts) if readout is not None]
    if not rows:
        return 0.0, 0
    weights = torch.stack([readout for readout in readouts if readout is not None])
    clean, found = pixels[rows], torch.zeros(len(rows), dtype=torch.bool, device=pixels.device)
    targets = torch.zeros(len(rows), dtype=torch.int64, device=pixels.device)

    def logits(points: Tensor) -> Tensor:
        """Logits (N, 2), of each image by its own readout: of no example, of an example."""
        margins = (features_of(points).double() * weights[:, :-1]).sum(dim=1) + weights[:, -1]
        return torch.stack([torch.zeros_like(margins), margins], dim=1)

    for loss in config.eval_losses:
        attacked = pgd(
            lambda points, loss=loss: LOSSES[loss](logits(points), targets).sum(),  # type: ignore[misc]
            clean,
            radius=radius,
            step=config.eval_step_255 / 255,
            num_steps=config.eval_pgd_steps,
        )
        with torch.no_grad():
            found |= logits(attacked)[:, 1] > 0
    return 100 * int((~found).sum()) / len(rows), len(rows)


@torch.no_grad()
def _readout(features_of, image: Tensor, radius: float, config: TrialConfig, index: int) -> Tensor | None:  # type: ignore[no-untyped-def]
    """Weights and bias (F + 1) that are negative on the image and its inner points, positive on one of the surface."""
    random = stream(config.seed, "binarisation", index)
    noise = torch.rand((INNER_POINTS, *image.shape), generator=random) * 2 - 1
    corner = torch.randint(0, 2, image.shape, generator=random) * 2.0 - 1
    offsets = torch.cat([torch.zeros(1, *image.shape), INNER_SHARE * noise, corner[None]]).to(image.device)
    features = features_of((image + radius * offsets).clamp(0, 1)).double()
    wanted = torch.full((len(features),), -1.0, dtype=torch.float64, device=image.device)
    wanted[-1] = 1.0
    # Least squares in the space of the points, of which there are fewer than features; centred, for the bias.
    centre = features.mean(dim=0)
    centred = features - centre
    kernel = centred @ centred.T
    ridge = RIDGE * kernel.diagonal().mean().clamp(min=1e-30) * torch.eye(len(kernel), device=image.device).double()
    weights = centred.T @ torch.linalg.solve(kernel + ridge, wanted - wanted.mean())
    bias = wanted.mean() - centre @ weights
    fitted = features @ weights + bias
    if fitted[-1] < THRESHOLD + MIN_MARGIN or fitted[0] > THRESHOLD - MIN_MARGIN:
        return None
    return torch.cat([weights, bias[None] - THRESHOLD])
