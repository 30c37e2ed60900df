"""What a trial costs: floating-point operations of training, counted rather than timed."""

import copy
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from trainables.pretraining.encoders import Encoder
from trainables.pretraining.second_networks import SecondNetwork
from trainables.trial_config import TrialConfig


@dataclass(frozen=True)
class PassCost:
    """Floating-point operations of one view through encoder and projector (a multiply-add counts as two)."""

    update: int  # forward, and backward for the weights and, in free adversarial training, for the input
    attack: int  # forward, and backward for the input alone
    target: int = 0  # forward through the method's second network


def count_pass_cost(encoder: Encoder, config: TrialConfig, target: SecondNetwork | None = None) -> PassCost:
    """Counts the operations of one view by running two through copies of the networks on the CPU.

    The losses, the optimiser and view generation are not counted: they amount to a few percent of the rest at the
    paper's size, as does the forward pass of the clean view that SimCLR with PGD makes before its attack. Convolutions
    and matrix products are counted, element-wise operations are not.
    """
    probe = copy.deepcopy(encoder).to("cpu").train()
    views = torch.rand(2, 3, config.image_size, config.image_size, generator=torch.Generator().manual_seed(0))

    def count(weights: bool, inputs: bool) -> int:
        probe.requires_grad_(weights)
        with FlopCounterMode(display=False) as counter:
            probe(views.clone().requires_grad_(inputs)).sum().backward()
        return int(counter.get_total_flops()) // len(views)

    def count_forward(network: SecondNetwork) -> int:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            copy.deepcopy(network).to("cpu")(views)
        return int(counter.get_total_flops()) // len(views)

    return PassCost(
        update=count(True, config.adversary == "free"),
        attack=count(False, True),
        target=0 if target is None else count_forward(target),
    )


def train_pflop_per_batch(config: TrialConfig, cost: PassCost, num_images: int) -> float:
    """PFLOP (1e15 operations) of training on a batch of ``num_images`` images, attack, replays and targets included."""
    update_passes = (config.num_perturbed_views() + config.num_clean_views()) * config.updates_per_batch()
    attack_passes = config.view_passes_per_image() - update_passes
    attack_cost = cost.update if config.gradient_leak else cost.attack
    target_passes = config.num_target_views() * config.updates_per_batch()
    return num_images * (update_passes * cost.update + attack_passes * attack_cost + target_passes * cost.target) / 1e15
