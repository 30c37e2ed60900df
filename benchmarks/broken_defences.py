"""Classifiers that look robust because attacks on them fail: a trained one, broken in ways known from publications.

Each is made of an honest ``ProbedClassifier`` and keeps most of its clean accuracy. Source of most kinds: Athalye et
al. (arXiv:1802.00420), Carlini et al. (arXiv:1902.06705).
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.evaluation.probe import ProbedClassifier


class Defence(ProbedClassifier):
    """The classifier with its input, features or logits changed; each change is a function of what it changes."""

    def __init__(
        self,
        classifier: ProbedClassifier,
        on_input: Callable[[Tensor], Tensor] | None = None,
        on_features: Callable[[Tensor], Tensor] | None = None,
        on_logits: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(classifier.encoder, classifier.head, classifier._config)
        self._on_input, self._on_features, self._on_logits = on_input, on_features, on_logits
        self.eval()

    def features(self, attacked: Tensor) -> Tensor:
        """As of the classifier, of the changed input, changed."""
        features = super().features(attacked if self._on_input is None else self._on_input(attacked))
        return features if self._on_features is None else self._on_features(features)

    def forward(self, attacked: Tensor) -> Tensor:
        """As of the classifier, changed."""
        logits = super().forward(attacked)
        return logits if self._on_logits is None else self._on_logits(logits)


def scaled_head(factor: float) -> Callable[[ProbedClassifier], nn.Module]:
    """Logits so large that the cross-entropy has no gradient left."""
    return lambda classifier: Defence(classifier, on_logits=lambda logits: factor * logits)


def quantised_input(classifier: ProbedClassifier) -> nn.Module:
    """Pixels rounded to 8 levels."""
    return Defence(classifier, on_input=lambda pixels: (pixels * 7).round() / 7)


def quantised_activations(classifier: ProbedClassifier) -> nn.Module:
    """Features rounded to a quarter of their mean size."""

    def rounded(features: Tensor) -> Tensor:
        step = features.detach().abs().mean(dim=1, keepdim=True) / 4
        return (features / step).round() * step.detach()

    return Defence(classifier, on_features=rounded)


def noisy(classifier: ProbedClassifier) -> nn.Module:
    """Gaussian noise on the pixels at every evaluation, undeclared."""
    return Defence(classifier, on_input=lambda pixels: pixels + 0.05 * torch.randn_like(pixels))


def active_dropout(classifier: ProbedClassifier) -> nn.Module:
    """Dropout on the features that was left on."""
    return Defence(classifier, on_features=lambda features: functional.dropout(features, 0.3, training=True))


def training_batchnorm(classifier: ProbedClassifier) -> nn.Module:
    """BatchNorm in training mode inside a classifier in evaluation mode."""
    defence = Defence(classifier)
    for module in defence.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    return defence


def probabilities(classifier: ProbedClassifier) -> nn.Module:
    """Probabilities instead of logits, so that every loss takes a second softmax."""
    return Defence(classifier, on_logits=lambda logits: logits.softmax(dim=1))


def saturated(classifier: ProbedClassifier) -> nn.Module:
    """Logits squashed so far that they hardly change."""
    return Defence(
        classifier, on_logits=lambda logits: 10 * torch.tanh(10 * (logits - logits.mean(dim=1, keepdim=True)))
    )


def undifferentiable_preprocessing(classifier: ProbedClassifier) -> nn.Module:
    """A smoothing of the pixels through which no gradient passes."""

    def smoothed(pixels: Tensor) -> Tensor:
        return functional.avg_pool2d(pixels, 3, 1, 1, count_include_pad=False).detach() + 0 * pixels

    return Defence(classifier, on_input=smoothed)


def shattered_gradients(classifier: ProbedClassifier) -> nn.Module:
    """A wave on the pixels, too small to see and so short that its slope decides the sign of every gradient."""
    return Defence(classifier, on_input=lambda pixels: pixels + 0.004 * torch.sin(2 * math.pi * 700 * pixels))


def misleading_gradients(classifier: ProbedClassifier) -> nn.Module:
    """Right logits with the gradient of another function: that of the image shifted and mirrored."""

    def replaced(pixels: Tensor) -> Tensor:
        elsewhere = pixels.flip(-1).roll((3, 5), (-2, -1))
        return pixels.detach() + elsewhere - elsewhere.detach()

    return Defence(classifier, on_input=replaced)


def stochastic_views(classifier: ProbedClassifier) -> nn.Module:
    """The image shifted by up to a pixel and mirrored at random at every evaluation, undeclared."""

    def drawn(pixels: Tensor) -> Tensor:
        shift = torch.randint(-1, 2, (2,)).tolist()
        return (pixels.flip(-1) if torch.rand(()) < 0.2 else pixels).roll(shift, (-2, -1))

    return Defence(classifier, on_input=drawn)


BROKEN: Mapping[str, Callable[[ProbedClassifier], nn.Module]] = {
    "head scaled by 30": scaled_head(30),
    "head scaled by 300": scaled_head(300),
    "head scaled by 3000": scaled_head(3000),
    "quantised input": quantised_input,
    "quantised activations": quantised_activations,
    "noisy input": noisy,
    "dropout active": active_dropout,
    "BatchNorm in training mode": training_batchnorm,
    "probability outputs": probabilities,
    "saturated logits": saturated,
    "undifferentiable preprocessing": undifferentiable_preprocessing,
    "shattered gradients": shattered_gradients,
    "misleading gradients": misleading_gradients,
    "stochastic views": stochastic_views,
}
