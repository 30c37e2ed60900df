"""What a study runs next, as a function of its journal: comparison, promotions, seeds, new configs, confirmations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from study.decisions.ablation import Choice, Outcome, as_params, outcomes, wanted_choices
from study.decisions.confirmation import next_confirmation
from study.decisions.promotion import Promotion, as_known_at, has_ended_up_to, next_promotion
from study.record.configurations import configurations, spent
from study.record.journal import SETTLED, Purpose, StudyRecord, configuration_name
from study.record.plateau import front_gain
from study.spec import SAMPLERS, Ablation, Budget, Grid, Params, Rungs, Search, StudySpec
from study.spec.choices import enumerate_grid
from study.trainable import trainable_of

if TYPE_CHECKING:
    from study.decisions.optuna_search import OptunaSearch
    from study.decisions.search.surrogate_search import SurrogateSearch

WAIT = "wait"  # more trials will follow, but which ones depends on trials under way


@dataclass(frozen=True)
class Upcoming:
    """A trial to be proposed: its factor values, its offset from the study's seed, and why it is run."""

    params: Params
    seed_offset: int
    purpose: Purpose = "search"
    sampler_attrs: dict[str, Any] = field(default_factory=dict)


class Plan:
    """Determines the next trial; its only state is a cache, everything else follows from the record passed in.

    Args:
        spec: the study.
        seed: of the search.
        scale: how much progress ``first_rung=1`` means (``Trainable.scale``).
        finishes_paused: whether trials that are still paused when the search is over go on to their end.
    """

    def __init__(self, spec: StudySpec, seed: int, scale: int = 1, *, finishes_paused: bool = False) -> None:
        self._spec, self._seed, self._scale, self._finishes_paused = spec, seed, scale, finishes_paused
        self._reused = trainable_of(spec.base).reused
        self._plain_design = spec.design.model_dump(mode="json")
        self._grid = enumerate_grid(spec) if isinstance(spec.design, Grid) else []
        self._search: OptunaSearch | SurrogateSearch | None = None
        self._num_when_exhausted: int | None = None  # number of configurations when the search found no new one

    def next(self, record: StudyRecord) -> Upcoming | Promotion | str | None:
        """What is run next, WAIT if it depends on trials under way, or None if there is nothing left to do."""
        if self._spec.window is None:
            return self._next_given(record)
        # Uses the results of jobs at least ``window`` numbers back; if they do not suffice, adds one job at a time.
        for number in range(record.num_jobs - self._spec.window, record.num_jobs):
            if not has_ended_up_to(record, number):
                return WAIT
            upcoming = self._next_given(as_known_at(record, number))
            if isinstance(upcoming, Upcoming | Promotion):
                return upcoming
        return upcoming

    def _next_given(self, record: StudyRecord) -> Upcoming | Promotion | str | None:
        """What is run next as a function of ``record`` alone."""
        promotion = next_promotion(record, self._spec) if self._may_promote(record) else None
        if promotion is not None:
            return promotion
        compared = next(iter(self._comparisons_left(record)), None)
        if compared is not None:
            return compared
        further = self._next_seed(record)
        if isinstance(further, Upcoming):
            return further
        fresh = self._next_configuration(record)
        if isinstance(fresh, Upcoming):
            return fresh
        if further == WAIT or fresh == WAIT:
            return WAIT
        paused = record.with_state("paused") if self._finishes_paused else []
        if paused:
            return Promotion(paused[0].uid, paused[0].reports[-1]["milestone"], to_end=True)
        return self._next_confirmation(record)

    def _may_promote(self, record: StudyRecord) -> bool:
        """Whether trials may be paused and there is something left to spend on them."""
        design = self._spec.design
        is_over = isinstance(design, Search) and self._end(record, design.budget)
        return self._spec.stopping.pauses and not is_over

    def num_planned(self, record: StudyRecord) -> int:
        """How many trials the study will have, as far as ``record`` shows."""
        seeds = len(self._spec.seeds)
        begun = num_known = len(record.searched)
        if seeds > 1:
            known = configurations(record, seeds)
            begun = sum(max(len(c.trials), seeds if c.state in ("running", "complete") else 0) for c in known)
        confirming = len([trial for trial in record.trials.values() if trial.purpose == "confirmation"])
        left = max(0, self._num_configurations(record) - num_known)
        compared = len([trial for trial in record.trials.values() if trial.purpose == "comparison"])
        compared += len(self._comparisons_left(record))
        return begun + left * seeds + compared + max(confirming, self._spec.confirmation.runs)

    def _comparisons_left(self, record: StudyRecord) -> list[Upcoming]:
        """The trials of the comparison that are not begun, seed by seed, without those that the grid has anyway."""
        compares, own = self._spec.compares, self._spec.seeds
        if compares is None:
            return []
        in_grid = [(params, seed) for params in self._grid for seed in own]
        begun = {(t.configuration, t.seed) for t in record.trials.values() if t.purpose == "comparison"}
        return [
            Upcoming(params, seed, purpose="comparison")
            for seed in compares.seeds(own)
            for params in compares.choices().values()
            if (params, seed) not in in_grid and (configuration_name(params), self._seed + seed) not in begun
        ]

    def _num_configurations(self, record: StudyRecord) -> int:
        num_known = len(record.searched)
        if self._num_when_exhausted == num_known:
            return num_known
        match self._spec.design:
            case Search(trials=trials, budget=budget):
                return num_known if self._end(record, budget) else trials
            case Grid():
                return len(self._grid)
            case Ablation():
                return len(wanted_choices(self._spec, self._outcomes(record)))

    def _next_seed(self, record: StudyRecord) -> Upcoming | str | None:
        """The next seed of the first configuration that may start one; WAIT if one may become ready later, or None."""
        is_waiting, seeds = False, len(self._spec.seeds)
        for configuration in configurations(record, seeds) if seeds > 1 else []:
            done = len(configuration.trials)
            if configuration.state != "running" or done >= seeds:
                continue
            may_be_stopped = isinstance(self._spec.stopping, Rungs) and (
                configuration.params not in self._spec.references
            )
            if may_be_stopped and configuration.trials[-1].state != "complete":
                is_waiting = True
            else:
                return Upcoming(configuration.params, self._spec.seeds[done])
        return WAIT if is_waiting else None

    def _next_configuration(self, record: StudyRecord) -> Upcoming | str | None:
        spec, seed_offset, num_known = self._spec, self._spec.seeds[0], len(record.searched)
        match spec.design:
            case Grid():
                return Upcoming(self._grid[num_known], seed_offset) if num_known < len(self._grid) else None
            case Ablation():
                outcomes = self._outcomes(record)
                wanted = [choice for choice in wanted_choices(spec, outcomes) if choice not in outcomes]
                if wanted:
                    return Upcoming(as_params(wanted[0], spec), seed_offset)
                known = configurations(record, len(spec.seeds))
                return WAIT if any(configuration.state == "running" for configuration in known) else None
            case Search(trials=trials, budget=budget):
                is_over = self._end(record, budget) or self._num_when_exhausted == num_known
                if num_known >= trials or is_over:
                    return None
                if num_known < len(spec.references):
                    return Upcoming(dict(spec.references[num_known]), seed_offset)
                return self._proposal(record, num_known, seed_offset)

    def _end(self, record: StudyRecord, budget: Budget) -> bool:
        return end_of_search(record, budget, self._reused, self._plain_design) is not None

    def _proposal(self, record: StudyRecord, num_known: int, seed_offset: int) -> Upcoming | None:
        if self._search is None:
            self._search = search_of(self._spec, self._seed, self._scale)
        proposal = self._search.propose(record)
        if proposal is None:
            self._num_when_exhausted = num_known
            return None
        return Upcoming(proposal.params, seed_offset, sampler_attrs=proposal.sampler_attrs)

    def _next_confirmation(self, record: StudyRecord) -> Upcoming | str | None:
        if self._spec.confirmation.runs == 0:
            return None
        others = [trial for trial in record.trials.values() if trial.purpose != "confirmation"]
        if any(trial.state not in SETTLED for trial in others):
            return WAIT
        confirmation = next_confirmation(record, self._spec, self._seed)
        return None if confirmation is None else Upcoming(*confirmation, purpose="confirmation")

    def _outcomes(self, record: StudyRecord) -> dict[Choice, Outcome]:
        """The outcomes of the ablation so far."""
        known = configurations(record, len(self._spec.seeds))
        assert isinstance(self._spec.design, Ablation)
        name = self._spec.design.objective
        return outcomes(known, name, any(o.name == name and o.direction == "maximize" for o in self._spec.objectives))


def end_of_search(
    record: StudyRecord, budget: Budget, reused: str, design: Mapping[str, Any] | None = None
) -> str | None:
    """Why a search proposes nothing more before it has all of its trials; None if it goes on.

    Args:
        record: the study.
        budget: of its search.
        reused: as in ``Trainable.reused``.
        design: the plain design, if it may not be recorded yet.
    """
    if is_spent(record, budget, reused):
        return "the budget is spent"
    gain = None if budget.plateau is None else front_gain(record, design)
    return str(gain) if gain is not None and gain.is_plateau else None


def search_of(spec: StudySpec, seed: int, scale: int = 1) -> "OptunaSearch | SurrogateSearch":
    """What proposes configurations; imported here, as Optuna's samplers take a second to import."""
    assert isinstance(spec.design, Search)
    if SAMPLERS[spec.design.sampler].is_optuna:
        from study.decisions.optuna_search import OptunaSearch

        return OptunaSearch(spec, seed)
    from study.decisions.search.surrogate_search import SurrogateSearch

    return SurrogateSearch(spec, seed, scale)


def is_spent(record: StudyRecord, budget: Budget, reused: str) -> bool:
    """Whether the trials of a search have together used up the budget; ``reused`` as in ``Trainable.reused``."""
    for name, limit in budget.spent.items():
        if sum(spent(trial, name, reused) for trial in record.trials.values()) >= limit:
            return True
    return budget.hours is not None and record.active_seconds >= 3600 * budget.hours
