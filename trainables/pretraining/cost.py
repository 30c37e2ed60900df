"""What a trial costs: floating-point operations of training, counted rather than timed."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from trainables.pretraining.encoders import Encoder, ProbeLayer
from trainables.pretraining.methods import METHODS
from trainables.pretraining.recomputation import RecomputedBlocks
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
    and matrix products are counted, element-wise operations are not, nor is
    what activation checkpointing computes again.
    """
    cost = _count(encoder, config, lambda counted, views: counted(views), config.adversary == "free")
    if target is None:
        return cost
    views = torch.rand(1, 3, config.image_size, config.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copy.deepcopy(target).to("cpu").eval()(views)
    return replace(cost, target=int(counter.get_total_flops()))


def count_feature_cost(encoder: Encoder, config: TrialConfig, layer: ProbeLayer) -> PassCost:
    """Counts the operations of one image on its way to the features of ``layer``, as in a full fine-tuning.

    The linear head is not counted, so that the cost does not depend on the number of classes.
    """
    return _count(encoder, config, lambda counted, views: counted.features(views, layer), False)


def _count(encoder: Encoder, config: TrialConfig, forward: Callable[[Any, Tensor], Tensor], is_free: bool) -> PassCost:
    counted = copy.deepcopy(encoder).to("cpu").train()
    for module in counted.modules():
        if isinstance(module, RecomputedBlocks):
            module.recomputes = False
    views = torch.rand(2, 3, config.image_size, config.image_size, generator=torch.Generator().manual_seed(0))

    def count(weights: bool, inputs: bool) -> int:
        counted.requires_grad_(weights)
        with FlopCounterMode(display=False) as counter:
            forward(counted, views.clone().requires_grad_(inputs)).sum().backward()
        return int(counter.get_total_flops()) // len(views)

    return PassCost(update=count(True, is_free), attack=count(False, True))


def train_pflop_per_batch(config: TrialConfig, cost: PassCost, num_images: int) -> float:
    """PFLOP (1e15 operations) of training on a batch of ``num_images`` images, attack, replays and targets included."""
    update_passes = (config.num_perturbed_views() + config.num_clean_views()) * config.updates_per_batch()
    attack_passes = config.view_passes_per_image() - update_passes
    attack_cost = cost.update if config.gradient_leak else cost.attack
    target_passes = config.target_passes_per_image()
    return num_images * (update_passes * cost.update + attack_passes * attack_cost + target_passes * cost.target) / 1e15


def finetuning_pflop(encoder: Encoder, config: TrialConfig) -> float:
    """PFLOP (1e15 operations) of a whole full fine-tuning, for each of its training images; 0 for any other probe.

    Each epoch costs the steps of the attack and an update; TRADES predicts the clean image before its attack, which is
    half a step, and its update is on both images.
    """
    if config.probe != "full_finetuning":
        return 0.0
    layer: ProbeLayer = "backbone" if METHODS[config.method].needs_labels else config.probe_layer
    cost = count_feature_cost(encoder, config, layer)
    pgd = config.probe_attack_steps * cost.attack + cost.update
    per_epoch = pgd + cost.attack / 2 + cost.update if config.probe_loss == "trades" else pgd
    return config.probe_recipe().epochs * per_epoch / 1e15
