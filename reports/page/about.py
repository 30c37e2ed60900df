"""The last sections of a page: how to read it, and what the study is: its trials, selection and environment."""

from typing import Any

from pydantic import ValidationError

from reports.page.html_templates import filled
from reports.page.page import Section, utc_text
from study.record.journal import State
from study.record.ledger import ledger
from study.record.trials import TrialTable

STATES: tuple[State, ...] = ("complete", "stopped", "paused", "failed", "running", "proposed")


def closing_sections(table: TrialTable) -> list[Section]:
    """How to read the page, and about the study."""
    return [_reading_guide(table), _about(table)]


def interrupted_note(table: TrialTable) -> str:
    """A note that the study has not ended; '' if it has."""
    study = table.study
    if study.ended:
        return ""
    when = f" Its last event was at {utc_text(study.last_event_at)}." if study.last_event_at is not None else ""
    running, waiting = len(study.with_state("running")), len(study.with_state("proposed"))
    return (
        f"Interrupted: the study has not ended (trials: {running} unfinished, {waiting} waiting), and the same command "
        f"resumes it. Results may still change.{when}"
    )


def _reading_guide(table: TrialTable) -> Section:
    names = ", ".join(objective.name for objective in table.objectives)
    caption = (
        f"Trials are selected on {names or 'nothing'}. Trials that differ only in their seed are one configuration."
    )
    method = []
    if any(metric.split == "val" for metric in table.objectives):
        method.append(
            "val_* is measured on validation data that are cut from the training data. The numbers reported are "
            "test_*, from test data that take no part in the selection: a validation value of what was selected is "
            "optimistic, its test value far less so."
        )
    if len(table.objectives) > 1:
        method.append("The front holds the configurations that no other one dominates in the means of the objectives.")
    elif table.objectives:
        method.append("The front of one objective is the configuration with the best mean, or several that are equal.")
    method.append(
        "One with a failed or stopped trial, or a trial that did not pass its validity checks, takes no part."
    )
    if any(metric.is_share for metric in table.metrics.values()):
        method.append(
            f"Wilson 95% intervals cover the drawing of the n evaluated {table.examples}, not the seed of the "
            f"training; standard deviations over seeds cover the seed, not the {table.examples}. They are never mixed: "
            "each number says which of them it has."
        )
    return Section("How to read this", caption, method=" ".join(method))


def _about(table: TrialTable) -> Section:
    counts = {state: len(table.study.with_state(state)) for state in STATES}
    starts = [_environment(environment) for environment in table.study.environments]
    names = ["Environment"] if len(starts) == 1 else [f"Start {number}" for number in range(1, len(starts) + 1)]
    body = filled(
        "page/templates/about.html",
        states={state: count for state, count in counts.items() if count or state not in ("paused", "proposed")},
        facts=_facts(table),
        environments={name: text for name, text in zip(names, starts, strict=True) if text},
    )
    return Section("About this study", "", body)


def _facts(table: TrialTable) -> dict[str, str]:
    """What was selected, and what the trials do."""
    spec = table.study.spec
    words = {"maximize": "maximised", "minimize": "minimised"}
    selection = ", ".join(f"{metric.name} ({words[metric.direction]})" for metric in table.objectives)
    facts = {"Preset": str(spec.get("preset", "not recorded")), "Trials": _described(table)}
    facts["Training cost"] = "; ".join(entry.describe() for entry in ledger(table.study))
    facts |= {"Selected on": selection or "nothing: the study names no objectives", "Generated": utc_text()}
    return {name: text for name, text in facts.items() if text}


def _described(table: TrialTable) -> str:
    """What the trials do, as their trainable says of the first of them; '' if it cannot."""
    config = {**table.study.spec.get("base", {}), **next((t.config for t in table.study.trials.values()), {})}
    try:
        return table.trainable.describe(table.trainable.recorded(config)) if table.trainable else ""
    except ValidationError:
        return ""


def _environment(environment: dict[str, Any]) -> str:
    parts = []
    for name, value in environment.items():
        if value is None:  # a GPU or a cap that there was not
            continue
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        parts.append(f"{name.replace('_', ' ')} {text}")
    return " · ".join(parts)
