"""What a study is, in the lines with which its run begins."""

from study.spec import Ablation, Grid, StudySpec
from study.spec.choices import share_excluded, whole_grid
from study.trainable import Trainable


def announcement(spec: StudySpec, trainable: Trainable) -> str:
    """What the trials of the study do under its preset, which presets there are, and what is excluded."""
    what = trainable.describe(spec.base) or trainable.path
    others = [name for name in trainable.presets if name != spec.preset]
    also = f" (also: {', '.join(f'--preset {name}' for name in others)})" if others else ""
    first = f"Preset {spec.preset}: {what}{also}" if spec.preset else f"Study {spec.name}: {what}"
    return f"{first}\n{_exclusions(spec)}" if spec.excluded else first


def _exclusions(spec: StudySpec) -> str:
    """What is excluded, and how much of the space that is."""
    conditions = " or ".join(spec.excluded)
    if isinstance(spec.design, Grid):
        total = len(whole_grid(spec))
        return f"Excluded: {conditions} ({round(total * share_excluded(spec))} of {total} combinations)"
    if isinstance(spec.design, Ablation):
        return f"Excluded: {conditions}"
    return f"Excluded: {conditions} (about {share_excluded(spec):.0%} of the space)"
