"""AutoAttack through pyautoattack, with safeguards against that package's pitfalls."""

import hashlib
import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from study.files import replacing
from trainables.data.stored_images import Images
from trainables.evaluation.probe import ProbedClassifier, to_pixels
from trainables.evaluation.robust_accuracy import (
    Flags,
    evaluation_batch,
    is_stochastic,
    most_damaging,
    predicted,
)
from trainables.streams import stream_seed
from trainables.trial_config import ATTACK_INFIX, Norm, TrialConfig

MIN_AUTOATTACK_CLASSES = 4  # its targeted loss compares the four largest logits
STANDARD_ATTACKS = ("apgd-ce", "apgd-t", "fab-t", "square")
RAND_ATTACKS = ("apgd-ce", "apgd-dlr")


def correct_under_autoattack(
    classifier: nn.Module,
    images: Images,
    labels: Tensor,
    known: Mapping[float, np.ndarray],
    config: TrialConfig,
    progress_path: Path | None = None,
    norm: Norm = "linf",
    warn: Callable[[str], None] = lambda text: None,
    on_share: Callable[[float], None] = lambda share: None,
) -> Flags:
    """Which images withstand AutoAttack (Croce and Hein, arXiv:2003.01690) at every radius in ``norm``.

    The package trusts its own bookkeeping; here each returned example is checked to lie in the ball and is classified
    again. Only images that survived PGD, every smaller radius and every earlier attack are attacked: the others are
    already broken.

    A classifier whose views are redrawn at every evaluation is attacked by version ``rand`` instead of ``standard``.
    Each image is evaluated once at each radius, and no earlier outcome counts, because more evaluations would find more
    images broken whatever the attack. Each attack contributes its example of the highest loss. The package itself would
    keep whatever was misclassified in any of its hundreds of evaluations, and would not attack an image that is
    misclassified clean.

    Args:
        classifier: in evaluation mode, maps pixels (N, 3, S, S) in [0, 1] to logits (N, K), K >= 4.
        images, labels: (N, 3, S, S) uint8, in CPU memory or in a file, and (N,) int64.
        known: radius (in 1/255) -> flags (N,) of the images that weaker attacks at that radius left correctly
            classified.
        config: the radii and ``seed``.
        progress_path: where to record each attack's outcome; after an interruption, attacks recorded there for the same
            classifier and images are not run again.
        norm: of the radii.
        warn: called with each warning that the package logs, also those of attacks that are not run again.
        on_share: takes the share of the attacks that are done, after each.

    Returns:
        ``{"aa_4": flags, ...}`` or ``{"aa_l2_128": flags, ...}``, boolean of shape (N,).

    Raises:
        RuntimeError: if a returned example lies outside the ball.
        TrialDiverged: if logits are not finite.
        ValueError: if the classifier is in training mode.
    """
    if classifier.training:
        raise ValueError("the classifier must be in evaluation mode: AutoAttack would change its BatchNorm")
    device = next(classifier.parameters()).device
    pixels, targets = to_pixels(images, device), labels.to(device)
    progress = _Progress(progress_path, _fingerprint(classifier, pixels, targets, config))
    survives = np.ones(len(images), dtype=bool)
    flags: Flags = {}

    def note_warning(text: str) -> None:
        if text not in progress.warnings:
            progress.warnings.append(text)

    for radius_255 in config.final_radii_255(norm):
        survives = np.ones_like(survives) if is_stochastic(classifier) else survives & known[radius_255]
        for attacks in _stages(classifier):
            name = f"{ATTACK_INFIX[norm]}{radius_255:g} {'+'.join(attacks)}"
            if name in progress.done:
                survives = np.array(progress.done[name], dtype=bool)
                continue
            rows = torch.from_numpy(survives.nonzero()[0]).to(device)
            if len(rows) > 0:
                if isinstance(classifier, ProbedClassifier):
                    classifier.redraw_for("autoattack", name)
                broken = _broken_by(
                    attacks, classifier, pixels[rows], targets[rows], radius_255 / 255, norm, config, note_warning
                )
                survives[rows.cpu().numpy()] = ~broken
            progress.note(name, survives)
            on_share(len(progress.done) / (len(config.final_radii_255(norm)) * len(_stages(classifier))))
        flags[f"aa_{ATTACK_INFIX[norm]}{radius_255:g}"] = survives.copy()
    for text in progress.warnings:
        warn(text)
    return flags


class _Progress:
    """The outcome of each attack so far, in a JSON file that is replaced atomically; a damaged one counts as none."""

    def __init__(self, path: Path | None, fingerprint: str) -> None:
        self._path, self._fingerprint = path, fingerprint
        self.done: dict[str, list[bool]] = {}
        self.warnings: list[str] = []
        try:
            noted = {} if path is None else json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return
        if noted.get("fingerprint") == fingerprint:
            self.done, self.warnings = noted["done"], noted.get("warnings", [])

    def note(self, name: str, survives: np.ndarray) -> None:
        self.done[name] = survives.tolist()
        if self._path is not None:
            with replacing(self._path) as unfinished:
                unfinished.write_text(
                    json.dumps({"fingerprint": self._fingerprint, "done": self.done, "warnings": self.warnings})
                )


def _fingerprint(classifier: nn.Module, pixels: Tensor, targets: Tensor, config: TrialConfig) -> str:
    digest = hashlib.sha256(config.content_hash().encode())
    for tensor in [*classifier.state_dict().values(), pixels, targets]:
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)
    return digest.hexdigest()


def _stages(classifier: nn.Module) -> list[tuple[str, ...]]:
    """The attacks, one per stage; on a random classifier all share one stage, so that each image is evaluated once."""
    return [RAND_ATTACKS] if is_stochastic(classifier) else [(attack,) for attack in STANDARD_ATTACKS]


def _broken_by(
    attacks: tuple[str, ...],
    classifier: nn.Module,
    pixels: Tensor,
    targets: Tensor,
    radius: float,
    norm: Norm,
    config: TrialConfig,
    warn: Callable[[str], None],
) -> np.ndarray:
    """Which images (N,) the attacks get misclassified, by our own evaluation of the examples that they return."""
    batch_size = evaluation_batch(classifier)
    with package_contained(pixels.device, warn):
        attack = _build_attack(classifier, pixels, radius, norm, config)
        if is_stochastic(classifier):
            parts = zip(pixels.split(batch_size), targets.split(batch_size), strict=True)
            attacked = torch.cat([_most_damaging_of(attacks, attack.apgd, classifier, *part, config) for part in parts])
        else:
            attack.attacks_to_run = list(attacks)
            attacked, _ = attack.run_standard_evaluation(pixels, targets, batch_size=batch_size)
    attacked = attacked.to(pixels.device)
    order = math.inf if norm == "linf" else 2
    distance = float(torch.linalg.vector_norm((attacked - pixels).flatten(1), order, dim=1).max())
    if not distance <= radius + 1e-5:
        raise RuntimeError(f"AutoAttack's {'+'.join(attacks)} moved an image by {distance}, its radius is {radius}")
    found = torch.cat([predicted(classifier, part) for part in attacked.split(batch_size)])
    return (found != targets).cpu().numpy()


def _most_damaging_of(
    attacks: tuple[str, ...], apgd: Any, classifier: nn.Module, pixels: Tensor, targets: Tensor, config: TrialConfig
) -> Tensor:
    """For each image (N, 3, S, S), the attacked version with the highest mean loss; all attacks must be APGD."""
    torch.manual_seed(apgd.seed)  # for the starting points, as the package does when it returns misclassified examples
    attempts = []
    for attack in attacks:
        apgd.loss = attack.removeprefix("apgd-")
        with torch.no_grad():
            attempts.append(apgd.perturb(pixels, targets, best_loss=True))
    return most_damaging(classifier, attempts, targets, config)


def _build_attack(classifier: nn.Module, pixels: Tensor, radius: float, norm: Norm, config: TrialConfig) -> Any:
    from pyautoattack import AutoAttack  # imported here because it is slow and most trials do not use it

    attack = AutoAttack(
        classifier,
        norm={"linf": "Linf", "l2": "L2"}[norm],
        eps=radius,
        version="rand" if is_stochastic(classifier) else "standard",
        device=pixels.device,
        seed=stream_seed(config.seed, "autoattack") % 2**32,
    )
    if is_stochastic(classifier):
        attack.apgd.eot_iter = config.eval_eot_samples
    with torch.no_grad():
        num_classes = classifier(pixels[:1]).shape[1]
    for targeted in (attack.apgd_targeted, attack.fab):
        targeted.n_target_classes = min(9, num_classes - 1)
    return attack


class _Warnings(logging.Handler):
    """Hands warnings on, each without the remark where to read more."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn

    def emit(self, record: logging.LogRecord) -> None:
        self._warn(record.getMessage().removesuffix(" See flags_doc.md for details."))


@contextmanager
def package_contained(device: torch.device, warn: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Restores the global RNG, the trace function and the logger's state, all of which the package changes.

    Its warnings go to ``warn`` instead of standard error.
    """
    logger, trace = logging.getLogger("auto-attack"), sys.gettrace()
    level, propagate, handler = logger.level, logger.propagate, _Warnings(warn)
    try:
        logger.addHandler(handler)
        logger.propagate = False
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            logger.setLevel(logging.WARNING)
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        logger.setLevel(level)
        sys.settrace(trace)
