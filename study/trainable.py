"""What a study can run: the contract between the engine and a training.

A ``Trainable`` names its config model, says which metrics it reports, loads its data, and runs one trial as a stream of
reports. The engine, the journal and the reports know only this file. Most people write a function instead of a class:

    class Config(BaseModel, frozen=True):
        depth: int = 3
        seed: int = 0

    @as_trainable(config=Config, metrics=[Metric("accuracy", "maximize", unit="%")])
    def fit(config, context):
        yield {"accuracy": 91.2}

    STUDY = StudySpec(name="depth", question="How deep?", base=Config(), ...)

Nothing here imports torch or Ray.
"""

import hashlib
import importlib
import inspect
import math
import queue
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.dataclasses import dataclass as validated

from study.settings import content_hash

Direction = Literal["maximize", "minimize"]
Split = Literal["", "val", "test"]
Metrics = dict[str, Any]
FIRST_TRAINABLE = "trainables.robust_ssl:ROBUST_SSL"  # of journals that name none: then there was no other
FILE_PREFIX = "_space_"  # of the names of modules that were loaded by path
STOP_SECONDS = 60.0  # that a stopped training has to clean up; then it is left alone, as a thread cannot be killed
CHECKPOINT_NAME = "checkpoint.pt"  # a trial may keep ``checkpoint.*`` in its folder; removed once it has ended


@validated(frozen=True)
class Metric:
    """A number that trials report, and how it is shown.

    Args:
        name: its key in reports.
        direction: whether larger or smaller values are better.
        label: in words, without unit and split; the name if empty.
        unit: such as ``%``.
        kind: ``share``: a percentage of counted examples, with an interval over them; ``cost``: positive, compared by
            factors; ``number``: anything else.
        units: for a cost, its units from large to small: size in the metric's own unit, name.
        split: on which examples it is measured; ``val`` decides, ``test`` is reported.
        twin: the name of the same metric on the other split.
        count: the name of the metric that says over how many examples it was measured.
        is_interim: whether interim reports have it.
        is_final: whether results have it; objectives must be in results.
        is_known: whether it follows from the config, before any training (see ``Trainable.known_metrics``).
        is_clocked: whether it depends on the machine.
        is_headline: whether it is what a study is mainly about; by default its first objective that is no cost.

    Example:
        >>> loss = Metric("val_loss", "minimize", split="val", twin="test_loss")
        >>> size = Metric("leaves", "minimize", "leaves of all trees", kind="cost", units=((1000, "thousand"), (1, "")))
        >>> loss.maximise, size.is_cost
        (False, True)
    """

    name: str
    direction: Direction = "maximize"
    label: str = ""
    unit: str = ""
    kind: Literal["share", "cost", "number"] = "number"
    units: tuple[tuple[float, str], ...] = ()
    split: Split = ""
    twin: str = ""
    count: str = ""
    is_interim: bool = True
    is_final: bool = True
    is_known: bool = False
    is_clocked: bool = False
    is_headline: bool = False

    @property
    def maximise(self) -> bool:
        """Whether larger values are better."""
        return self.direction == "maximize"

    @property
    def is_share(self) -> bool:
        """Whether it is a percentage of counted examples."""
        return self.kind == "share"

    @property
    def is_cost(self) -> bool:
        """Whether it is a cost."""
        return self.kind == "cost"


@dataclass(frozen=True)
class Progress:
    """A heartbeat: the share of the trial's training that is done, in [0, 1]."""

    share_done: float


@dataclass(frozen=True)
class Measured:
    """A row of the trial's curve, which is kept in its folder: the ``progress``, and a number for each measure.

    Nothing is decided by it. A trial that resumes may begin with the rows that it had before.
    """

    measures: Metrics


@dataclass(frozen=True)
class Interim:
    """An evaluation before the end: ``milestone`` (that of the context), the ``progress``, the interim metrics."""

    metrics: Metrics


@dataclass(frozen=True)
class Final:
    """The result of a trial that ran to its end.

    Args:
        metrics: everything that was measured; ``validity`` may list, in words, why the numbers cannot be trusted, and
            ``hardware`` name what they were clocked on.
        outcomes: accuracy -> for each evaluated example whether it was right (bool arrays); compared pairwise.
        save: writes further files, such as weights, into the trial's folder.
    """

    metrics: Metrics
    outcomes: Mapping[str, Any] = field(default_factory=dict)
    save: Callable[[Path], None] | None = None


Report = Progress | Measured | Interim | Final


class DamagedCheckpoint(ValueError):
    """Raised by a trial whose checkpoint cannot be read; it is then removed, and the trial starts afresh."""


class ProcessLost(RuntimeError):
    """Raised by a trial of which a process was killed; it is run again, as if its worker had died."""


@dataclass(frozen=True)
class Context:
    """What a running trial is given besides its config and data.

    Args:
        folder: of the trial; ``checkpoint_path`` lies in it.
        shared_folder: of all trials, for what those with the same prefix share.
        milestones: increasing amounts of progress at which a rung decides; each wants one ``Interim`` at or after it.
        device: ``cpu`` or ``cuda``.
        num_threads: the cores of the trial.
        num_processes: that the trial may train with: one for each of its GPUs, or what ``--processes-per-trial`` says.
        gpu_share: of a GPU's memory, in (0, 1].
        report: for training loops with callbacks: hands over an interim report and waits; the last one is the result.
    """

    folder: Path
    shared_folder: Path | None = None
    milestones: Sequence[int] = ()
    device: str = "cpu"
    num_threads: int = 1
    num_processes: int = 1
    gpu_share: float = 1.0
    report: Callable[[Metrics], None] = lambda metrics: None

    @property
    def checkpoint_path(self) -> Path:
        """Where the trial may keep its state; it resumes from there if the file exists when it begins.

        Write it before a report at a milestone: a trial that is paused there goes on from it, perhaps much later, on
        another machine and after the study's folder was moved. Do not write it while being closed, as in a ``finally``:
        by then the trial may have gone on elsewhere. A trial that keeps none starts afresh when it is promoted. Its
        reports at milestones that it had reported do not count again, its result costs what it costs alone, and what
        it trained twice was spent twice. A trial that finds it unreadable raises ``DamagedCheckpoint``.
        """
        return self.folder / CHECKPOINT_NAME


class Trainable:
    """What a study runs. Subclasses set ``path`` and ``config``, and define ``metrics`` and ``run``.

    Attributes:
        path: where to import this object from: ``module:NAME`` or ``/folder/file.py:NAME``.
        config: the model of its configs: frozen, with a field ``seed``.
        progress: the metric in every report that says how far the training is; rungs are placed in it.
        only_waits: whether trials need no core and no GPU of their own, because they look results up or ask elsewhere.
        examples: what is counted in shares, in the plural, such as ``images``.
        modules: what a trial imports, so that it is not counted as the trial's own memory.
        reused: the metric that is true for a trial that reused another's prefix. Beside each of its costs, which are
            those of the trial alone, a trial may report as ``reused_<cost>`` how much it did not spend; else, all.
        objectives: of a study that names none; by default its first metric.
        presets: name -> fields that ``--preset`` sets; the first is the default.
        data_fields: fields that must be equal for all trials of a study, because they say which data are loaded.
        example_fields: split -> fields, or properties of the config, that decide which examples are evaluated.
        location_fields: fields that say where the data are; two trials without a checksum of their data are taken to be
            of the same ones only if these are equal.
        evaluation_fields: fields that decide how they are evaluated.
        earlier: fields that were added to the config later -> what configs mean that were recorded without them; where
            that is the field's default, there is no need to say so.
        traded: two fields whose product decides the cost, such as views and epochs.
        words: field -> how a number is said in a recipe, such as ``"{} epochs"``, or value -> words.
        grouping: fields by which figures are coloured, the first one that varies.
        confirmation: preset -> fields that confirming trials set; the entry ``""`` is for all other presets.
        confirmation_fields: fields that a confirmation may set; empty: any.
        sections: name -> import path of a function that adds sections to the report; those in ``asked_sections`` only
            where asked for, by ``--paper`` and the like.
    """

    path: str = ""
    config: type[BaseModel]
    progress: str = "steps"
    only_waits: bool = False
    examples: str = "examples"
    modules: tuple[str, ...] = ()
    reused: str = "is_prefix_reused"
    objectives: tuple[str, ...] = ()
    presets: Mapping[str, Mapping[str, Any]] = {}
    data_fields: tuple[str, ...] = ()
    example_fields: Mapping[str, tuple[str, ...]] = {}
    location_fields: tuple[str, ...] = ()
    evaluation_fields: tuple[str, ...] = ()
    earlier: Mapping[str, Any] = {}
    traded: tuple[str, str] | None = None
    words: Mapping[str, str | Mapping[str, str]] = {}
    grouping: tuple[str, ...] = ()
    confirmation: Mapping[str, Mapping[str, Any]] = {}
    confirmation_fields: tuple[str, ...] = ()
    sections: Mapping[str, str] = {}
    asked_sections: Mapping[str, str] = {}

    def metrics(self, config: Any) -> Sequence[Metric]:
        """What the reports of ``config`` hold."""
        raise NotImplementedError

    def run(self, config: Any, data: Any, context: Context) -> Iterator[Report]:
        """Runs one trial; yields reports, the last of them ``Final``. Raises if the trial fails."""
        raise NotImplementedError

    def total_progress(self, config: Any, scale: int) -> int | None:
        """The progress of a trial that runs to its end; None if it is not known, and then there can be no rungs."""
        return None

    def scale(self, data: Any) -> int:
        """How much progress ``first_rung=1`` means, such as the number of training images."""
        return 1

    def load_data(self, config: Any, on_progress: Callable[[int, int], None] | None = None) -> Any:
        """The data of a study, loaded once and shared by all trials; ``on_progress`` takes done and total."""
        return None

    def needed_bytes(self, config: Any) -> int | None:
        """The least memory on its device that a trial needs; None if it is not known."""
        return None

    def data_here(self, data: Any, config: Any) -> Any:
        """``data`` in a worker, perhaps on another machine than the one that loaded them."""
        return data

    def data_name(self, config: Any) -> str:
        """What the data are called, for MLflow; may be empty."""
        return ""

    def data_checksum(self, data: Any) -> str:
        """Equal exactly if the data are; a study resumes only on equal data."""
        return ""

    def examples_checksum(self, data_checksum: str) -> str:
        """The part of a ``data_checksum`` that is equal exactly if the evaluated examples are."""
        return data_checksum

    def require_fitting(self, config: Any, data: Any) -> None:
        """Raises ``ValueError`` if ``config`` cannot run on ``data``."""

    def require_processes(self, config: Any, num_processes: int) -> None:
        """Raises ``ValueError`` if ``config`` cannot run with so many processes; see ``Context``."""

    def recorded(self, plain: Mapping[str, Any]) -> Any:
        """The config that a journal or a result holds as ``plain``; raises as the model does."""
        return self.config(**{**self.earlier, **plain})

    def effective(self, config: Any) -> dict[str, Any]:
        """The fields that influence the result, as plain JSON values."""
        return config.model_dump(mode="json")

    def identity(self, config: Any) -> str:
        """Equal exactly for configs whose trials give equal results."""
        return content_hash(self.effective(config))

    def prefix(self, config: Any) -> str | None:
        """Equal for configs whose trials begin with the same training, which one of them does for all; None: never."""
        return None

    def known_metrics(self, config: Any) -> Mapping[str, float]:
        """The metrics with ``is_known``, up to a factor that is common to all configs of a study."""
        return {}

    def reusable(self, config: Any, others: Sequence[Any]) -> Mapping[str, float]:
        """What a trial of ``config`` would not spend because trials of ``others`` have left a part of its training.

        Args:
            config: of a trial that is to run.
            others: configs of trials that have run to their ends, or past the part in question: who trains a part
                leaves it before it reports that share of its training as done.

        Returns:
            Known cost -> how much of it is saved, in the unit of ``known_metrics``, which stays that of the trial
            alone; a cost that is not named is spent whole.
        """
        return {}

    def discard_shared(self, config: Any, shared_folder: Path) -> None:
        """Removes what trials of ``config`` have kept in ``shared_folder`` for later ones; these can do without it."""

    def located(self, config: Any) -> Any:
        """``config`` with absolute paths, as workers run in other folders."""
        return config

    def preset_fields(self, preset: str, base: Any) -> dict[str, Any]:
        """The fields that ``preset`` sets in ``base``."""
        return dict(self.presets.get(preset, {}))

    def implied(self, preset: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Further fields to set, unless the user does, because the user sets ``changes``."""
        return {}

    def describe(self, config: Any) -> str:
        """What trials of ``config`` do, in a few words; may be empty."""
        return ""

    def command(self, config: Any) -> str | None:
        """A shell command that runs ``config`` alone; None if there is none."""
        return None

    def model(self, config: Any, folder: Path) -> tuple[Any, Any] | None:
        """What a complete trial has learned, from the files in its ``folder``; None if it has kept nothing.

        Returns:
            A torch module on the CPU, in evaluation mode, or a function; and an example of its input as an array.
        """
        return None


_by_path: dict[str, Trainable] = {}  # those made in this process; in others they are imported


class FunctionTrainable(Trainable):
    """A function ``f(config, context)``, or ``f(config, data, context)`` with ``load``, as a trainable.

    A generator function yields a dict of metrics at each report; any other function calls ``context.report(metrics)``,
    as callbacks of training loops do, and runs in a thread of its own. The last report is the result. Where a report
    does not say its progress, it is the number of the report.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        config: type[BaseModel],
        metrics: Sequence[Metric] | Callable[[Any], Sequence[Metric]],
        progress: str,
        total: str | Callable[[Any], int] | None,
        load: Callable[[Any], Any] | None,
        model: Callable[[Any, Path], tuple[Any, Any] | None] | None = None,
    ) -> None:
        self.path, self.config, self.progress, self._model = _path_of(function), config, progress, model
        self._function, self._metrics, self._total, self._load = function, metrics, total, load
        if vars(config).get("trainable", self.path) != self.path:
            raise ValueError(f"{config.__name__} is the config of {config.trainable}: {self.path} needs one of its own")  # type: ignore[attr-defined]
        config.trainable = self.path  # type: ignore[attr-defined]
        _by_path[self.path] = self

    def __call__(self, *arguments: Any) -> Any:
        """Calls the function itself."""
        return self._function(*arguments)

    def metrics(self, config: Any) -> Sequence[Metric]:
        """As given."""
        return self._metrics(config) if callable(self._metrics) else self._metrics

    def total_progress(self, config: Any, scale: int) -> int | None:
        """The field named by ``total``, or what it returns."""
        if self._total is None:
            return None
        return int(getattr(config, self._total) if isinstance(self._total, str) else self._total(config))

    def model(self, config: Any, folder: Path) -> tuple[Any, Any] | None:
        """What ``model`` returns."""
        return None if self._model is None else self._model(config, folder)

    def load_data(self, config: Any, on_progress: Callable[[int, int], None] | None = None) -> Any:
        """What ``load`` returns."""
        return None if self._load is None else self._load(config)

    def run(self, config: Any, data: Any, context: Context) -> Iterator[Report]:
        """The function's reports: all as ``Measured``, those due as ``Interim`` as well, the last one as ``Final``."""
        arguments = (config,) if self._load is None else (config, data)
        total, pending, number, last = self.total_progress(config, 1), [*context.milestones], 0, None
        for number, metrics in enumerate(self._reports(arguments, context), start=1):
            last = {self.progress: number} | {name: _as_plain(value) for name, value in metrics.items()}
            done = last[self.progress]
            if isinstance(done, int | float) and math.isfinite(done):
                yield Measured(last)
            while pending and done >= pending[0] and (total is None or done < total):
                yield Interim({"milestone": pending.pop(0)} | last)
            yield Progress(min(1.0, done / total) if total else 0.0)
        if last is None:
            raise ValueError(f"{self.path} ended without a report")
        yield Final(last)

    def _reports(self, arguments: tuple[Any, ...], context: Context) -> Iterator[Metrics]:
        if inspect.isgeneratorfunction(self._function):
            return self._function(*arguments, context)
        return _reports_of_thread(lambda told: self._function(*arguments, told), context)


def as_trainable(
    *,
    config: type[BaseModel],
    metrics: Sequence[Metric] | Callable[[Any], Sequence[Metric]],
    progress: str = "steps",
    total: str | Callable[[Any], int] | None = None,
    load: Callable[[Any], Any] | None = None,
    model: Callable[[Any, Path], tuple[Any, Any] | None] | None = None,
) -> Callable[[Callable[..., Any]], FunctionTrainable]:
    """Makes a training function a ``Trainable``, and ``config`` the model of its configs; see ``FunctionTrainable``.

    Args:
        config: a frozen pydantic model with a field ``seed``.
        metrics: what the function reports, or a function of the config.
        progress: what reports are counted in, such as ``epochs``.
        total: the field of the config that says how much progress a whole training is, or a function of the config;
            early stopping needs it.
        load: loads the data from the base config, once for all trials.
        model: makes the model that MLflow shows from a config and a trial's folder, see ``Trainable.model``.

    Example:
        >>> class Config(BaseModel, frozen=True):
        ...     epochs: int = 2
        ...     seed: int = 0
        >>> @as_trainable(config=Config, metrics=[Metric("accuracy", unit="%")], progress="epochs", total="epochs")
        ... def fit(config, context):
        ...     for epoch in range(config.epochs):
        ...         yield {"accuracy": 90.0 + epoch}
        >>> reports = [*fit.run(Config(), None, Context(folder=Path("unused"), milestones=[1]))]
        >>> reports[0]
        Measured(measures={'epochs': 1, 'accuracy': 90.0})
        >>> reports[1]
        Interim(metrics={'milestone': 1, 'epochs': 1, 'accuracy': 90.0})
        >>> reports[-1].metrics
        {'epochs': 2, 'accuracy': 91.0}
    """
    return lambda function: FunctionTrainable(function, config, metrics, progress, total, load, model)


def load_trainable(path: str) -> Trainable:
    """The trainable at ``module:NAME`` or ``/folder/file.py:NAME``.

    Raises:
        ValueError: if it cannot be imported.
    """
    if path in _by_path:
        return _by_path[path]
    where, _, name = path.rpartition(":")
    try:
        if where.endswith(".py") and not Path(where).is_absolute():  # which file it is must not depend on the reader
            raise ValueError("not an absolute path")
        found = getattr(load_file(Path(where)) if where.endswith(".py") else importlib.import_module(where), name)
    except (Exception, SystemExit) as error:  # the code in a file of one's own may raise anything
        raise ValueError(f"no trainable {path!r}: {type(error).__name__}: {error}") from error
    if not isinstance(found, Trainable):
        raise ValueError(f"{path!r} is a {type(found).__name__}, not a trainable")
    return found


def trainable_of(config: BaseModel) -> Trainable:
    """The trainable whose configs are like ``config``.

    Raises:
        ValueError: if its class names none.
    """
    path = getattr(type(config), "trainable", None)
    if not path:
        raise ValueError(f"{type(config).__name__} belongs to no trainable: decorate its function with @as_trainable")
    trainable = load_trainable(path)
    if trainable.config.model_fields.keys() != type(config).model_fields.keys():
        raise ValueError(f"{type(config).__name__} has other fields than {trainable.config.__name__} of {path}")
    return trainable


def load_file(path: Path, *, again: bool = False) -> Any:
    """The module in a file, run once in this process, or ``again``; its folder can be imported from, as a script's."""
    path = path.absolute()
    name = FILE_PREFIX + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    if name in sys.modules and not again:
        return sys.modules[name]
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        # Not by an import: nothing is written beside the file, and no earlier version of it is taken from a cache.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _as_plain(value: Any) -> Any:
    """Numbers of numpy and torch, of which a library's metrics often are, as Python's."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def _path_of(function: Callable[..., Any]) -> str:
    module = sys.modules.get(function.__module__)
    source = getattr(module, "__file__", None)
    by_name = "." in function.__module__  # in a package; other modules are found in one folder alone, or are __main__
    if not by_name and source is None:
        raise ValueError(f"{function.__name__} must be defined in a file, where workers can import it")
    return f"{function.__module__ if by_name else Path(str(source)).resolve()}:{function.__name__}"


class _Stopped(BaseException):
    """Raised in the thread of a training function when nobody wants its next report."""


def _reports_of_thread(function: Callable[[Context], Any], context: Context) -> Iterator[Metrics]:
    """The reports that ``function`` makes through ``context.report``, one at a time: it waits until the next is due."""
    made: queue.Queue[Metrics | BaseException | None] = queue.Queue()
    wanted: queue.Queue[bool] = queue.Queue()
    is_stopped = threading.Event()

    def report(metrics: Metrics) -> None:
        if is_stopped.is_set():  # a report on the way out, such as in a ``finally``
            raise _Stopped
        made.put(dict(metrics))
        if not wanted.get():
            raise _Stopped

    def work() -> None:
        try:
            function(replace(context, report=report))
            made.put(None)
        except BaseException as error:
            made.put(error)

    thread = threading.Thread(target=work, name="training", daemon=True)
    thread.start()
    try:
        while (metrics := made.get()) is not None:
            if isinstance(metrics, BaseException):
                raise metrics
            yield metrics
            wanted.put(True)
    finally:
        is_stopped.set()
        wanted.put(False)
        thread.join(STOP_SECONDS)
