"""How long CF-AMC-SSL should take on a GPU, on paper: operations and bytes counted, rates from data sheets.

    python -m benchmarks.roofline

The update (ResNet-18, 100 images x 16 views, bf16) runs on PyTorch's ``meta`` device, which computes shapes alone;
every operation is counted there with what it reads and writes. On a card an operation takes at least the longer of its
arithmetic at the peak rate and its traffic at the full bandwidth. Fused: element-wise operations cost no traffic of
their own, as if a compiler joined each to its neighbour. Losses, views and the launching of kernels are not counted.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from study.record.environment import git_revision
from trainables.pretraining.encoders import build_encoder
from trainables.trial_config import TrialConfig

NUM_IMAGES = 50_000
SHARES = (0.2, 0.3, 0.4)  # of the peak
PAPER_MINUTES = 97.0  # on an A6000 (the paper's table)
CARDS = {  # dense bf16 FLOP/s with fp32 sums, bytes/s: NVIDIA's data sheets; the last row: measured on such a card
    "RTX A6000": (154.8e12, 0.768e12),
    "A100 SXM 80 GB": (312e12, 2.039e12),
    "H100 SXM": (989.4e12, 3.35e12),
    "H200": (989.4e12, 4.8e12),
    "H200, rates as measured": (790e12, 4.3e12),
}
LARS_PASSES = 9  # over the fp32 weights: norms of weights and gradients, decay, momentum, step


@dataclass
class Work:
    """Operations and bytes of some calls of one kind, one entry a call."""

    flop: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)

    def seconds(self, peak: float, bandwidth: float, is_fused: bool) -> float:
        """At least; without traffic where it ``is_fused`` into its neighbours."""
        traffic = [0] * len(self.bytes) if is_fused else self.bytes
        return sum(max(f / peak, b / bandwidth) for f, b in zip(self.flop, traffic, strict=True))


class Counted(TorchDispatchMode):
    """Notes what each operation computes, reads and writes."""

    def __init__(self) -> None:
        super().__init__()
        self.work: defaultdict[str, Work] = defaultdict(Work)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        counted: Callable[..., int] | None = flop_registry.get(func.overloadpacket)
        if not func.is_view and (counted or func not in FREE):
            tensors = [value for value in tree_iter((args, kwargs, found)) if isinstance(value, Tensor)]
            work = self.work[kind(func, bool(counted))]
            work.flop.append(counted(*args, **(kwargs or {}), out_val=found) if counted else 0)
            work.bytes.append(sum(tensor.numel() * tensor.element_size() for tensor in tensors))
        return found


FREE = {torch.ops.aten.detach.default, torch.ops.aten.t.default, torch.ops.aten.empty.memory_format}
ELEMENTWISE = "element-wise"


def kind(func: Any, has_flop: bool) -> str:
    """Of an operation, for the table."""
    name = str(func)
    if "convolution" in name:
        return "convolutions"
    if has_flop:
        return "matrix products"
    return "BatchNorm" if "batch_norm" in name else ELEMENTWISE


def count_update(config: TrialConfig) -> dict[str, Work]:
    """The work of one free-training update of ``config``: forward, backward for weights and views, LARS."""
    encoder = build_encoder(config, seed=0).to("meta", torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]
    size, num_views = config.image_size, config.num_views * config.batch_size
    views = torch.empty(num_views, 3, size, size, dtype=torch.bfloat16, device="meta", requires_grad=True)
    with Counted() as counted:
        encoder.train()(views.contiguous(memory_format=torch.channels_last)).sum().backward()
    num_weights = sum(p.numel() for p in encoder.parameters())
    return dict(counted.work) | {"LARS": Work([0], [LARS_PASSES * 4 * num_weights])}


def main() -> None:
    """Counts, and prints lines of Markdown."""
    config = TrialConfig()
    work = count_update(config)
    num_updates = config.epochs * (NUM_IMAGES // config.batch_size) * config.updates_per_batch()
    flop = sum(sum(one.flop) for one in work.values())
    total = num_updates * flop
    print(f"revision {git_revision()}, torch {torch.__version__}: {num_updates:,} updates of {flop / 1e12:.2f} TFLOP, "
          f"{total / 1e15:.1f} PFLOP\n")  # fmt: skip
    print("| one update | TFLOP | GB read and written |\n|---|---|---|")
    for name, one in work.items():
        print(f"| {name} | {sum(one.flop) / 1e12:.2f} | {sum(one.bytes) / 1e9:.1f} |")
    heads = [f"at {100 * share:.0f}% of the peak" for share in SHARES]
    print(f"\n| minutes for the recipe | {' | '.join(heads)} | no operation fused, at least | fused, at least |")
    print("|---" * (len(SHARES) + 3) + "|")
    for card, (peak, bandwidth) in CARDS.items():
        cells = [f"{total / (share * peak) / 60:.1f}" for share in SHARES]
        for is_fused in (False, True):
            parts = (o.seconds(peak, bandwidth, is_fused and name == ELEMENTWISE) for name, o in work.items())
            seconds = num_updates * sum(parts)
            cells.append(f"{seconds / 60:.1f} ({100 * total / peak / seconds:.0f}%)")
        print(f"| {card} | {' | '.join(cells)} |")
    peak, _ = CARDS["RTX A6000"]
    share = total / (60 * PAPER_MINUTES) / peak
    print(f"\nThe paper's {PAPER_MINUTES:.0f} minutes on an RTX A6000 are {100 * share:.1f}% of its peak.")


if __name__ == "__main__":
    main()
