"""Pretraining, self-supervised or (for comparison) supervised: standard, PGD, one-step or free adversarial training.

Shapes: V views, B images, C=3 channels, S pixels a side, D projected features. Of several processes that train
together (``data_parallel``), each has b of the B images of a batch; else b = B.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from timm.optim.lars import Lars
from torch import Tensor, nn

from trainables.data.batches import Batches
from trainables.data.stored_images import Images
from trainables.epoch_measures import EpochMeasures
from trainables.hardware import DeviceClock, equal_shapes, hardware_name
from trainables.pgd import ascent_direction, pgd, random_perturbation, within_ball
from trainables.pretraining.cost import count_pass_cost, train_pflop_per_batch
from trainables.pretraining.data_parallel import ALONE, Group, require_processes, synchronise_batchnorm
from trainables.pretraining.encoders import Encoder, build_encoder
from trainables.pretraining.methods import METHODS
from trainables.pretraining.processes import joined
from trainables.pretraining.second_networks import build_second_network
from trainables.pretraining.ssl_losses import attack_loss, ssl_loss
from trainables.pretraining.views import augmentation_strength, make_views
from trainables.streams import stream, stream_seed
from trainables.trial_config import TrialConfig


class TrialDiverged(RuntimeError):
    """A training loss, or what was trained with it, stopped being finite."""


def require_finite(values: Tensor, what: str) -> Tensor:
    """Returns ``values``; raises ``TrialDiverged``, which names them by ``what``, unless all are finite."""
    if not bool(torch.isfinite(values).all()):
        raise TrialDiverged(f"{what} are not finite")
    return values


class Pretraining:
    """The state of one pretraining: encoder, optimiser, perturbation, position and cost so far.

    Args:
        config: the trial.
        images: training images (N, 3, S, S), uint8, in CPU memory or in a file.
        device: where to train.
        labels: (N,) int64, only for methods that need them.
        num_processes: that train together, each with its share of every batch; on CUDA, each on a GPU of its own.

    Raises:
        ValueError: if there are fewer images than one batch, labels are missing, or the processes do not fit.
    """

    def __init__(
        self,
        config: TrialConfig,
        images: Images,
        device: torch.device,
        labels: Tensor | None = None,
        num_processes: int = 1,
    ) -> None:
        if len(images) < config.batch_size:
            raise ValueError(
                f"batch_size must not exceed the training images: batch_size={config.batch_size}, images={len(images)}"
            )
        require_processes(config, num_processes, device)
        if METHODS[config.method].needs_labels and labels is None:
            raise ValueError(f"method {config.method} needs labels")
        self.config, self.device, self.num_processes = config, device, num_processes
        self._group = ALONE
        self._shape, self._labels = (len(images), *images[:1].shape[1:]), labels
        self._batches = Batches(images, labels, config.batch_size, config.seed, "order", device)
        num_classes = None if labels is None else int(labels.max()) + 1
        # A student that begins at random does not begin as its teacher did.
        purpose = "student weights" if METHODS[config.method].has_teacher else "weights"
        encoder = build_encoder(config, stream_seed(config.seed, purpose), num_classes)
        self.encoder: Encoder = encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.second_network = build_second_network(self.encoder, config)
        self.pass_cost = count_pass_cost(self.encoder, config, self.second_network)
        if num_processes > 1:
            for network in self._networks():
                synchronise_batchnorm(network)
        self.is_compiled = device.type == "cuda" if config.compile is None else config.compile
        self._forward: Any = self.encoder
        self._second_forward: Any = self.second_network
        if self.is_compiled:  # whole graphs of fixed shapes: what breaks one is an error, not a loss of time
            self._forward = torch.compile(self.encoder, dynamic=False, fullgraph=True)
            if self.second_network is not None:
                self._second_forward = torch.compile(self.second_network, dynamic=False, fullgraph=True)
        self.optimiser = build_optimiser(self.encoder, config)
        self.perturbation: Tensor | None = None  # for adversary free: (V or 1, B, 3, S, S)
        self._known_targets: Tensor | None = None  # of this batch, from a second network that never changes
        self.batches_per_epoch = len(images) // config.batch_size
        self.batches_done = 0
        self._clock, self._train_seconds = DeviceClock(device), 0.0
        self._loss_sum = torch.zeros((), device=device)
        self._loss_count = 0
        self._last_mean_loss = math.nan
        self._whole_sum, self._whole_count = torch.zeros((), device=device), 0  # of the losses since the beginning
        self.measures = EpochMeasures(device)
        self._pflop_per_batch = train_pflop_per_batch(config, self.pass_cost, config.batch_size)
        self.hardware: list[str] = []  # that ``train_seconds`` were clocked on

    @property
    def num_batches(self) -> int:
        """Number of batches in the whole pretraining."""
        return self.config.epochs * self.batches_per_epoch

    @property
    def is_finished(self) -> bool:
        """Whether the pretraining is complete."""
        return self.batches_done == self.num_batches

    @property
    def view_passes_per_batch(self) -> int:
        """View passes of one batch, including its attack steps and replays."""
        return self.config.batch_size * self.config.view_passes_per_image()

    @property
    def view_passes(self) -> int:
        """View passes so far."""
        return self.batches_done * self.view_passes_per_batch

    @property
    def train_pflop(self) -> float:
        """Training cost so far in PFLOP (1e15 operations)."""
        return self.batches_done * self._pflop_per_batch

    @property
    def total_pflop(self) -> float:
        """Training cost of the whole pretraining in PFLOP (1e15 operations)."""
        return self.num_batches * self._pflop_per_batch

    @property
    def train_seconds(self) -> float:
        """Training time so far; reading it waits for the device."""
        seconds = self._clock.take()
        self._train_seconds += seconds
        self.measures.add_seconds(seconds)
        return self._train_seconds

    @train_seconds.setter
    def train_seconds(self, seconds: float) -> None:
        self._train_seconds = seconds

    def run(self) -> Iterator[None]:
        """Trains to the end, yielding after every batch; can be interrupted and resumed at any of these points.

        A GPU may then still be at work: the host waits for it only where something is read.
        """
        with joined(1 if self.is_finished else self.num_processes, self.device, self._start_of_others) as group:
            yield from self.run_in(group)

    def run_in(self, group: Group) -> Iterator[None]:
        """The same as one of ``group``, all of which must do this from equal states."""
        self._group = group
        self.encoder.train()
        if not self.is_finished:
            self.hardware = list(dict.fromkeys([*self.hardware, hardware_name(self.device, group.size)]))
        if self.is_compiled and not self.is_finished:
            with group.synchronised():
                self.compile_graphs()
        while not self.is_finished:
            group.proceed()
            with equal_shapes(self.device), self._clock.running(), group.synchronised():
                self.train_batch()
            self._note_batch()
            yield
            self.encoder.train()
        self._batches.release()

    def compile_graphs(self) -> None:
        """Compiles the graphs that training uses by running the passes of the next batch; the state is left unchanged.

        This is not counted in ``train_seconds``: which trial has to compile depends on what its process has run before.
        """
        buffers = [(buffer, buffer.clone()) for network in self._networks() for buffer in network.buffers()]
        perturbation = self.perturbation
        views, labels = self._next_batch()
        if self.config.adversary == "free":
            self._free_gradients(views, labels, replay=0)
        else:
            self._gradients(views, labels)
        self.optimiser.zero_grad()
        self.perturbation = perturbation
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        self._synchronise()

    def train_batch(self) -> None:
        """Draws the views of the next batch and makes its update, or several updates in free adversarial training."""
        views, labels = self._next_batch()
        if self.config.adversary == "free":
            for replay in range(self.config.replays):
                self._step(self._free_gradients(views, labels, replay), replay)
        else:
            self._step(self._gradients(views, labels))
        self.batches_done += 1

    def mean_loss(self) -> float:
        """Mean training loss since the last call, or what that call returned if there was no update since.

        Raises:
            TrialDiverged: if it is not finite.
        """
        self.check_finite()
        if self._loss_count > 0:
            self._last_mean_loss = float(self._loss_sum) / self._loss_count
            self._loss_sum.zero_()
            self._loss_count = 0
        return self._last_mean_loss

    def whole_mean_loss(self) -> float:
        """Mean training loss of all updates so far."""
        return float(self._whole_sum) / self._whole_count if self._whole_count else self._last_mean_loss

    def check_finite(self) -> None:
        """Raises ``TrialDiverged`` if any loss since the last ``mean_loss`` was not finite."""
        if not math.isfinite(float(self._loss_sum)):
            raise TrialDiverged(f"the training loss is {float(self._loss_sum)} after {self.view_passes} view passes")

    def state_dict(self) -> dict[str, Any]:
        """All that ``load_state_dict`` needs to resume with identical numbers; the tensors are live, not copies."""
        return {
            "encoder": self.encoder.state_dict(),
            "second_network": None if self.second_network is None else self.second_network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "perturbation": self.perturbation,
            "batches_done": self.batches_done,
            "train_seconds": self.train_seconds,
            "loss_sum": self._loss_sum,
            "loss_count": self._loss_count,
            "last_mean_loss": self._last_mean_loss,
            "whole_sum": self._whole_sum,
            "whole_count": self._whole_count,
            "hardware": self.hardware,
            "measures": self.measures.state_dict(),  # after train_seconds, which adds to it
        }

    def finished_state(self) -> dict[str, Any]:
        """The state of a completed pretraining, without what only further updates would need.

        Raises:
            ValueError: if it is not complete.
        """
        if not self.is_finished:
            raise ValueError(f"the pretraining is not complete: {self.batches_done} of {self.num_batches} batches")
        return self.state_dict() | {"optimiser": None, "perturbation": None, "second_network": None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a state that ``state_dict`` returned for an equal pretraining config, in this version or before."""
        self.encoder.load_state_dict(state["encoder"])
        if self.second_network is not None and state["second_network"] is not None:
            self.second_network.load_state_dict(state["second_network"])
        if state["optimiser"] is not None:
            self.optimiser.load_state_dict(state["optimiser"])
        self.perturbation = None if state["perturbation"] is None else state["perturbation"].to(self.device)
        self.batches_done = state["batches_done"]
        self.train_seconds = state["train_seconds"]
        self._loss_sum = state["loss_sum"].to(self.device)
        self._loss_count = state["loss_count"]
        self._last_mean_loss = state["last_mean_loss"]
        self._whole_sum = state.get("whole_sum", state["loss_sum"]).to(self.device, copy=True)
        self._whole_count = state.get("whole_count", state["loss_count"])
        self.hardware = state.get("hardware", ["unknown hardware"])
        if "measures" in state:  # earlier versions had none
            self.measures.load_state_dict(state["measures"])

    def _networks(self) -> list[nn.Module]:
        return [self.encoder] if self.second_network is None else [self.encoder, self.second_network]

    def _start_of_others(self) -> dict[str, Any]:
        """What ``other_process`` begins with."""
        config, state = self.config.model_dump(mode="json"), self.state_dict()
        return {"config": config, "images": self._shape, "labels": self._labels, "state": state}

    def _next_batch(self) -> tuple[Tensor, Tensor | None]:
        """Views (V, b, 3, S, S) of this process's part of the next batch, and labels (B,) of all of it.

        An incomplete last batch of an epoch is dropped.
        """
        epoch, batch = divmod(self.batches_done, self.batches_per_epoch)
        images, labels = self._batches.load(epoch, batch)
        images = self._group.from_first(images)
        strength, random = augmentation_strength(epoch, self.config), stream(self.config.seed, "views", epoch, batch)
        return make_views(images, self.config, random, strength, part=self._group.part(len(images))), labels

    def _gradients(self, views: Tensor, labels: Tensor | None) -> Tensor:
        """The loss, on adversarial examples if there is an attack; the weights' gradients are left in ``.grad``."""
        clean, attacked = self._split(views)
        targets = self._targets(views, labels)
        self.optimiser.zero_grad()
        if self.config.attack_steps() > 0:
            attacked = self._attacked(clean, attacked, targets)
        loss = self._loss(self._project_all([*clean, attacked]), targets)
        loss.backward()
        return loss

    def _attacked(self, clean: list[Tensor], views: Tensor, targets: Tensor | None) -> Tensor:
        """PGD or one-step examples of ``views`` (V, B, 3, S, S).

        Source of the one step from a random start: Wong et al. (arXiv:2001.03994).
        """
        config = self.config
        self.encoder.train(config.attack_batchnorm == "train")
        anchored = [views] if config.simclr_attack_anchor == "same_view" and config.method == "simclr" else clean
        if METHODS[config.method].has_teacher and config.distillation_attack_anchor == "teacher":
            anchored = []

        def anchors() -> list[Tensor]:
            return [self._project(part) for part in anchored]

        with torch.no_grad():
            fixed = None if config.has_leaking_anchor() else anchors()
        # A compiled graph computes gradients for everything that required them in its forward pass, requested or not.
        self.encoder.requires_grad_(config.gradient_leak)
        radius, step, start = config.attack_radius_255 / 255, config.attack_step_255 / 255, None
        if config.adversary == "fgsm":
            step = config.fgsm_step_factor * radius
        if config.adversary == "fgsm" or METHODS[config.method].starts_at_random:
            start = self._group.own(self._random_start(views, radius))
        try:
            return pgd(
                lambda perturbed: self._loss(
                    torch.cat([*(anchors() if fixed is None else fixed), self._project(perturbed)]),
                    targets,
                    attack_loss,
                ),
                views,
                norm=config.attack_norm,
                radius=radius,
                step=step,
                num_steps=config.attack_steps(),
                start=start,
                leak_into=list(self.encoder.parameters()) if config.gradient_leak else (),
            )
        finally:
            self.encoder.requires_grad_(True).train()

    def _random_start(self, views: Tensor, radius: float) -> Tensor:
        """Uniform in the ball, for all of a batch (V, B, 3, S, S) of which ``views`` are a part; drawn on their device.

        A CPU is slow for millions of numbers.
        """
        purpose = ("attack", *divmod(self.batches_done, self.batches_per_epoch))
        random = torch.Generator(self.device).manual_seed(stream_seed(self.config.seed, *purpose))
        return random_perturbation(self._whole_shape(views), radius, self.config.attack_norm, random)

    def _whole_shape(self, views: Tensor) -> torch.Size:
        return torch.Size([len(views), self.config.batch_size, *views.shape[2:]])

    def _free_gradients(self, views: Tensor, labels: Tensor | None, replay: int) -> Tensor:
        """The loss of one replay: a single backward pass gives the gradients of the weights and of the perturbation."""
        config = self.config
        radius = config.attack_radius_255 / 255
        step = radius if config.free_step == "radius" else config.attack_step_255 / 255
        clean, attacked = self._split(views)
        targets = self._targets(views, labels, replay)
        if self.perturbation is None or (replay == 0 and config.perturbation == "reset"):
            at_random = METHODS[config.method].starts_at_random
            zeros = attacked.new_zeros(self._whole_shape(attacked))
            self.perturbation = self._random_start(attacked, radius) if at_random else zeros
        perturbed = attacked + self._group.own(self.perturbation)
        if config.perturbation != "carried_unclamped":
            perturbed = perturbed.clamp(0, 1)
        perturbed.requires_grad_()
        self.optimiser.zero_grad()
        loss = self._loss(self._project_all([*clean, perturbed]), targets)
        loss.backward()
        assert perturbed.grad is not None
        moved = perturbed.detach() + step * ascent_direction(perturbed.grad, config.attack_norm)
        kept = within_ball(moved - attacked, radius, config.attack_norm)
        self.perturbation = self._group.gathered((attacked + kept).clamp(0, 1) - attacked)
        return loss

    def _targets(self, views: Tensor, labels: Tensor | None, replay: int = 0) -> Tensor | None:
        """What the loss compares the outputs with: labels (B,), outputs (V, B, D) of the second network, or nothing."""
        if self.second_network is None:
            return labels
        if replay == 0 or not METHODS[self.config.method].has_teacher:
            with torch.no_grad():
                self._known_targets = self._group.gathered(self._outputs(self._second_forward, views))
        return self._known_targets

    def _loss(self, outputs: Tensor, targets: Tensor | None, loss_fn: Callable[..., Tensor] = ssl_loss) -> Tensor:
        """The training loss, or another one of the same arguments, of the outputs (V, b, D) of all processes."""
        return loss_fn(self._group.gathered(outputs), self.config, targets)

    def _split(self, views: Tensor) -> tuple[list[Tensor], Tensor]:
        """The views that are projected clean (none or one group of them) and those that an adversary may perturb."""
        num_clean = self.config.num_clean_views()
        return [views[:num_clean]] if num_clean else [], views[-self.config.num_perturbed_views() :]

    def _project_all(self, groups: list[Tensor]) -> Tensor:
        """The outputs (V, B, D) of one or more groups of views, each a batch for BatchNorm, or all one batch."""
        if METHODS[self.config.method].joins_batches:
            return self._project(torch.cat(groups))
        return torch.cat([self._project(views) for views in groups])

    def _project(self, views: Tensor) -> Tensor:
        """The encoder's outputs (V, B, D) of views (V, B, 3, S, S), all in one batch for BatchNorm."""
        return self._outputs(self._forward, views)

    def _outputs(self, forward: Callable[[Tensor], Tensor], views: Tensor) -> Tensor:
        flat = views.flatten(0, 1)
        with autocast(self.config, self.device):
            outputs = forward(flat.contiguous(memory_format=torch.channels_last))
        return outputs.unflatten(0, views.shape[:2])

    def _step(self, loss: Tensor, replay: int = 0) -> None:
        """One optimiser step at the learning rate of this update; ``loss`` enters the mean loss."""
        update = self.batches_done * self.config.updates_per_batch() + replay
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate_at(update, self.num_batches, self.config)
        self._group.sum_gradients(self.encoder.parameters())
        self.optimiser.step()
        for total in (self._loss_sum, self._whole_sum):
            total += loss.detach()
        self.measures.add_loss(loss)
        if self.second_network is not None:
            self.second_network.follow(self.encoder, update / (self.num_batches * self.config.updates_per_batch()))
        self._loss_count += 1
        self._whole_count += 1

    def _note_batch(self) -> None:
        self.measures.add_images(self.config.batch_size)
        epoch, batch = divmod(self.batches_done, self.batches_per_epoch)
        if batch == 0:
            _ = self.train_seconds  # hands the seconds of the epoch on to its measures
            self.measures.end_epoch(epoch, self.optimiser.param_groups[0]["lr"])

    def _synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def learning_rate_at(update: int, num_batches: int, config: TrialConfig) -> float:
    """The learning rate at ``update`` (counted from 0), from ``learning_rate`` to 0 without warm-up.

    With ``lr_schedule='cooldown'`` it is constant up to ``cooldown_start`` and then falls linearly, to reach 0 after
    the last update (Hägele et al., arXiv:2405.18392). Up to there it does not depend on how long the training will be.

    Else it is a cosine. With ``lr_horizon='updates'`` the rate reaches 0 after the last update. With 'batches' the
    horizon counts batches although the schedule advances with every replay, as in the paper's code, so that for m > 1
    the rate rises again.
    """
    if config.lr_schedule == "cooldown":
        start, end = (n * config.updates_per_batch() for n in (cooldown_start(num_batches, config), num_batches))
        return config.learning_rate * min(1.0, (end - update) / (end - start))
    horizon = num_batches * (config.updates_per_batch() if config.lr_horizon == "updates" else 1)
    return config.learning_rate * (1 + math.cos(math.pi * update / horizon)) / 2


def cooldown_start(num_batches: int, config: TrialConfig) -> int:
    """How many of ``num_batches`` batches come before the learning rate falls: the whole number nearest to their share.

    At least one batch is left for the cooldown.
    """
    return num_batches - max(1, round(config.cooldown_share * num_batches))


def build_optimiser(encoder: nn.Module, config: TrialConfig) -> Lars:
    """LARS over Nesterov SGD, with no adaptation and no weight decay for one-dimensional parameters."""
    parameters = list(encoder.parameters())
    return Lars(
        [
            {
                "params": [p for p in parameters if p.ndim > 1],
                "weight_decay": config.weight_decay,
                "always_adapt": True,
            },
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0, "always_adapt": False},
        ],
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.momentum > 0,
        trust_coeff=config.lars_trust_coefficient,
        trust_clip=True,
    )


def autocast(config: TrialConfig, device: torch.device) -> AbstractContextManager[Any]:
    """The autocast context of ``config.precision``; does nothing for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")
