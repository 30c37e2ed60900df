"""Networks beside the encoder that are not trained by gradients and give the targets of a loss.

Each is a ``SecondNetwork``; the entry of a method names the function that makes it. Its state is kept in checkpoints,
its forward passes are counted in ``train_pflop``, and it is compiled where the encoder is.
"""

import copy
import math

import torch
from torch import Tensor, nn

from trainables.pretraining.encoders import Encoder, ProjectedEncoder
from trainables.pretraining.methods import METHODS, imported
from trainables.trial_config import TrialConfig


class SecondNetwork(nn.Module):
    """A network (N, 3, S, S) -> (N, D) without gradients; this one never changes.

    Args:
        network: what it computes; its parameters are frozen, its mode (training or evaluation) is left as it is.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)

    def forward(self, views: Tensor) -> Tensor:
        """Outputs (N, D) of views (N, 3, S, S), fp32 whatever the autocast."""
        outputs: Tensor = self.network(views)
        return outputs.float()

    def follow(self, encoder: Encoder, share_done: float) -> None:
        """Called after each update of the encoder; ``share_done`` of the updates had been made before it."""


class MovingAverage(SecondNetwork):
    """BYOL's target network: an exponential moving average of the encoder's parameters, without its predictor.

    Its momentum rises from ``byol_momentum`` to 1 by a cosine. It stays in training mode, so that BatchNorm uses the
    statistics of the batch as in the encoder; running statistics, which nothing reads, are its own.

    Source: BYOL (arXiv:2006.07733), equation 1, and the schedule among its implementation details.
    """

    def __init__(self, encoder: ProjectedEncoder, config: TrialConfig) -> None:
        network = copy.deepcopy(encoder).train()
        network.predictor = nn.Identity()
        super().__init__(network)
        self.momentum = config.byol_momentum

    @torch.no_grad()
    def follow(self, encoder: Encoder, share_done: float) -> None:
        """Moves every parameter towards the encoder's."""
        toward = (1 - self.momentum) * (1 + math.cos(math.pi * share_done)) / 2
        online = dict(encoder.named_parameters())
        pairs = [(mine, online[name]) for name, mine in self.network.named_parameters()]
        torch._foreach_lerp_([mine for mine, _ in pairs], [theirs for _, theirs in pairs], toward)


def build_second_network(encoder: Encoder, config: TrialConfig) -> SecondNetwork | None:
    """The second network of ``config.method`` for a new encoder, on its device; None if the method has none."""
    path = METHODS[config.method].second_network
    return None if path is None else imported(path)(encoder, config)
