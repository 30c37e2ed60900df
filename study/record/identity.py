"""Whether a study that is about to run is the one that a folder holds, or an extension of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from study.record.journal import JOURNAL_NAME, read_starts
from study.trainable import Trainable, trainable_of

if TYPE_CHECKING:
    from study.spec import StudySpec

FIRST_SAMPLER, FIRST_ETA = "tpe", 3  # the defaults of earlier versions


def as_meant(plain: Mapping[str, Any], trainable: Trainable) -> dict[str, Any]:
    """The fields of a recorded config with those that were added later; as recorded if this version refuses it."""
    try:
        return dict(trainable.recorded(plain).model_dump(mode="json"))
    except ValidationError:
        return dict(plain)


def continued(spec: "StudySpec", study_dir: Path, *, is_sampler_given: bool = False) -> "StudySpec":
    """``spec`` with what the study in ``study_dir``, if there is one, meant where it had no field to say so.

    The same command thereby resumes a study that was begun before a field of ``Trainable.earlier`` was added, or when
    another ``eta`` was the default, or another sampler, unless one is asked for (``is_sampler_given``). Values other
    than the field's default are left as they are.
    """
    recorded = read_starts(study_dir).spec if (study_dir / JOURNAL_NAME).is_file() else {}
    if not recorded:
        return spec
    fields, earlier = type(spec.base).model_fields, trainable_of(spec.base).earlier
    new = {name: value for name, value in earlier.items() if name not in recorded["base"]}
    set_by_factors = {name for factor in spec.factors for name in factor.fields()}
    by_default = {name for name in new if getattr(spec.base, name) == fields[name].default} - set_by_factors
    if by_default:
        spec = spec.with_settings({name: new[name] for name in by_default})
    if spec.design.kind == "Search" and "believed" not in recorded["design"]:
        spec = spec.replace(design=spec.design.replace(believed=()))
    if not is_sampler_given and spec.design.kind == "Search":
        default = type(spec.design).model_fields["sampler"].default
        if (recorded["design"].get("sampler"), spec.design.sampler) == (FIRST_SAMPLER, default):
            spec = spec.replace(design=spec.design.replace(sampler=FIRST_SAMPLER))
    if spec.stopping.kind != "NoStopping":
        default = type(spec.stopping).model_fields["eta"].default
        if (recorded["stopping"].get("eta"), spec.stopping.eta) == (FIRST_ETA, default):
            spec = spec.replace(stopping=spec.stopping.replace(eta=FIRST_ETA))
    known = (recorded.get("confirmation") or {}).get("settings") or {}
    settings = {k: v for k, v in (spec.confirmation.settings or {}).items() if k in known or k not in new}
    return spec.replace(confirmation=spec.confirmation.replace(settings=settings))


def require_same_study(study_dir: Path, spec: Mapping[str, Any], trainable: Trainable, base: Any) -> None:
    """Raises ``ValueError`` if the journal in ``study_dir`` is of a study that ``spec`` does not continue.

    Args:
        study_dir: with a journal.
        spec: the plain data that would be recorded.
        trainable: of the study.
        base: its base config.
    """
    recorded = read_starts(study_dir).spec
    if not recorded:
        return
    effective = trainable.effective(base)
    unimportant = tuple(name for name in trainable.location_fields if name not in effective)
    then, now = (_defining_part(plain, unimportant, trainable) for plain in (recorded, spec))
    pairs = _differences(then, now)
    differences = [difference for difference in pairs if not _is_extension(*difference)]
    if differences:
        shown = "; ".join(f"{path}: {old!r} there, {new!r} now" for path, old, new in differences[:5])
        more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise ValueError(f"{study_dir} holds a different study ({shown}{more}); choose another folder with --name")


def _defining_part(spec: Mapping[str, Any], unimportant: tuple[str, ...], trainable: Trainable) -> dict[str, Any]:
    """The spec without what affects no result: question and answer, names of metrics, where data lie."""
    nowhere = dict.fromkeys(unimportant)
    design = dict(spec["design"])
    design |= {end: as_meant(design[end], trainable) | nowhere for end in ("from_", "to") if end in design}
    design["believed"] = design.get("believed") or []  # earlier versions had none
    path = Path(spec["trainable"]).name  # a file may have been moved
    base = as_meant(spec["base"], trainable) | nowhere
    compares = spec.get("compares") and dict(spec["compares"]) | {"means": None}
    excluded = list(spec.get("excluded") or ())  # earlier versions had none
    changes = {"trainable": path, "design": design, "base": base, "compares": compares, "excluded": excluded}
    return dict(spec) | dict.fromkeys(("question", "metrics", "asks", "smallest_difference")) | changes


def _is_extension(path: str, old: Any, new: Any) -> bool:
    """Whether a difference only extends the study: more trials, pairs or budget, a comparison, or appended seeds.

    Or another region of interest: it changes what is proposed and recommended from here on, nothing that was measured,
    and is often known only once there are results. The journal keeps the region of each start.
    """
    if path.startswith("objectives[") and path.endswith((".at_least", ".at_most")):
        return True
    if path == "seeds":
        return bool(new[: len(old)] == old)
    if path == "design.budget.plateau.gain":
        return bool(new <= old)
    if path.startswith("design.budget."):
        return new is None or (old is not None and old <= new)
    if path == "compares":
        return old is None
    return (
        path in ("design.trials", "confirmation.runs", "compares.pairs") and None not in (old, new) and bool(old <= new)
    )


def _differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        return [d for key in keys for d in _differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [d for i, pair in enumerate(zip(old, new, strict=True)) for d in _differences(*pair, f"{path}[{i}]")]
    return [] if old == new else [(path, old, new)]
