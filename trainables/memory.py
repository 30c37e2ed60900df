"""The least memory that a pretraining needs, checked before it begins."""

import copy
import os
import resource
from pathlib import Path

import torch
from torch import Tensor

from trainables.pretraining.encoders import Encoder
from trainables.pretraining.recomputation import RecomputedBlocks
from trainables.trial_config import TrialConfig

GIB = 2**30
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def require_memory(encoder: Encoder, config: TrialConfig, device: torch.device, num_processes: int = 1) -> None:
    """Raises ``MemoryError`` if ``least_training_bytes`` exceeds what ``device`` has, or what a cap allows."""
    needed, there = least_training_bytes(encoder, config, num_processes), available_bytes(device)
    if needed > there:
        num_images = config.batch_size // num_processes
        raise MemoryError(
            f"out of memory before it began: {config.num_views} views of {num_images} images need at least "
            f"{needed / GIB:.1f} GiB in training, {device.type} has {there / GIB:.1f} GiB; "
            "lower num_views, batch_size or image_size, or set activation_checkpointing=true"
        )


def least_training_bytes(encoder: Encoder, config: TrialConfig, num_processes: int = 1) -> int:
    """What an update holds at once: activations of all views for the backward pass, weights, gradients, momentum.

    This is of each of the ``num_processes`` that share a batch. A lower bound: temporary memory of operations, the
    views and, on a CPU, gaps in the heap come on top. As measured on a CPU, these add half as much again for ResNet-18,
    and as much again for large batches of the laptop preset's small network. torch.compile may keep less, by
    recomputing some activations.
    """
    num_images = config.batch_size // num_processes
    num_views = (config.num_clean_views() + config.num_perturbed_views()) * num_images
    parameters = sum(p.numel() * p.element_size() for p in encoder.parameters())
    return num_views * activation_bytes_per_view(encoder, config) + 3 * parameters


def activation_bytes_per_view(encoder: Encoder, config: TrialConfig) -> int:
    """Bytes that the forward pass of one more view keeps for the backward pass, measured on a CPU copy of the model."""
    probe = copy.deepcopy(encoder).to("cpu").train()
    return (_saved_bytes(probe, config, 4) - _saved_bytes(probe, config, 2)) // 2


def _saved_bytes(encoder: Encoder, config: TrialConfig, num_views: int) -> int:
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    for blocks in (module for module in encoder.modules() if isinstance(module, RecomputedBlocks)):
        for block in blocks:  # what is kept of it does not pass through the hooks below
            block.register_forward_pre_hook(lambda block, inputs: (note(inputs[0]),))
    views = torch.zeros(num_views, 3, config.image_size, config.image_size)
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.precision == "bf16"),
    ):
        kept = encoder(views)
    del kept
    return sum(sizes.values())


def available_bytes(device: torch.device) -> int:
    """This process's share of a CUDA device; on a CPU, what the machine, the container and the process limit allow."""
    if device.type == "cuda":
        share = torch.cuda.get_per_process_memory_fraction(device)
        return int(share * torch.cuda.get_device_properties(device).total_memory)
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft)
    if CGROUP_LIMIT.exists() and (text := CGROUP_LIMIT.read_text().strip()) != "max":
        limits.append(int(text))
    return min(limits)


def cap_device(share: float, device: torch.device) -> None:
    """Limits PyTorch to ``share`` (0 to 1) of the GPU's memory; does nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)
