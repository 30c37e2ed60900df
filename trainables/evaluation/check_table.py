"""The checks that the numbers of a finished trial must pass: what each measures, what it tolerates, and why.

They follow the checklists by which reviewers judge evaluations of robustness: Carlini et al. (arXiv:1902.06705), the
flags of AutoAttack (Croce and Hein, arXiv:2003.01690) and the binarisation test (Zimmermann et al., arXiv:2206.13991).
Nothing here imports torch: reports read the table, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

CONFIDENCE = 0.999  # that an evaluation with no more than the tolerated rate of such images passes


@dataclass(frozen=True)
class Check:
    """One check.

    Args:
        name: its value is the metric ``check_<name>``.
        what: what the value is, in words.
        unit: ``%``: of the checked images, or points of accuracy among them; or none.
        rule: ``below``: passes up to the limit; ``above``: passes above it; ``counted``: the limit is a tolerated rate,
            and passes what so high a rate makes of n images in all but 0.1% of draws.
        limit: see ``rule``.
        reason: for the limit.
        failure: in words, with the ``value``.
        tier: ``cheap``, on every final evaluation, or ``all``, where ``eval_checks`` asks for all.
    """

    name: str
    what: str
    unit: Literal["", "%"]
    rule: Literal["below", "above", "counted"]
    limit: float
    reason: str
    failure: str
    tier: Literal["cheap", "all"] = "cheap"

    def limit_for(self, num_images: int) -> float:
        """The largest value that passes (``above``: the smallest that does not), over ``num_images``."""
        if self.rule != "counted":
            return self.limit
        from scipy.special import bdtr

        rate = self.limit / 100
        return 100 * next(k for k in range(num_images + 1) if bdtr(k, num_images, rate) >= CONFIDENCE) / num_images

    def passes(self, value: float, limit: float) -> bool:
        """Whether ``value`` passes, with ``limit`` as ``limit_for`` gives it."""
        return value > limit if self.rule == "above" else value <= limit


CHECKS: tuple[Check, ...] = (
    # What the encoder and the probe have learned.
    Check("effective_rank", "effective rank of the features", "", "above", 2.0,
          "features along one direction tell at most two groups of images apart: the encoder has collapsed",
          "collapsed features: effective rank {value:.2f}"),
    Check("above_chance", "clean accuracy above that of the most frequent class", "%", "above", 0.0,
          "the robustness of a classifier that knows nothing means nothing",
          "clean accuracy is not above chance: {value:+.1f} points"),
    # What an attack sees of the classifier.
    Check("zero_gradients", "images whose input gradient is zero or not finite, on the worse loss", "%", "counted", 1.0,
          "an honest network has such images only by rare accident, and an attack leaves each of them as it is",
          "no gradient to attack by: it is zero or not finite for {value:.0f}% of the images"),
    Check("repeated_passes", "relative difference of two equal forward passes", "", "below", 1e-4,
          "AutoAttack's tolerance: above what parallel summation does, below any noise that changes a gradient's sign",
          "undeclared randomness: two equal passes differ by {value:.2g}"),
    Check("changed_state", "tensors that forward passes change, and modules in training mode", "", "below", 0.0,
          "attacks evaluate thousands of times: what is counted must be one fixed classifier",
          "the classifier changes while it is evaluated: {value:.0f} tensors or modules"),
    Check("other_images", "relative change of an image's logits with other images beside it", "", "below", 0.05,
          "bf16 rounds differently in batches of other sizes, by up to 0.02; statistics of the batch change far more",
          "an image's logits depend on the other images of the batch, by {value:.2g}"),
    Check("probabilities", "images whose outputs are not negative and sum to 1", "%", "below", 50.0,
          "logits do so by accident, for a few images; after a softmax all do, and losses take a second one",
          "outputs are probabilities, not logits, for {value:.0f}% of the images"),
    Check("saturated", "images whose largest softmax probability rounds to 1 in fp32", "%", "below", 50.0,
          "the cross-entropy has then lost the gradient of the largest logit; trained networks reach that for some "
          "images, a scaled head for most",
          "saturated logits: the softmax rounds to 1 for {value:.0f}% of the images"),
    # What the attack achieves.
    Check("unbounded", "accuracy at radius 128/255", "%", "counted", 1.0,
          "every image can become uniformly gray, and go on from there; on a margin, attacks of honest networks leave "
          "nothing, where guessing could still be right by chance",
          "the attack looks broken: {value:.0f}% stay right at radius 128/255"),
    Check("radius_order", "largest rise of accuracy from one radius to the next, each attacked by itself", "%",
          "counted", 1.0,
          "a larger ball holds the smaller one: a rise is what the attack misses, which is a few images at most",
          "the attack gets weaker with the radius: accuracy rises by {value:.0f} points"),
    Check("stronger_attack", "points lost at the middle radius to both losses with 5 times the steps, finer, and one "
          "more start", "%", "counted", 3.0,
          "the last percent that a longer attack finds; more means that the attack had not converged",
          "the attack has not converged: more steps and starts take a further {value:.0f} points", "all"),
    Check("black_box", "points lost at the middle radius to 1,000 queries of Square, on what withstood PGD", "%",
          "counted", 1.0,
          "Square sees no gradient: it finds what PGD missed only where gradients mislead",
          "masked gradients: a black-box attack takes a further {value:.0f} points", "all"),
    Check("binarisation", "images with a planted adversarial example that the attack does not find", "%",
          "counted", 10.0,
          "the authors ask for 5% of an attack that is tuned to the defence; on honest encoders without an adversary "
          "PGD-20, which is not, missed up to 16%; masked gradients miss most",
          "the attack misses {value:.0f}% of planted adversarial examples (binarisation test)", "all"),
    Check("autoattack_gap", "largest difference between PGD and AutoAttack at a radius", "%", "counted", 3.0,
          "on honest networks PGD with a margin is within 1 to 3 points of AutoAttack",
          "PGD is far from the worst case: AutoAttack takes a further {value:.0f} points"),
    Check("autoattack_warnings", "different warnings that AutoAttack gave", "", "below", 0.0,
          "it warns where its own result may not hold",
          "AutoAttack warned {value:.0f} times"),
)  # fmt: skip
BY_NAME: Mapping[str, Check] = {check.name: check for check in CHECKS}
PREFIX = "check_"
LIMITS = "check_limits"  # the metric that holds, for each check that was made, its limit


def check_metrics(found: Mapping[str, tuple[float, int]], notes: Sequence[str] = ()) -> dict[str, Any]:
    """The metrics of the checks that were made: values, limits, and ``validity``, the failures in words.

    Args:
        found: name -> value and number of images that it was measured on.
        notes: further lines of ``validity``.

    Example:
        >>> check_metrics({"unbounded": (35.0, 100), "changed_state": (0.0, 100)})["validity"]
        ['the attack looks broken: 35% stay right at radius 128/255']
    """
    limits = {name: BY_NAME[name].limit_for(num_images) for name, (_, num_images) in found.items()}
    failed = [
        check.failure.format(value=found[check.name][0])
        for check in CHECKS
        if check.name in found and not check.passes(found[check.name][0], limits[check.name])
    ]
    values = {f"{PREFIX}{name}": value for name, (value, _) in found.items()}
    return {**values, LIMITS: limits, "validity": [*failed, *notes]}


def failed_checks(metrics: Mapping[str, object]) -> list[str]:
    """The names of the checks that a trial failed, from its metrics; empty if it made none."""
    limits = metrics.get(LIMITS)
    if not isinstance(limits, Mapping):
        return []
    values = {name: metrics.get(f"{PREFIX}{name}") for name in limits if name in BY_NAME}
    return [
        name
        for name, value in values.items()
        if not isinstance(value, int | float) or not BY_NAME[name].passes(value, limits[name])
    ]
