"""Proposals by expected hypervolume improvement per cost, as a pure function of the journal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from scipy.stats import norm, qmc, rankdata

from study.decisions.optuna_search import Proposal
from study.decisions.search.improvement import Gaussian, Marginal, Nodes, expected_improvement
from study.decisions.search.positions import columns, params_at, units_of, unordered_choices
from study.decisions.search.results import Row, bounded, rows_of
from study.decisions.search.surrogate import Surrogate
from study.record.configurations import Configuration, configurations
from study.record.front import nondominated
from study.record.journal import StudyRecord, configuration_name
from study.spec import Params, Search, StudySpec
from study.streams import stream_seed
from study.trainable import Metric, trainable_of

Floats = npt.NDArray[np.float64]


@dataclass
class Settings:
    pool: int = 1000
    mutants: int = 300
    start: int = 6
    spread: float = 0.5  # of start points about the middle where no cost is known
    exponent: float = 1.0
    scale: str = "rank"  # gaussian | rank
    target: str = "normal"  # normal | power


SETTINGS = Settings()


class SurrogateSearch:
    def __init__(self, spec: StudySpec, seed: int, scale: int = 1) -> None:
        assert isinstance(spec.design, Search)
        self._spec, self._seed, self._scale = spec, seed, scale
        self._trainable = trainable_of(spec.base)
        by_name = {m.name: m for m in self._trainable.metrics(spec.base)}
        self._metrics = [by_name.get(o.name, Metric(o.name, o.direction)) for o in spec.objectives]
        self._signs = np.array([1.0 if o.direction == "minimize" else -1.0 for o in spec.objectives])
        known = self._trainable.known_metrics(spec.config(params_at({f.name: 0.5 for f in spec.factors}, spec), 0))
        self._known_names = list(known)
        self._cost_name = next((o.name for o in spec.objectives if o.name in known), next(iter(known), None))
        self._clocked = next((i for i, m in enumerate(self._metrics) if m.is_cost and m.name not in known), None)
        self._unknown = [m for m in self._metrics if m.name not in known]
        self._constraints = [c for c in spec.constraints]
        self._identities: dict[str, str] = {}
        self._knowns: dict[str, Mapping[str, float]] = {}
        self._encoded: dict[str, list[float]] = {}
        self._pool: list[Params] = []

    # -- small caches
    def _identity(self, params: Params) -> str:
        key = configuration_name(params)
        if key not in self._identities:
            self._identities[key] = self._trainable.identity(self._spec.config(params, seed=0))
        return self._identities[key]

    def _known(self, params: Params) -> Mapping[str, float]:
        key = configuration_name(params)
        if key not in self._knowns:
            self._knowns[key] = self._trainable.known_metrics(self._spec.config(params, seed=0))
        return self._knowns[key]

    def _columns(self, many: Sequence[Params]) -> Floats:
        rows = []
        for params in many:
            key = configuration_name(params)
            if key not in self._encoded:
                self._encoded[key] = columns(params, self._spec)
            rows.append(self._encoded[key])
        return np.array(rows)

    def _share(self, params: Params, report: Mapping[str, Any]) -> float:
        total = self._trainable.total_progress(self._spec.config(params, seed=0), self._scale)
        done = report.get(self._trainable.progress, report["milestone"])
        return min(1.0, max(1e-3, done / total)) if total else 1.0

    # -- proposals
    def propose(self, record: StudyRecord) -> Proposal | None:
        earlier = configurations(record, len(self._spec.seeds))
        taken = {self._identity(c.params) for c in earlier}
        arms = self._spec.compares.choices() if self._spec.compares else {}
        taken |= {self._identity(params) for params in arms.values()}
        rng = np.random.default_rng(stream_seed(self._seed, "proposal", len(earlier)))
        rows = [row for c in earlier for row in rows_of(c, self._unknown, self._share)]
        usable = [row for row in rows if not row.is_failure and not row.is_interim]
        number = len(earlier) - len(self._spec.references)
        start = self._start()
        if number < len(start) or len(usable) < 3:
            for params in [*start[number:], *self._random(rng, 200)]:
                if self._identity(params) not in taken:
                    return Proposal(params)
        for params in self._ranked(earlier, rows, rng):
            if self._identity(params) not in taken:
                return Proposal(params)
        for params in self._random(rng, 500):
            if self._identity(params) not in taken:
                return Proposal(params)
        return None

    def _random(self, rng: np.random.Generator, count: int) -> list[Params]:
        names = [f.name for f in self._spec.factors]
        return [params_at(dict(zip(names, u, strict=True)), self._spec) for u in rng.random((count, len(names)))]

    def _start(self) -> list[Params]:
        names = [f.name for f in self._spec.factors]
        n = SETTINGS.start
        points = qmc.Sobol(len(names), seed=stream_seed(self._seed, "start") % 2**32).random(max(1, 2 ** int(np.ceil(np.log2(n)))))[:n]
        numeric = np.array([not unordered_choices(f) for f in self._spec.factors])
        points = np.where(numeric, 0.5 + (points - 0.5) * SETTINGS.spread, points)
        return [params_at(dict(zip(names, u, strict=True)), self._spec) for u in points]

    def _mutants(self, parents: Sequence[Params], rng: np.random.Generator, count: int) -> list[Params]:
        names = [f.name for f in self._spec.factors]
        found = []
        for _ in range(count if parents else 0):
            units = np.array(list(units_of(parents[rng.integers(len(parents))], self._spec).values()))
            moved = rng.random(len(names)) < max(0.3, 1.5 / len(names))
            if not moved.any():
                moved[rng.integers(len(names))] = True
            fresh = rng.random(len(names)) < 0.2
            step = np.clip(units + rng.normal(size=len(names)) * rng.choice([0.05, 0.15, 0.3]), 0, 1 - 1e-9)
            categorical = np.array([bool(unordered_choices(f)) for f in self._spec.factors])
            new = np.where(fresh | categorical, rng.random(len(names)), step)
            units = np.where(moved, new, units)
            found.append(params_at(dict(zip(names, units, strict=True)), self._spec))
        return found

    def _ranked(self, earlier: Sequence[Configuration], rows: Sequence[Row], rng: np.random.Generator) -> list[Params]:
        if not self._pool:
            self._pool = self._random(np.random.default_rng(stream_seed(self._seed, "pool")), SETTINGS.pool)
        rows = bounded(rows)
        final = [r for r in rows if not r.is_interim and not r.is_failure]
        with_share = any(r.is_interim for r in rows)

        def inputs(many: Sequence[Params], shares: Floats | None = None, interim: Floats | None = None) -> Floats:
            cols = self._columns(many)
            if with_share:
                s = np.zeros(len(many)) if shares is None else np.log(shares) / np.log(1e3) * 2
                i = np.zeros(len(many)) if interim is None else interim
                cols = np.c_[cols, 1 + s, i]
            return cols

        ended = {id(r.params) for r in rows if not r.is_interim}
        pending = [c.params for c in earlier if c.state == "running" and not c.completed]
        pool_cols = inputs(self._pool)
        surrogates, latents, transforms = [], [], []
        for metric in self._unknown:
            sign = 1.0 if metric.name not in [o.name for o in self._spec.objectives] else self._signs[[o.name for o in self._spec.objectives].index(metric.name)]
            has = [r for r in rows if metric.name in r.values or r.is_failure]
            raw = np.array([sign * r.values[metric.name] if metric.name in r.values else np.nan for r in has])
            if not metric.is_cost:
                raw = np.where(np.isnan(raw), np.nanmax(raw), raw)  # a failure is as bad as the worst
            else:
                keep = ~np.isnan(raw)
                has, raw = [r for r, k in zip(has, keep, strict=True) if k], raw[keep]
            f = _Transform(raw, "log" if metric.is_cost and (raw * sign > 0).all() else SETTINGS.target, sign)
            x = inputs([r.params for r in has], np.array([r.share for r in has]), np.array([float(r.is_interim) for r in has]))
            s = Surrogate(x, f(raw))
            if pending:
                xp = inputs(pending)
                s.told(xp, s.predict(xp)[0])
            surrogates.append(s); transforms.append(f)
        # values of objectives of finals and pending, latent
        done_params = [r.params for r in final] + list(pending)
        mutants = self._mutants(self._front_params(final, pending, surrogates, transforms, inputs), rng, SETTINGS.mutants)
        cands = self._pool + mutants
        cand_cols = np.r_[pool_cols, inputs(mutants)] if mutants else pool_cols
        marginals: list[Marginal] = []
        points = np.empty((len(done_params), len(self._metrics)))
        reference = np.empty(len(self._metrics))
        cost = np.ones(len(cands))
        k = 0
        for j, metric in enumerate(self._metrics):
            if metric.name in self._known_names:
                pool = np.array([self._signs[j] * self._known(p)[metric.name] for p in self._pool])
                cv = np.array([self._signs[j] * self._known(p)[metric.name] for p in cands])
                dv = np.array([self._signs[j] * self._known(p)[metric.name] for p in done_params])
                if SETTINGS.scale == "rank":
                    so = np.sort(pool)
                    g = lambda v: (np.searchsorted(so, v, "left") + np.searchsorted(so, v, "right")) / (2 * len(so))
                else:
                    lg = np.log(pool) if (pool > 0).all() else pool
                    g = lambda v, m=lg.mean(), s=lg.std() + 1e-12, islog=(pool > 0).all(): ((np.log(v) if islog else v) - m) / s
                points[:, j] = g(dv)
                marginals.append(Gaussian(g(cv), np.zeros(len(cands))))
                reference[j] = 1.0 if SETTINGS.scale == "rank" else g(pool).max()
                continue
            s, f = surrogates[k], transforms[k]; k += 1
            mean, dev = s.predict(cand_cols)
            latent_done = np.r_[f(np.array([self._signs[j] * r.values[metric.name] for r in final])), s.predict(inputs(pending))[0] if pending else []]
            smooth_done = s.predict(inputs(done_params))[0]
            if j == self._clocked and self._cost_name is None:
                cost = np.exp(f.log_scale(mean))
            if SETTINGS.scale == "rank":
                pm, pd = mean[: len(self._pool)], dev[: len(self._pool)]
                grid = np.linspace(min((pm - 4 * pd).min(), latent_done.min()), max((pm + 4 * pd).max(), latent_done.max()), 200)
                cdf = ndtr((grid[:, None] - pm[None, :]) / pd[None, :]).mean(axis=1)
                nodes, weights = np.polynomial.hermite_e.hermegauss(12)
                vals = np.interp(mean[:, None] + dev[:, None] * nodes[None, :], grid, cdf)
                marginals.append(Nodes(vals, weights / weights.sum()))
                points[:, j] = np.interp(latent_done, grid, cdf)
                reference[j] = 1.0
            else:
                marginals.append(Gaussian(mean, dev))
                points[:, j] = latent_done
                reference[j] = max(latent_done.max(), np.quantile(mean, 0.9)) + 0.1
        if self._cost_name is not None:
            cost = np.array([self._known(p)[self._cost_name] for p in cands])
        front = points[nondominated(points, [False] * points.shape[1])]
        gain = expected_improvement(marginals, len(cands), front, reference)
        score = np.log(np.maximum(gain, 1e-300)) - SETTINGS.exponent * np.log(np.maximum(cost, 1e-300))
        order = np.argsort(-score, kind="stable")
        return [cands[i] for i in order]

    def _front_params(self, final, pending, surrogates, transforms, inputs) -> list[Params]:
        done = [r.params for r in final]
        pts = np.array([[self._signs[j] * (self._known(r.params)[m.name] if m.name in self._known_names else r.values[m.name]) for j, m in enumerate(self._metrics)] for r in final])
        members = nondominated(pts, [False] * pts.shape[1])
        return [p for p, m in zip(done, members, strict=True) if m] + list(pending)


class _Transform:
    """Monotone map to about standard normal values, fitted to some."""

    def __init__(self, raw: Floats, kind: str, sign: float) -> None:
        self.kind, self.sign = kind, sign
        if kind == "log":
            v = np.log(raw * sign)
            self.m, self.s = v.mean(), v.std() or 1.0
        elif kind == "normal":
            self.x = np.unique(raw)
            ranks = rankdata(raw)
            z = norm.ppf((ranks - 0.5) / len(raw))
            self.z = np.array([z[raw == x][0] for x in self.x])
            self.m, self.s = z.mean(), z.std() or 1.0
        else:
            self.m, self.s = raw.mean(), raw.std() or 1.0

    def __call__(self, raw: Floats) -> Floats:
        if self.kind == "log":
            return self.sign * (np.log(np.maximum(raw * self.sign, 1e-300)) - self.m) / self.s
        if self.kind == "normal":
            return (np.interp(raw, self.x, self.z) - self.m) / self.s
        return (raw - self.m) / self.s

    def log_scale(self, latent: Floats) -> Floats:
        return self.sign * latent * self.s + self.m if self.kind == "log" else latent
