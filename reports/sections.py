"""What a report says, in its order: selection, fronts, the front's table, learning curves, all trials."""

import numpy as np

from reports.figures import three_measures, trade_off
from reports.learning_curves import has_curves, learning_curves
from reports.measures import COSTS, SPLIT_WORDS
from reports.page import Section
from reports.tables import front_table, trials_table
from reports.trials import TrialTable

CLEAN = "val_clean"


def sections_of(table: TrialTable) -> list[Section]:
    """The sections that the study's data allow; what cannot be shown is said, not left out in silence."""
    sections = [Section("How to read this", _selection(table))]
    if table.complete.empty:
        sections.append(Section("No results", _nothing(table)))
    elif table.front.empty:
        sections.append(
            Section("No front", "No complete trial has a finite value of every objective: there is no front.")
        )
    sections += _figures(table)
    if not table.front.empty:
        sections.append(Section("The front", _front_caption(table), front_table(table)))
    if has_curves(table):
        measures = [name for name in (CLEAN, _robust_reported(table)) if name is not None]
        sections.append(Section("Learning curves", _curves_caption(table), figures=(learning_curves(table, measures),)))
    sections.append(Section("All trials", _trials_caption(table), trials_table(table) if len(table.frame) else ""))
    return sections


def _figures(table: TrialTable) -> list[Section]:
    """The fronts in two measures and in three, where complete trials have finite values of them."""
    robust, cost, sections = table.robust, table.cost, []
    accuracies = [name for name in (CLEAN, robust) if name is not None and _has_values(table, CLEAN, name)]
    has_cost = cost is not None and _has_values(table, cost, *accuracies)
    if robust is not None and robust in accuracies:
        figure = trade_off(table, CLEAN, robust, color_by_cost=has_cost)
        sections.append(Section("Accuracy against robustness", _scatter_caption(table), figures=(figure,)))
    if cost is not None and has_cost and accuracies:
        figures = tuple(trade_off(table, cost, name, color_by_cost=False) for name in accuracies)
        sections.append(Section("What accuracy and robustness cost", _cost_caption(cost), figures=figures))
    if cost is not None and has_cost and robust is not None and robust in accuracies:
        figure = three_measures(table, CLEAN, robust, cost)
        sections.append(Section("All three at once", "Drag to turn, scroll to zoom, point at a mark for its trial.",
                                figures=(figure,)))  # fmt: skip
    return sections


def _has_values(table: TrialTable, *names: str) -> bool:
    """Whether any complete trial has all of these measures."""
    values = table.complete.reindex(columns=list(names)).to_numpy(dtype=float)
    return bool(np.isfinite(values).all(axis=1).any())


def _robust_reported(table: TrialTable) -> str | None:
    """The robust accuracy that the learning curves show: trials may have been stopped before any was complete."""
    names = [objective.name for objective in table.objectives if objective.name.startswith("val_pgd_")]
    names += [name for trial in table.study.trials.values() for report in trial.reports for name in report
              if name.startswith("val_pgd_")]  # fmt: skip
    return table.robust or next(iter(names), None)


def _selection(table: TrialTable) -> str:
    names = ", ".join(objective.name for objective in table.objectives) or "nothing"
    return (
        f"Trials are selected on {names}, where val_* is measured on validation images cut from the training images; "
        "the numbers reported are test_*, measured on test images that take no part in the selection. A validation "
        "value of a selected trial is therefore optimistic, its test value is not. The front holds complete trials "
        "alone whose validity checks passed, those that no other one beats in one objective without losing in another. "
        "Intervals are "
        "Wilson 95% intervals: they cover the drawing of the n evaluated images, not the seed of the "
        "training. Each mark and each row is one trial with one seed."
    )


def _nothing(table: TrialTable) -> str:
    total = len(table.frame)
    failed, stopped = len(table.study.with_state("failed")), len(table.study.with_state("stopped"))
    if total == 0:
        return "No trial has been proposed yet, so there is nothing to show."
    if failed == total:
        return f"All {total} trials failed, so there is no front. The reasons are in the table of all trials below."
    return f"None of {total} trials is complete ({failed} failed, {stopped} stopped early), so there is no front yet."


def _front_caption(table: TrialTable) -> str:
    count, complete = len(table.front), len(table.complete)
    lone = " A front of a lone trial compares nothing." if complete == 1 else ""
    doubtful = int((table.complete["validity"].map(len) > 0).sum())
    doubt = f" {doubtful} complete trials failed a validity check (⚠) and are kept off the front." if doubtful else ""
    sharing = max((start.get("concurrency") or 1 for start in table.study.environments), default=1)
    shared = (
        f" Training time was measured with {sharing} trials at a time on shared hardware; compare training compute."
        if sharing > 1
        else ""
    )
    return (
        f"{count} of {complete} complete trials, on validation; the accuracies in the table are on test, each with its "
        f"Wilson 95% interval and number of images n. The command below a trial runs its configuration again."
        f"{lone}{doubt}{shared}"
    )


def _scatter_caption(table: TrialTable) -> str:
    """Says what the marks mean, and which of the two splits decides."""
    words = " and ".join(SPLIT_WORDS.values())
    return (
        f"One mark a complete trial; the buttons switch between {words}. The line is the front of these two measures "
        f"alone on validation; diamonds are on the front of all {len(table.objectives)} objectives. On test, bars are "
        "Wilson 95% intervals. Stopped and failed trials are not drawn."
    )


def _cost_caption(cost: str) -> str:
    return (
        f"Up and left is better. Cost is {COSTS[cost][0]}: pretraining alone, without probe and evaluation. The line "
        "is the best validation accuracy that is had for a cost."
    )


def _curves_caption(table: TrialTable) -> str:
    stopped = len(table.study.with_state("stopped"))
    return (
        f"Interim evaluations on validation at the rungs of early stopping; {stopped} stopped trials are dashed and "
        "marked by crosses. Interim evaluations may use fewer images than the full one, which ends a complete trial's "
        "line where it came later than the last rung."
    )


def _trials_caption(table: TrialTable) -> str:
    if table.frame.empty:
        return "None."
    return (
        "Click a column's head to sort by it. Only complete trials have results; the others have a state and a reason."
    )
