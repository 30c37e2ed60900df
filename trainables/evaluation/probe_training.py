"""Trains probes: a linear head on the frozen encoder, or, in a full fine-tuning, a head and a copy of the encoder.

Shapes: N images, B images of a batch, S pixels a side, K classes.
"""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data.batches import Batches
from trainables.data.stored_images import Images
from trainables.epoch_measures import EpochMeasures
from trainables.evaluation.probe import ProbedClassifier, frozen_features, probed_layer
from trainables.hardware import DeviceClock, equal_shapes, to_device
from trainables.pgd import pgd, random_perturbation
from trainables.pretraining.encoders import Encoder, HeadedEncoder
from trainables.pretraining.pretrain import require_finite
from trainables.pretraining.views import make_views
from trainables.streams import stream, stream_seed
from trainables.trial_config import TrialConfig

N_VIEWS_MOMENTUM, N_VIEWS_WEIGHT_DECAY = 0.9, 5e-5  # as in the paper's code
ACL_MOMENTUM, ACL_WEIGHT_DECAY = 0.9, 2e-4  # as in the code of ACL, DynACL and DeACL
ACL_MILESTONES = 0.6, 0.8  # shares of the epochs after which the rate falls to a tenth
TRADES_START = 0.001  # standard deviation of the perturbation that the attack of TRADES starts from


class ProbeTraining:
    """The state of a probe's training: head, optimiser, position and, in a full fine-tuning, a copy of the encoder.

    Args:
        encoder: a full fine-tuning leaves it alone. Otherwise it is put into evaluation mode and its parameters no
            longer require gradients; their values and the buffers do not change.
        images: (N, 3, S, S) uint8, in CPU memory or in a file.
        labels: (N,) int64.
        num_classes: K.
        config: ``probe`` and the ``probe_*`` fields.
        num_epochs: passes over the images; 0 for ``own_head``, which is already trained.

    Source: the paper's central and robust central probe (r-LE, Kim et al., arXiv:2006.07589) with Adam, and its probe
    on averaged views with SGD and a cosine schedule. Standard and adversarial linear and full fine-tuning as in ACL
    (arXiv:2010.13337), DynACL (arXiv:2303.01289) and DeACL (arXiv:2207.10899); docs/fidelity.md says what differs.
    """

    def __init__(
        self, encoder: Encoder, images: Images, labels: Tensor, num_classes: int, config: TrialConfig, num_epochs: int
    ) -> None:
        self.is_full = config.probe == "full_finetuning"
        self._is_acl = self.is_full or (config.probe != "n_views" and config.probe_protocol == "acl")
        self.device = next(encoder.parameters()).device
        if self.is_full:
            encoder = copy.deepcopy(encoder)
        if config.probe == "own_head":
            assert isinstance(encoder, HeadedEncoder)
            head, num_epochs = encoder.head, 0
        else:
            head = self._new_head(encoder.layer_dims[probed_layer(config)], num_classes, config).to(self.device)
        self.classifier = ProbedClassifier(encoder, head, config).eval()
        encoder.requires_grad_(self.is_full)
        self.config, self.images, self.labels = config, images, labels
        self._batch_size = config.probe_recipe().batch_size
        # BatchNorm in training mode needs two images: a last one that is alone is left out, another in every epoch.
        is_one_alone = self.is_full and len(images) % self._batch_size == 1
        self.batches_per_epoch = math.ceil((len(images) - is_one_alone) / self._batch_size)
        self.num_batches = num_epochs * self.batches_per_epoch
        self.batches_done = 0
        self._clock, self._seconds = DeviceClock(self.device), 0.0
        self.measures = EpochMeasures(self.device)  # of a full fine-tuning
        self.optimiser, self.schedule = self._build_optimiser(num_epochs)

    @property
    def is_finished(self) -> bool:
        """Whether the training is complete."""
        return self.batches_done == self.num_batches

    @property
    def seconds(self) -> float:
        """Training time so far; reading it waits for the device."""
        seconds = self._clock.take()
        self._seconds += seconds
        self.measures.add_seconds(seconds)
        return self._seconds

    def run(self) -> Iterator[None]:
        """Trains to the end, yielding after every batch; can be interrupted and resumed at any of these points.

        At the end the classifier is in evaluation mode, and none of its parameters requires gradients.

        Raises:
            TrialDiverged: if features or weights are not finite.
        """
        is_cached = self.config.probe in ("central", "n_views") and not self._is_acl
        cached = frozen_features(self.classifier, self.images) if is_cached and not self.is_finished else None
        values = self.images if cached is None else cached
        batches = Batches(values, self.labels, self._batch_size, self.config.seed, "probe", self.device)
        while not self.is_finished:
            with equal_shapes(self.device), self._clock.running():
                num_images, loss = self._train_batch(batches, cached is not None)
            if self.is_full:
                self.measures.add_loss(loss)
                self.measures.add_images(num_images)
            epoch, rate = self.batches_done // self.batches_per_epoch, self.optimiser.param_groups[0]["lr"]
            if self.batches_done % self.batches_per_epoch == 0:
                self.schedule.step()
                head = self.classifier.head
                require_finite(torch.cat([head.weight.flatten(), head.bias]), "the weights of the probe")
                _ = self.seconds  # hands the seconds of the epoch on to its measures
                if self.is_full:
                    self.measures.end_epoch(epoch, rate)
            yield
        self.classifier.eval().requires_grad_(False)

    def state_dict(self) -> dict[str, Any]:
        """All that ``load_state_dict`` needs to resume with identical numbers; the tensors are live, not copies."""
        return {
            "encoder": self.classifier.encoder.state_dict() if self.is_full else None,
            "head": self.classifier.head.state_dict(),
            "optimiser": None if self.is_finished else self.optimiser.state_dict(),
            "schedule": None if self.is_finished else self.schedule.state_dict(),
            "batches_done": self.batches_done,
            "seconds": self.seconds,
            "measures": self.measures.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a state that ``state_dict`` returned for an equal config on equal images."""
        if self.is_full:
            self.classifier.encoder.load_state_dict(state["encoder"])
        self.classifier.head.load_state_dict(state["head"])
        if state["optimiser"] is not None:
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
        self.batches_done, self._seconds = state["batches_done"], state["seconds"]
        if "measures" in state:  # earlier versions had none
            self.measures.load_state_dict(state["measures"])

    def _train_batch(self, batches: Batches, are_features: bool) -> tuple[int, Tensor]:
        """Makes the update of the next batch; returns its number of images and its loss."""
        values, targets = batches.load(*divmod(self.batches_done, self.batches_per_epoch))
        assert targets is not None
        self.optimiser.zero_grad()
        if are_features:
            loss = functional.cross_entropy(self.classifier.head(values), targets)
        else:
            loss = self._loss(values.float() / 255, targets)
        loss.backward()
        self.optimiser.step()
        self.batches_done += 1
        return len(targets), loss

    def _loss(self, pixels: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch of images (B, 3, S, S) in [0, 1] with their labels (B,)."""
        config = self.config
        random = stream(config.seed, "probe_batch", self.batches_done)
        if self._is_acl:
            pixels = make_views(pixels, config.replace(augmentation="padded_crop"), random, num_views=1)[0]
        if config.probe == "central":
            return functional.cross_entropy(self._logits(pixels), targets)
        if config.probe_loss == "trades":
            start = TRADES_START * torch.randn(pixels.shape, generator=random)
            with torch.no_grad():
                clean = self._in_evaluation(lambda: self.classifier(pixels).softmax(dim=1))
            attacked = self._attacked(pixels, lambda logits: divergence(clean, logits, "sum"), start)
            return trades_loss(self._logits(pixels), self._logits(attacked), targets, config.probe_trades_beta)
        radius = config.probe_attack_radius_255 / 255
        norm = config.probe_attack_norm
        random_start = random_perturbation(pixels.shape, radius, norm, random) if self._is_acl else None
        attacked = self._attacked(pixels, lambda logits: functional.cross_entropy(logits, targets), random_start)
        return functional.cross_entropy(self._logits(attacked), targets)

    def _attacked(self, pixels: Tensor, loss_fn: Callable[[Tensor], Tensor], start: Tensor | None) -> Tensor:
        """PGD examples (B, 3, S, S) that ascend ``loss_fn`` of the logits of the classifier in evaluation mode."""
        return self._in_evaluation(
            lambda: pgd(
                lambda perturbed: loss_fn(self.classifier(perturbed)),
                pixels,
                norm=self.config.probe_attack_norm,
                radius=self.config.probe_attack_radius_255 / 255,
                step=self.config.probe_attack_step_255 / 255,
                num_steps=self.config.probe_attack_steps,
                start=None if start is None else to_device(start, self.device),
            )
        )

    def _in_evaluation(self, compute: Callable[[], Tensor]) -> Tensor:
        self.classifier.eval()
        return compute()

    def _logits(self, pixels: Tensor) -> Tensor:
        """Logits that the update is made with: through the encoder in training mode, if that is trained, too."""
        self.classifier.train(self.is_full)
        with torch.set_grad_enabled(self.is_full):
            features = self.classifier.features(pixels)
        return self.classifier.head(features)

    def _new_head(self, num_features: int, num_classes: int, config: TrialConfig) -> nn.Linear:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(config.seed, "head"))
            head = nn.Linear(num_features, num_classes)
        if self._is_acl:
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        return head

    def _build_optimiser(self, num_epochs: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        rate = self.config.probe_recipe().learning_rate
        parameters = self.classifier.parameters() if self.is_full else self.classifier.head.parameters()
        if self._is_acl:
            sgd = torch.optim.SGD(parameters, lr=rate, momentum=ACL_MOMENTUM, weight_decay=ACL_WEIGHT_DECAY)
            milestones = [round(share * num_epochs) for share in ACL_MILESTONES]
            return sgd, torch.optim.lr_scheduler.MultiStepLR(sgd, milestones)
        if self.config.probe == "n_views":
            sgd = torch.optim.SGD(parameters, lr=rate, momentum=N_VIEWS_MOMENTUM, weight_decay=N_VIEWS_WEIGHT_DECAY)
            return sgd, torch.optim.lr_scheduler.CosineAnnealingLR(sgd, num_epochs)
        adam = torch.optim.Adam(parameters, lr=rate)
        return adam, torch.optim.lr_scheduler.ConstantLR(adam, factor=1.0)


def train_probe(
    encoder: Encoder, images: Images, labels: Tensor, num_classes: int, config: TrialConfig, *, num_epochs: int
) -> ProbedClassifier:
    """The classifier of a probe that is trained from start to end; arguments as for ``ProbeTraining``."""
    training = ProbeTraining(encoder, images, labels, num_classes, config, num_epochs)
    for _ in training.run():
        pass
    return training.classifier


def trades_loss(clean: Tensor, attacked: Tensor, targets: Tensor, beta: float) -> Tensor:
    """Cross-entropy of clean images plus ``beta`` times the divergence between what is predicted for both.

    Args:
        clean, attacked: logits (B, K).
        targets: (B,) int64.
        beta: 1 / lambda.

    Source: Zhang et al. (arXiv:1901.08573), equation 5 and its code, whose gradients also flow through the clean
    predictions of the divergence.
    """
    return functional.cross_entropy(clean, targets) + beta * divergence(clean.softmax(dim=1), attacked, "batchmean")


def divergence(clean: Tensor, attacked: Tensor, reduction: str) -> Tensor:
    """Kullback-Leibler divergence of predictions for attacked images, logits (B, K), from probabilities ``clean``."""
    return functional.kl_div(attacked.log_softmax(dim=1), clean, reduction=reduction)
