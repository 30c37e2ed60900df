"""The part of an axis that a figure draws: one value far from all others must not shrink the front to a spot."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FENCES = 1.5  # interquartile ranges beyond the quartiles (Tukey 1977)
MAX_SHARE = 0.25  # of the values beyond the limits; with more, none is an outlier
MIN_STRETCH = 1.5  # by which the values beyond the limits would lengthen the axis; with less, they are drawn
PADDING = 0.07  # on each side, in lengths of the axis
INSET = 0.02  # distance from the edge of a mark for a value beyond it


@dataclass(frozen=True)
class DrawnAxis:
    """Where values are drawn; all numbers are coordinates of the axis, that is logarithms if it is logarithmic.

    Args:
        limits: the ends of the axis.
        coordinates: of the values; those beyond the limits lie just inside. NaN where there is no value.
        beyond: -1, 0 or 1: the value lies below the limits, within, above.
    """

    limits: tuple[float, float]
    coordinates: Floats
    beyond: npt.NDArray[np.int_]


def robust_axis(values: Floats, is_member: npt.NDArray[np.bool_], whiskers: Floats) -> DrawnAxis:
    """The axis for ``values``, some of which may lie so far away that they are only shown at its edge.

    These are further from the members of the front of the drawn two measures than that front is long, and outside
    Tukey's fences. Its members are always drawn in place.

    Args:
        values: coordinates (n); NaN where there is none, -inf for a value of zero on a logarithmic axis.
        is_member: of the front (n).
        whiskers: coordinates of the ends of whiskers, for which there is room; may hold NaN.

    Example:
        >>> values, is_member = np.array([26.0, 90, 92, 93, 95]), np.array([False, False, True, True, True])
        >>> drawn = robust_axis(values, is_member, whiskers=np.empty(0))
        >>> drawn.beyond.tolist(), [round(limit, 2) for limit in drawn.limits]
        ([-1, 0, 0, 0, 0], [89.65, 95.35])
    """
    low, high = _kept_span(values, is_member)
    within = whiskers[np.isfinite(whiskers)]
    if np.isfinite(values).any():
        ends = np.concatenate([[low, high], within])
        low, high = float(ends.min()), float(ends.max())
    length = high - low or abs(high) or 1.0
    limits = (low - PADDING * length, high + PADDING * length)
    inset = INSET * (limits[1] - limits[0])
    beyond = np.where(values < limits[0], -1, np.where(values > limits[1], 1, 0))
    return DrawnAxis(limits, np.clip(values, limits[0] + inset, limits[1] - inset), beyond)


def _kept_span(values: Floats, is_member: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The least and the largest value that are drawn in place."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return 0.0, 1.0
    first, third = np.quantile(known, [0.25, 0.75])
    low, high = first - FENCES * (third - first), third + FENCES * (third - first)
    members = values[is_member & np.isfinite(values)]
    if len(members):
        low = min(low, members.min() - np.ptp(members))
        high = max(high, members.max() + np.ptp(members))
    kept = known[(known >= low) & (known <= high)]
    is_worth_it = np.ptp(known) > MIN_STRETCH * np.ptp(kept) > 0
    if len(kept) < (1 - MAX_SHARE) * len(known) or not is_worth_it:
        kept = known
    return float(kept.min()), float(kept.max())
