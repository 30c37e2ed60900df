"""What there is to know of each pretraining method before anything is computed; imports no torch.

A method is an entry here and a loss function; ``docs/howto/extend.md`` shows the way of one from first to last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from trainables.trial_config import TrialConfig

MethodName = Literal["emp_ssl", "simclr", "barlow_twins", "vicreg", "byol", "deacl", "supervised"]
PROJECTOR = ("projector_hidden_dim", "projector_dim")


def _never(config: "TrialConfig") -> bool:
    return False


@dataclass(frozen=True)
class Method:
    """How a method trains: its loss, views, networks and fields of ``TrialConfig``.

    Args:
        loss: where the loss function is, as 'module:function'. It takes the outputs (V, B, D) of the views, those that
            stay clean first, the config, and targets, and returns a scalar. The targets are the labels (B,) of a method
            that needs them, the outputs (V, B, D) of a second network, or None.
        fields: those that only some methods use, and this one does.
        network_fields: the same of fields that shape its networks, and thereby the cost of a view pass.
        num_views: of each image; None: any number from ``fewest_views``.
        keeps_first_clean: whether an adversary leaves the first view alone; else it may perturb all.
        adds_clean_views: whether an update, where there is an adversary, also projects every view unperturbed.
        normalises: whether outputs are scaled to unit length.
        needs_labels: whether it is supervised: it then has a linear classifier in place of the projector.
        has_predictor: whether a predictor follows the projector.
        second_network: where the function is, as 'module:function', that makes one from the encoder and the
            config, or None. That network sees all views unperturbed, forward only, before each update; see
            ``second_networks``.
        has_teacher: whether it is the second of two stages: its second network is the encoder that the first one has
            pretrained, and never changes.
        attack_loss: like ``loss``, of what adversary pgd ascends; None: the same.
        starts_at_random: whether perturbations start at random in the ball; else at 0, except for adversary fgsm.
        joins_batches: whether views that stay clean and perturbed ones are one batch for BatchNorm; else each are one.
    """

    loss: str
    fields: tuple[str, ...] = ()
    network_fields: tuple[str, ...] = PROJECTOR
    num_views: int | None = 2
    fewest_views: int = 2
    keeps_first_clean: bool = True
    adds_clean_views: Callable[["TrialConfig"], bool] = _never
    normalises: bool = True
    needs_labels: bool = False
    has_predictor: bool = False
    second_network: str | None = None
    has_teacher: bool = False
    attack_loss: str | None = None
    starts_at_random: bool = False
    joins_batches: bool = False


LOSSES, DISTILLATION = "trainables.pretraining.ssl_losses", "trainables.pretraining.distillation"
METHODS: dict[MethodName, Method] = {
    "emp_ssl": Method(
        f"{LOSSES}:emp_ssl_loss",
        fields=("invariance_weight", "coding_rate_weight", "coding_rate_eps2", "invariance_target"),
        num_views=None,
        keeps_first_clean=False,
        adds_clean_views=lambda config: config.invariance_target == "clean",
    ),
    "simclr": Method(f"{LOSSES}:simclr_loss", fields=("temperature", "simclr_attack_anchor", "simclr_anchor_leak")),
    "barlow_twins": Method(f"{LOSSES}:barlow_twins_loss", fields=("barlow_lambda",), normalises=False),
    "vicreg": Method(
        f"{LOSSES}:vicreg_loss",
        fields=("vicreg_invariance_weight", "vicreg_variance_weight", "vicreg_covariance_weight"),
        normalises=False,
    ),
    "byol": Method(
        f"{LOSSES}:byol_loss",
        fields=("byol_momentum",),
        network_fields=(*PROJECTOR, "predictor_hidden_dim"),
        has_predictor=True,
        second_network="trainables.pretraining.second_networks:MovingAverage",
    ),
    "deacl": Method(
        f"{DISTILLATION}:deacl_loss",
        fields=(
            "teacher_method",
            "teacher_epochs",
            "teacher_num_views",
            "teacher_augmentation",
            "teacher_learning_rate",
            "student_start",
            "distillation_robust_weight",
            "distillation_attack_anchor",
        ),
        network_fields=("distilled_layer", "projector_hidden_dim"),
        num_views=None,
        fewest_views=1,
        keeps_first_clean=False,
        adds_clean_views=lambda config: True,
        second_network=f"{DISTILLATION}:teacher_network",
        has_teacher=True,
        attack_loss=f"{DISTILLATION}:deacl_attack_loss",
        starts_at_random=True,
        joins_batches=True,
    ),
    "supervised": Method(
        f"{LOSSES}:supervised_loss", network_fields=(), num_views=1, keeps_first_clean=False, needs_labels=True
    ),
}


@cache
def imported(path: str) -> Callable[..., Any]:
    """What is at 'module:function'."""
    module, _, name = path.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def fields_of_others(name: MethodName) -> tuple[str, ...]:
    """The fields that belong to methods, but not to this one."""
    own = {*METHODS[name].fields, *METHODS[name].network_fields}
    every = [field for method in METHODS.values() for field in (*method.fields, *method.network_fields)]
    return tuple(field for field in dict.fromkeys(every) if field not in own)
