"""Studies of any training: search, early stopping, confirmation, ablation; resumed exactly, reported honestly.

    >>> from study import Metric, StudySpec, open_study, run_study, as_trainable

``run_study`` runs a space and returns its result, ``open_study`` opens one on disk. Names are imported when they are
first used, so that importing a part of this package stays cheap.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.result import StudyResult, open_study
    from study.api import run_study
    from study.spec import (
        Ablation,
        Budget,
        Comparison,
        Confirmation,
        Constraint,
        Factor,
        Grid,
        LaptopPreset,
        MoAsha,
        NoStopping,
        Objective,
        PausingMoAsha,
        Plateau,
        RayAsha,
        Search,
        StudySpec,
    )
    from study.trainable import Context, Final, Interim, Measured, Metric, Progress, Trainable, as_trainable

__all__ = [
    "Ablation",
    "Budget",
    "Comparison",
    "Confirmation",
    "Constraint",
    "Context",
    "Factor",
    "Final",
    "Grid",
    "Interim",
    "LaptopPreset",
    "Measured",
    "Metric",
    "MoAsha",
    "NoStopping",
    "Objective",
    "PausingMoAsha",
    "Plateau",
    "Progress",
    "RayAsha",
    "Search",
    "StudyResult",
    "StudySpec",
    "Trainable",
    "as_trainable",
    "open_study",
    "run_study",
]

# Where names come from if not from study.spec. Results draw figures, so they live with the reports; only this table of
# the project's public names knows of both packages.
_HOMES = {
    "run_study": "study.api",
    "open_study": "reports.result",
    "StudyResult": "reports.result",
    "Context": "study.trainable",
    "Final": "study.trainable",
    "Interim": "study.trainable",
    "Measured": "study.trainable",
    "Metric": "study.trainable",
    "Progress": "study.trainable",
    "Trainable": "study.trainable",
    "as_trainable": "study.trainable",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'study' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "study.spec")), name)


def __dir__() -> list[str]:
    return __all__
