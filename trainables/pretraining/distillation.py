"""A student that learns from a frozen teacher: the second stage of DeACL (arXiv:2207.10899).

Shapes: V views, B images, F features of the distilled layer, as unit vectors.
"""

import copy

from torch import Tensor

from trainables.pretraining.encoders import DistilledEncoder, Encoder
from trainables.pretraining.pretrain import Pretraining
from trainables.pretraining.second_networks import SecondNetwork
from trainables.trial_config import TrialConfig


def deacl_loss(outputs: Tensor, config: TrialConfig, targets: Tensor) -> Tensor:
    """Minus the mean cosine of clean features to the teacher's, minus the weighted one of perturbed to clean features.

    Both are the student's in the second term, through which gradients flow into the clean features as well.

    Args:
        outputs: the student's features of clean views (V, B, F), followed, if there is an adversary, by those of the
            perturbed views.
        config: its ``distillation_robust_weight``.
        targets: the teacher's features (V, B, F) of the clean views.

    Source: DeACL (arXiv:2207.10899) and its code.
    """
    clean, perturbed = outputs[: len(targets)], outputs[len(targets) :]
    loss = -_mean_cosine(clean, targets)
    return loss - config.distillation_robust_weight * _mean_cosine(perturbed, clean) if len(perturbed) else loss


def deacl_attack_loss(outputs: Tensor, config: TrialConfig, targets: Tensor) -> Tensor:
    """What PGD ascends: minus the mean cosine of perturbed features to clean ones, the teacher's or the student's."""
    anchors = targets if config.distillation_attack_anchor == "teacher" else outputs[: len(targets)]
    return -_mean_cosine(outputs[-len(targets) :], anchors)


def _mean_cosine(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(dim=-1).mean()


def teacher_network(student: DistilledEncoder, config: TrialConfig) -> SecondNetwork:
    """A network like the student's for the frozen teacher, in evaluation mode; ``hand_over`` gives it its weights."""
    return SecondNetwork(copy.deepcopy(student).eval())


def hand_over(teacher: Encoder, student: Pretraining) -> None:
    """Puts the weights of a trained teacher into a student's second network and, if so configured, into the student.

    Of the teacher's layers, those up to the distilled one are used.
    """
    assert student.second_network is not None
    frozen = student.second_network.network
    weights = teacher.state_dict()
    frozen.load_state_dict({name: weights[name] for name in frozen.state_dict()})
    if student.config.student_start == "teacher":
        student.encoder.load_state_dict(frozen.state_dict())
