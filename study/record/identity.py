"""Whether a study that is about to run is the one that a folder holds, or an extension of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from study.record.journal import read_study
from study.trainable import Trainable


def require_same_study(study_dir: Path, spec: Mapping[str, Any], trainable: Trainable, base: Any) -> None:
    """Raises ``ValueError`` if the journal in ``study_dir`` is of a study that ``spec`` does not continue.

    Args:
        study_dir: with a journal.
        spec: the plain data that would be recorded.
        trainable: of the study.
        base: its base config.
    """
    recorded = read_study(study_dir).spec
    if not recorded:
        return
    recorded = _with_later_fields(recorded, trainable)
    effective = trainable.effective(base)
    unimportant = tuple(name for name in trainable.location_fields if name not in effective)
    pairs = _differences(_defining_part(recorded, unimportant), _defining_part(spec, unimportant))
    differences = [difference for difference in pairs if not _is_extension(*difference)]
    if differences:
        shown = "; ".join(f"{path}: {old!r} there, {new!r} now" for path, old, new in differences[:5])
        more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise ValueError(f"{study_dir} holds a different study ({shown}{more}); choose another folder with --name")


def _with_later_fields(spec: Mapping[str, Any], trainable: Trainable) -> dict[str, Any]:
    """A recorded spec with the fields that its configs lack because they were recorded before those existed."""

    def completed(plain: Any) -> Any:
        try:
            return trainable.config(**plain).model_dump(mode="json")
        except ValidationError:  # a config that this version does not accept differs as it is
            return plain

    design = dict(spec["design"])
    design |= {end: completed(design[end]) for end in ("from_", "to") if end in design}
    return dict(spec) | {"base": completed(spec["base"]), "design": design}


def _defining_part(spec: Mapping[str, Any], unimportant: tuple[str, ...]) -> dict[str, Any]:
    """The spec without what affects no result: the question, what metrics are called, where equal data lie."""
    nowhere = dict.fromkeys(unimportant)
    design = dict(spec["design"])
    design |= {end: design[end] | nowhere for end in ("from_", "to") if end in design}
    path = Path(spec["trainable"]).name  # a file may have been moved
    changes = {"question": None, "metrics": None, "trainable": path, "design": design, "base": spec["base"] | nowhere}
    return dict(spec) | changes


def _is_extension(path: str, old: Any, new: Any) -> bool:
    """Whether a difference only extends the study: more trials or budget, or seeds appended to the old ones."""
    if path == "seeds":
        return bool(new[: len(old)] == old)
    if path.startswith("design.budget."):
        return new is None or (old is not None and old <= new)
    return path in ("design.trials", "confirmation.runs") and None not in (old, new) and bool(old <= new)


def _differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        return [d for key in keys for d in _differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [d for i, pair in enumerate(zip(old, new, strict=True)) for d in _differences(*pair, f"{path}[{i}]")]
    return [] if old == new else [(path, old, new)]
