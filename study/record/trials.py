"""A study's journal as tables: one row per trial, and one row per configuration."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from study.record.configurations import LOST, Configuration, measured_configurations, rounded
from study.record.front import comparable_means, nondominated
from study.record.front_probability import front_certainty
from study.record.journal import StudyRecord, TrialRecord
from study.record.measures import Row, interval_of
from study.record.metrics import metrics_of, trainable_in
from study.record.recipe import varying
from study.record.region import Region, region_in
from study.record.seed_noise import SeedNoise
from study.settings import COLUMN_NAMES
from study.trainable import Metric, Trainable

# The columns of both frames besides factors and metrics; a metric of such a name is left out.
OWN_COLUMNS = ("configuration", "on_front", "is_audited", "validity", "uids", "purposes", "num_seeds", "is_inside")
MOST_SHOWN = 2000  # trials in charts and lists; each adds 3 KB to a page
FACTOR_PREFIX, SPREAD_PREFIX, COUNT_PREFIX = "factor_", "sd_", "seeds_of_"


@dataclass(frozen=True)
class TrialTable:
    """The data behind the figures and tables of a report.

    Args:
        study: the record.
        frame: one row per trial (``trial_frame``), with a column ``on_front`` that marks the complete trials of the
            configurations on the front.
        configurations: one row per configuration with results (``configuration_frame``), with columns ``on_front``:
            membership of the Pareto front of the means over seeds in all objectives of the study; and ``is_inside``:
            whether these means are in the study's region of interest.
        metrics: by name, of everything that is described (``metrics_of``).
        objectives: of the study, in its order.
        factors: the names of the factors, in the order of the spec.
        groups: the configurations behind ``configurations``, in its order.
        sampled_from: the table of all trials, if this one has only some of them.
    """

    study: StudyRecord
    frame: pd.DataFrame
    configurations: pd.DataFrame
    metrics: dict[str, Metric]
    objectives: list[Metric]
    factors: list[str]
    groups: list[Configuration]
    sampled_from: "TrialTable | None" = None

    @cached_property
    def shown(self) -> "TrialTable":
        """What charts and lists of trials show: of a large study the part that a browser can take.

        Whole configurations: those on the front, then those under way, then others by a hash of their factor values. So
        the others are an even choice, and later the same ones, as far as there is room. Front and probabilities are
        those of all.
        """
        if len(self.frame) <= MOST_SHOWN:
            return self
        front = set(self.front_configurations["configuration"])
        under_way = {trial.configuration for trial in self.study.with_state("running", "proposed")}

        def order(name: str) -> tuple[bool, bool, bytes]:
            return name not in front, name not in under_way, hashlib.sha256(name.encode()).digest()

        sizes = self.frame["configuration"].value_counts()
        total = sizes[sorted(sizes.index, key=order)].cumsum()
        names = set(total.index[total <= MOST_SHOWN])
        trials = {uid: trial for uid, trial in self.study.trials.items() if trial.configuration in names}
        frame, configurations = (one[one["configuration"].isin(names)] for one in (self.frame, self.configurations))
        return dataclasses.replace(
            self,
            study=dataclasses.replace(self.study, trials=trials),
            frame=frame.reset_index(drop=True),
            configurations=configurations.reset_index(drop=True),
            groups=[one for one in self.groups if one.name in names],
            sampled_from=self,
        )

    @cached_property
    def trainable(self) -> Trainable | None:
        """The trainable of the study; None if it cannot be imported here."""
        return trainable_in(self.study)

    @cached_property
    def varying(self) -> list[str]:
        """The factors that have more than one value among the trials, or all if none has (``recipe.varying``)."""
        if self.sampled_from is not None:
            return self.sampled_from.varying
        return varying(self.factors, (trial.params for trial in self.study.trials.values()))

    @property
    def examples(self) -> str:
        """What shares count, in the plural, such as 'images'."""
        return self.trainable.examples if self.trainable else "examples"

    @property
    def progress(self) -> str:
        """The name of the metric in which progress is counted."""
        return self.trainable.progress if self.trainable else "steps"

    @property
    def complete(self) -> pd.DataFrame:
        """The complete trials, which are those with results."""
        return self.frame[self.frame["state"] == "complete"]

    @property
    def front(self) -> pd.DataFrame:
        """The complete trials whose configuration is on the front."""
        return self.frame[self.frame["on_front"]]

    @property
    def front_configurations(self) -> pd.DataFrame:
        """The configurations on the front."""
        return self.configurations[self.configurations["on_front"]]

    @cached_property
    def region(self) -> Region:
        """The study's region of interest."""
        return region_in(self.study.spec.get("objectives", []))

    @property
    def recommended(self) -> pd.DataFrame:
        """The configurations on the front that are in the region of interest."""
        front = self.front_configurations
        return front[front["is_inside"]]

    @property
    def whole(self) -> pd.DataFrame:
        """The configurations without stopped, paused or failed trials; further seeds may still be under way."""
        return self.configurations[~self.configurations["is_lost"]]

    @property
    def trusted(self) -> pd.DataFrame:
        """The complete trials of configurations without validity warnings."""
        doubtful = self.configurations.loc[self.configurations["validity"].map(len) > 0, "configuration"]
        return self.complete[~self.complete["configuration"].isin(doubtful)]

    @cached_property
    def certainty(self) -> tuple[pd.DataFrame, SeedNoise | None]:
        """``configurations`` with their ``front_probability``, and the noise between seeds that it is based on."""
        if self.sampled_from is not None:
            frame, noise = self.sampled_from.certainty
            is_in = frame["configuration"].isin(self.configurations["configuration"])
            return frame[is_in].reset_index(drop=True), noise
        probabilities, noise = front_certainty(self.groups, self.objectives, self.study)
        return self.configurations.assign(front_probability=probabilities), noise

    @cached_property
    def prefixes(self) -> dict[str, str]:
        """uid of each trusted trial -> a key that is equal for those with the same prefix, as far as is known."""
        return {uid: self._prefix(self.study.trials[uid]) for uid in self.trusted["uid"]}

    def _prefix(self, trial: TrialRecord) -> str:
        if self.trainable is None:
            return trial.uid
        fields = self.trainable.config.model_fields
        unknown = {name: value for name, value in trial.config.items() if name not in fields}  # of another version
        try:
            known = {name: value for name, value in trial.config.items() if name in fields}
            prefix = self.trainable.prefix(self.trainable.config(**known))
        except ValidationError:
            return trial.uid
        return trial.uid if prefix is None else f"{prefix} {json.dumps(unknown, sort_keys=True)}"

    def per_seed(self, names: list[str]) -> pd.DataFrame:
        """One row per configuration and seed of the trusted trials, with the measures ``names``.

        Trials of a seed that was run twice count as one, at their mean (``Configuration.by_seed``).
        """
        means: pd.DataFrame = self.trusted.groupby(["configuration", "seed"], sort=False)[names].mean()
        return means.reset_index()

    def metric(self, name: str) -> Metric:
        """The metric ``name``; a plain number if nobody describes it."""
        return self.metrics.get(name) or Metric(name)

    def shares(self, split: str) -> list[Metric]:
        """The measured percentages on ``split`` ('val' or 'test'; '' for those on neither), in the declared order."""
        return [metric for metric in self.measured if metric.is_share and metric.split == split]

    @property
    def costs(self) -> list[Metric]:
        """The costs that were measured, in the declared order."""
        return [metric for metric in self.measured if metric.is_cost]

    @property
    def headline(self) -> Metric | None:
        """What the study is mainly about: its first headline objective, else its first objective that is no cost.

        Without either, the middle one of the measured headline metrics on validation.
        """
        chosen = [metric for metric in self.objectives if metric.is_headline and metric in self.measured]
        chosen += [metric for metric in self.objectives if not metric.is_cost and metric.split != "val"]
        measured = [metric for metric in self.shares("val") if metric.is_headline]
        chosen += measured[(len(measured) - 1) // 2 :]
        chosen += [metric for metric in self.objectives if not metric.is_cost]
        return next(iter(chosen), None)

    @property
    def cost(self) -> Metric | None:
        """The cost of the study: that among its objectives, else the first measured one that is not clocked."""
        chosen = [metric for metric in self.objectives if metric.is_cost]
        chosen += sorted(self.costs, key=lambda metric: (metric.is_clocked, not metric.is_known))
        return next(iter(chosen), None)

    @cached_property
    def measured(self) -> list[Metric]:
        """The described metrics that any complete trial has, in the declared order."""
        return [m for m in self.metrics.values() if m.name in self.frame and self.frame[m.name].notna().any()]


def tabulate(study: StudyRecord) -> TrialTable:
    """Tabulates the trials and configurations of ``study``, and marks the front."""
    metrics, groups = metrics_of(study), measured_configurations(study)
    objectives = [metrics[item["name"]] for item in study.spec.get("objectives", [])]
    factors, names = factor_names(study), metric_names(study)
    frame = trial_frame(study, factors, names)
    configurations = configuration_frame(groups, study, factors, names, objectives)
    means = comparable_means(groups, objectives, study)
    configurations["on_front"] = nondominated(means, [o.maximise for o in objectives]) if objectives else False
    region, values = region_in(study.spec.get("objectives", [])), [objective.name for objective in objectives]
    configurations["is_inside"] = region.holds(configurations[values].to_numpy(dtype=float), values)
    on_front = frame["configuration"].isin(configurations.loc[configurations["on_front"], "configuration"])
    frame["on_front"] = on_front & (frame["state"] == "complete")
    return TrialTable(study, frame, configurations, metrics, objectives, factors, groups)


def trial_frame(study: StudyRecord, factors: list[str], names: list[str]) -> pd.DataFrame:
    """One row per trial, in the order in which they were proposed.

    Columns: ``uid``, ``number``, ``state``, ``reason``, ``configuration`` (equal for trials that differ only in their
    seed), ``seed``, ``purpose``, ``is_audited``, ``validity`` (list of warnings), ``factor_<name>`` for every factor
    (None if it is not active), and every metric in ``names`` as a float. Only complete trials have metrics; in all
    other states they are NaN, because partial training is not a result.
    """
    trials = list(study.trials.values())
    kinds = {"number": int, "seed": int, "is_audited": bool}
    fixed = ("uid", "number", "state", "reason", "configuration", "seed", "purpose", "is_audited")
    columns = {name: pd.Series([getattr(t, name) for t in trials], dtype=kinds.get(name, object)) for name in fixed}
    columns["validity"] = pd.Series([_results(trial).get("validity") or [] for trial in trials], dtype=object)
    for factor in factors:
        columns[FACTOR_PREFIX + factor] = pd.Series([trial.params.get(factor) for trial in trials], dtype=object)
    for name in names:
        columns[name] = pd.Series([_number(_results(trial).get(name)) for trial in trials], dtype=float)
    return pd.DataFrame(columns)


def configuration_frame(
    groups: list[Configuration], study: StudyRecord, factors: list[str], names: list[str], objectives: list[Metric]
) -> pd.DataFrame:
    """One row per configuration of ``groups``, each of which has results.

    Returns:
        Columns ``configuration``, ``uid`` (of the first complete trial), ``uids`` and ``seeds`` (of the complete
        trials), ``num_seeds``, ``num_lost`` (number of stopped, paused or failed trials, not in the mean), ``is_lost``,
        ``purposes``, ``state`` and ``validity`` (as ``Configuration`` has them, broken constraints included), the
        ``factor_*`` columns, and for each measure its mean over seeds under its own name, ``sd_<measure>`` (sample
        standard deviation over seeds, NaN for fewer than two) and ``seeds_of_<measure>`` (number of seeds that have
        it). The mean of an objective is NaN unless every complete seed has it; any other measure is averaged over the
        seeds that have it.
    """
    own = ["configuration", "uid", "uids", "seeds", "purposes", "validity", "num_seeds", "num_lost", "is_lost", "state"]
    needed = {objective.name for objective in objectives}
    rows = []
    for one in groups:
        lost = [trial for trial in one.trials if trial.state in LOST]
        row: dict[str, Any] = {
            "configuration": one.name,
            "uid": one.completed[0].uid,
            "uids": [trial.uid for trial in one.completed],
            "seeds": one.seeds,
            "purposes": sorted({trial.purpose for trial in one.completed}),
            "validity": one.validity + broken_constraints(one, study),
            "num_seeds": len(one.seeds),
            "num_lost": len(lost),
            "is_lost": one.is_lost,
            "state": one.state,
        }
        for name in names:
            values = np.array([rounded(value) for value in one.by_seed(name).values()])
            is_known = len(values) == len(one.seeds) if name in needed else len(values) > 0
            row[name] = rounded(float(values.mean())) if is_known else np.nan
            # Not exactly 0 for equal values, because of their mean.
            spread = float(values.std(ddof=1)) if len(values) > 1 and np.ptp(values) > 0 else 0.0
            row[SPREAD_PREFIX + name] = rounded(spread) if len(values) > 1 else np.nan
            row[COUNT_PREFIX + name] = len(values)
        rows.append(row)
    numbers = [prefix + name for name in names for prefix in ("", SPREAD_PREFIX, COUNT_PREFIX)]
    frame = pd.DataFrame(rows, columns=[*own, *numbers])
    for place, name in enumerate(factors, start=len(own)):  # as objects: beside a None, pandas would make 2 a 2.0
        frame.insert(place, FACTOR_PREFIX + name, pd.Series([one.params.get(name) for one in groups], dtype=object))
    return frame.astype({"is_lost": bool}).copy()  # in one piece: pandas warns of a hundred columns in many


def broken_constraints(one: Configuration, study: StudyRecord) -> list[str]:
    """One line for each constraint of the study that the configuration's means exceed; usually none."""
    bounds = {item["name"]: item["at_most"] for item in study.spec.get("constraints", [])}
    return [
        f"breaks the constraint {name} <= {bounds[name]:g}: {bounds[name] + excess:.4g}"
        for name, excess in one.excess(bounds.items()).items()
        if excess > 0
    ]


def spread_of(row: Row, name: str) -> tuple[float, int]:
    """The sample standard deviation of a measure over a configuration's seeds (NaN for one), and how many seeds."""
    count = row.get(COUNT_PREFIX + name, 0)
    return float(row.get(SPREAD_PREFIX + name, np.nan)), int(count) if count == count else 0


def whisker_of(row: Row, metric: Metric) -> tuple[float, float] | None:
    """The lengths (down, up) of a mean's whisker: one standard deviation over seeds, or Wilson's interval of one seed.

    The two mean different things: the standard deviation covers repeated trainings evaluated on the same examples,
    Wilson's interval covers other examples for the same training. None if neither is known.
    """
    spread, count = spread_of(row, metric.name)
    if count > 1:
        return (spread, spread) if np.isfinite(spread) else None
    interval = interval_of(row, metric)
    return (row[metric.name] - interval[0], interval[1] - row[metric.name]) if interval else None


def factor_names(study: StudyRecord) -> list[str]:
    """The factors of the spec in its order, then any others that trials were proposed with."""
    names = [factor["name"] for factor in study.spec.get("factors", [])]
    names += [name for trial in study.trials.values() for name in trial.params]
    return list(dict.fromkeys(names))


def metric_names(study: StudyRecord) -> list[str]:
    """The names of all numbers that trials were measured in; objectives come first and are never missing."""
    names = [objective["name"] for objective in study.spec.get("objectives", [])]
    for trial in study.with_state("complete"):
        names += [name for name, value in trial.metrics.items() if _is_number(value) or value is None]
    taken = {*OWN_COLUMNS, *COLUMN_NAMES, *factor_names(study)}
    return [name for name in dict.fromkeys(names) if name not in taken]


def _results(trial: TrialRecord) -> dict[str, Any]:
    return trial.metrics if trial.state == "complete" else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else float("nan")
