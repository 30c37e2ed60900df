"""Whether early stopping can be trusted: do rankings at rungs agree with the final ones, and what did it cost."""

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from study.record.intervals import Z_95, wilson_95
from study.record.trials import TrialTable

MIN_FOR_INTERVAL = 10


@dataclass(frozen=True)
class Audit:
    """The outcomes of audited trials: those that a rung would have stopped, but that continued."""

    num_audited: int  # audited trials that are complete and trusted
    num_on_front: int  # how many of these have their configuration on the front
    uids_on_front: tuple[str, ...]
    num_unfinished: int  # audited, but running, failed or not trusted

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95% interval of the share of audited trials on the front, in percent; None if there are none."""
        return wilson_95(100 * self.num_on_front / self.num_audited, self.num_audited) if self.num_audited else None


def audit_of(table: TrialTable) -> Audit:
    """How many audited trials are on the final front, where stopping would have cost a front member."""
    audited = table.frame[table.frame["is_audited"]]
    finished = audited[audited["uid"].isin(table.trusted["uid"])]
    on_front = finished[finished["on_front"]]
    return Audit(len(finished), len(on_front), tuple(on_front["uid"]), len(audited) - len(finished))


def rank_agreement(table: TrialTable) -> pd.DataFrame:
    """Kendall's tau-b between the ranking at each rung and at the end, for every objective that is not a cost.

    Ranked are the means of configurations: further seeds of one are no evidence on how well rungs tell configurations
    apart. Each mean is over the trusted complete trials that reported at the rung. Trials that the rung stopped are
    missing, so the agreement is that among survivors; of the others, only audited trials are included.

    Returns:
        Columns ``milestone``, ``objective``, ``configurations``, ``tau``, ``low``, ``high`` (``tau_interval``).
    """
    from scipy.stats import kendalltau  # a second to import

    names = [objective.name for objective in table.objectives if not objective.is_cost]
    at_rung_and_end = defaultdict[tuple[int, str], dict[str, list[tuple[float, float]]]](dict)
    for trial in (table.study.trials[uid] for uid in table.trusted["uid"]):
        for report, name in product(trial.reports, names):
            rung, end = report.get(name), trial.metrics.get(name)
            if "milestone" in report and rung is not None and end is not None:
                at_rung_and_end[report["milestone"], name].setdefault(trial.configuration, []).append((rung, end))
    rows = []
    for milestone, name in product(sorted({milestone for milestone, _ in at_rung_and_end}), names):
        means = np.array([np.mean(pairs, axis=0) for pairs in at_rung_and_end[milestone, name].values()])
        if len(means) > 1:
            tau = float(kendalltau(means[:, 0], means[:, 1]).statistic)
            rows.append((milestone, name, len(means), tau, *tau_interval(tau, len(means))))
    return pd.DataFrame(rows, columns=["milestone", "objective", "configurations", "tau", "low", "high"])


def tau_interval(tau: float, count: int) -> tuple[float, float]:
    """The 95% interval of Kendall's tau from Fisher's z, whose variance is 0.437 / (n - 4).

    Fieller, Hartley and Pearson (1957), doi:10.1093/biomet/44.3-4.470: valid for n of at least 10 and tau up to 0.8,
    above which it is somewhat too wide. (NaN, NaN) for a ``count`` below 10, or for a tau of 1 or -1, which would have
    no width.
    """
    if count < MIN_FOR_INTERVAL or not abs(tau) < 1 - 1e-12:
        return math.nan, math.nan
    reach = Z_95 * math.sqrt(0.437 / (count - 4))
    return math.tanh(math.atanh(tau) - reach), math.tanh(math.atanh(tau) + reach)
