"""Accuracy of a k-nearest-neighbours classifier: what features separate without any trained probe.

Shapes: M bank images, N query images, F features, K classes, k neighbours.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from trainables.data.stored_images import Images
from trainables.evaluation.probe import ProbedClassifier, frozen_features, probed_layer
from trainables.pretraining.encoders import Encoder
from trainables.trial_config import TrialConfig

TEMPERATURE = 0.07
SIMILARITIES_AT_ONCE = 2**24


def correct_by_neighbours(
    encoder: Encoder,
    bank: tuple[Images, Tensor],
    queries: tuple[Images, Tensor],
    num_neighbours: int,
    config: TrialConfig,
) -> np.ndarray:
    """Which query images are classified correctly by their neighbours among the bank's, bool (N,).

    Args:
        encoder: put into evaluation mode. Its features are those that the probe of ``config`` reads.
        bank, queries: images (., 3, S, S) uint8 and labels (.,) int64.
        num_neighbours: k, at most M.
        config: the fields that say what is probed.
    """
    unused = skip_init(nn.Linear, encoder.layer_dims[probed_layer(config)], 1)
    classifier = ProbedClassifier(encoder, unused.to(next(encoder.parameters()).device), config).eval()
    classifier.redraw_for("neighbours")
    known, asked = (frozen_features(classifier, images) for images, _ in (bank, queries))
    predicted = votes_of_neighbours(known, bank[1], asked, int(bank[1].max()) + 1, num_neighbours).argmax(dim=1)
    return (predicted.cpu() == queries[1]).numpy()


@torch.no_grad()
def votes_of_neighbours(bank: Tensor, labels: Tensor, queries: Tensor, num_classes: int, num_neighbours: int) -> Tensor:
    """The votes (N, K) of the k bank features (M, F) that are most similar to each query (N, F), by their labels (M,).

    Similarity s is the cosine; a vote counts exp(s / 0.07).

    Source: Wu et al. (arXiv:1805.01978), section 3.4.

    Example:
        >>> bank, labels = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.1, 1.0]]), torch.tensor([0, 1, 1])
        >>> votes_of_neighbours(bank, labels, torch.tensor([[0.0, 1.0]]), num_classes=2, num_neighbours=2).argmax(dim=1)
        tensor([1])
    """
    votes = [
        _votes(bank, labels.to(bank.device), part.to(bank.device), num_classes, num_neighbours)
        for part in queries.split(max(1, SIMILARITIES_AT_ONCE // len(bank)))
    ]
    return torch.cat(votes)


def _votes(bank: Tensor, labels: Tensor, queries: Tensor, num_classes: int, num_neighbours: int) -> Tensor:
    cosines = functional.normalize(queries) @ bank.T / bank.norm(dim=1).clamp(min=1e-12)
    nearest = cosines.topk(num_neighbours, dim=1)
    votes = torch.zeros(len(queries), num_classes, dtype=bank.dtype, device=bank.device)
    return votes.scatter_add_(1, labels[nearest.indices], (nearest.values / TEMPERATURE).exp())
