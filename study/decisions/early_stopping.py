"""What a rule of early stopping is, and the rule of a study."""

import importlib
from collections.abc import Collection
from typing import Protocol

from study.spec import Rungs, StudySpec


class EarlyStopping(Protocol):
    """Decides at rungs which trials continue; see ``MultiObjectiveAsha``."""

    def decide(
        self, uid: str, milestone: int, values: list[float | None], among: Collection[str] | None = None
    ) -> bool: ...

    def restore(self, uid: str, milestone: int, values: list[float | None], kept: bool) -> None: ...

    def explain(self, uid: str, milestone: int) -> str: ...


def early_stopping(spec: StudySpec, first_rung: int) -> EarlyStopping | None:
    """A fresh rule for ``spec``, whose first rung is at ``first_rung`` progress.

    None if no trial is stopped, or if trials are paused instead (``study.decisions.promotion``).
    """
    if not isinstance(spec.stopping, Rungs) or spec.stopping.pauses:
        return None
    directions = {objective.name: objective.direction == "maximize" for objective in spec.objectives}
    module, _, name = spec.stopping.rule.partition(":")
    make = getattr(importlib.import_module(module), name)  # Ray's rule imports Ray, which takes a second
    rule: EarlyStopping = make(spec.stopping, first_rung, [directions[name] for name in spec.stopping.compared])
    return rule
