"""What would decide a comparison that is not decided: trials that are planned, or the option that runs more."""

from reports.answer.comparisons import Compared
from study.record.trials import TrialTable
from study.spec import Comparison

FEWEST = 3  # the interval of two pairs is 12.7 standard errors long on either side


def more_trials(one: Compared, comparison: Comparison | None, table: TrialTable) -> str:
    """In words, what would decide ``one``; '' if it is decided. ``comparison`` is that of the study, if it has one."""
    pairs = one.difference.pairs
    if one.verdict != "undecided":
        return ""
    if pairs < 2:
        option = _option(max(FEWEST, pairs + 1), pairs, comparison, table)
        return f"{'One pair' if pairs else 'No pair'}: no interval{option and f'; {option}'}."
    if one.more_pairs is None:
        return "No practicable number of trials would decide."
    trials = one.more_pairs * (len(comparison.arms) if comparison else 2)
    option = _option(pairs + one.more_pairs, pairs, comparison, table).removeprefix("run ") if comparison else ""
    return f"Needs about {trials:,} more trials{option and f' ({option})'}."


def _option(wanted: int, pairs: int, comparison: Comparison | None, table: TrialTable) -> str:
    """How to come to ``wanted`` pairs from ``pairs``; a study can be given more pairs or seeds, but no fewer."""
    own = tuple(table.study.spec.get("seeds") or (0,))
    if comparison is None:
        others = [seed for seed in range(wanted + len(own)) if seed not in own][: max(0, wanted - len(own))]
        return f"run --seeds {' '.join(map(str, (*own, *others)))}" if others else ""
    planned = len(comparison.seeds(own))
    if not table.study.ended and wanted <= planned:
        return f"{planned} pairs are planned"
    lost = planned - pairs if table.study.ended else 0  # trials of these failed
    return f"run --pairs {max(wanted + lost, planned + 1)}"
