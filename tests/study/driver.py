"""Runs studies without Ray: one thread in the place of the cluster.

Trials of robust SSL report made-up numbers in the place of training; any trainable can also be run for what it is.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from study.decisions.engine import Assignment, StudyEngine
from study.record.journal import Event, Journal, read_journal
from study.record.trial_folder import trial_folder
from study.spec import StudySpec
from study.trainable import Context, Final, Interim, Progress, trainable_of
from trainables.trial_config import TrialConfig

NUM_TRAIN_IMAGES = 1000
MakeUp = Callable[[TrialConfig, int], dict[str, Any]]


class Driver:
    """Does what Ray does, in one thread: hands out trials, reports their milestones in random order, ends them.

    Args:
        study_dir: where the journal is.
        spec: the study.
        concurrency: trials at a time.
        seed: of the study.
        order_seed: of the order in which trials make progress; the study's by default.
        made_up: numbers from a config and view passes.
        is_real: whether trials are run by the trainable of the study, on the data that it loads.
        of_engine: further arguments of the engine.
    """

    def __init__(
        self,
        study_dir: Path,
        spec: StudySpec,
        *,
        concurrency: int = 1,
        seed: int = 0,
        order_seed: int | None = None,
        made_up: MakeUp | None = None,
        is_real: bool = False,
        **of_engine: Any,
    ) -> None:
        self.study_dir, self.is_real = study_dir, is_real
        self.journal = Journal(study_dir)
        if self.journal.is_new:
            self.journal.write("created", study=spec.name, spec=spec.model_dump(mode="json"), environment={})
        elif self.journal.record.ended:
            self.journal.write("resumed", spec=spec.model_dump(mode="json"), environment={})
        self.events: list[Event] = []
        trainable = trainable_of(spec.base)
        self.data = trainable.load_data(spec.base) if is_real else None
        scale = trainable.scale(self.data) if is_real else NUM_TRAIN_IMAGES
        self.engine = StudyEngine(self.journal, spec, seed, scale, self.events.append, **of_engine)
        self.assigned: list[Assignment] = []
        self.most_at_a_time = 0
        self.concurrency = concurrency
        self.order = random.Random(seed if order_seed is None else order_seed)
        self.made_up = made_up or made_up_numbers

    def run(self) -> None:
        """To the end of the study."""
        running: list[tuple[str, Iterator[None]]] = []
        while True:
            while len(running) < self.concurrency and (assignment := self.engine.next_assignment()):
                self.assigned.append(assignment)
                assert assignment.uid not in [uid for uid, _ in running], "a trial runs once at a time"
                work = self._train(assignment) if self.is_real else self._run_trial(assignment)
                running.append((assignment.uid, work))
            if not running:
                assert self.engine.is_exhausted(), "nothing runs and nothing can start: the study would hang"
                break
            self.most_at_a_time = max(self.most_at_a_time, len(running))
            chosen = self.order.choice(running)
            if next(chosen[1], "ended") == "ended":
                running.remove(chosen)
        self.engine.close()

    def _run_trial(self, assignment: Assignment) -> Iterator[None]:
        uid, config = assignment.uid, assignment.config
        for milestone in assignment.milestones:
            yield
            if not self.engine.report(uid, self.made_up(config, milestone)):
                self.engine.stop(uid)
                return
        yield
        result = self.made_up(config, total_view_passes(config))
        if result.get("diverged"):
            self.engine.fail(uid, "TrialDiverged: the training loss is nan")
        else:
            self.engine.complete(uid, result | {"test_clean": 1.0})

    def _train(self, assignment: Assignment) -> Iterator[None]:
        """What a worker does, and what the engine is told of it."""
        uid, folder = assignment.uid, trial_folder(self.study_dir, assignment.uid)
        folder.mkdir(parents=True, exist_ok=True)
        context = Context(folder, self.study_dir, assignment.milestones)
        reports = self.engine.trainable.run(assignment.config, self.data, context)
        try:
            for report in reports:
                yield
                if isinstance(report, Interim) and not self.engine.report(uid, report.metrics):
                    self.engine.stop(uid)
                    return
                if isinstance(report, Progress):
                    self.engine.share_done[uid] = report.share_done
                if isinstance(report, Final):
                    self.engine.complete(uid, report.metrics)
        except Exception as error:
            self.engine.fail(uid, f"{type(error).__name__}: {error}")
        finally:
            reports.close()  # type: ignore[attr-defined]

    def close(self) -> None:
        self.journal.close()


def run_study(study_dir: Path, spec: StudySpec, **options: Any) -> Driver:
    """Runs a study to its end and closes its journal."""
    driver = Driver(study_dir, spec, **options)
    driver.run()
    driver.close()
    return driver


def total_view_passes(config: TrialConfig) -> int:
    return config.epochs * NUM_TRAIN_IMAGES * config.view_passes_per_image()


def made_up_numbers(config: TrialConfig, milestone: int) -> dict[str, Any]:
    """Numbers that follow from config and milestone alone, as those of real trials do; some are not finite."""
    draw = random.Random(f"{config.content_hash()} {milestone}")
    clean = draw.uniform(10, 90) if draw.random() > 0.1 else float("nan")
    return {
        "milestone": milestone,
        "view_passes": milestone,
        "val_clean": clean,
        "val_pgd_8": draw.uniform(0, 40),
        "train_pflop": milestone / 1e6,
        "diverged": config.epochs == 1,
    }


def story(events: list[Event]) -> list[Event]:
    """The events that make up a study, without times and starts."""
    told = ("proposed", "reported", "decided", "finished", "paused", "promoted")
    return [
        {k: v for k, v in event.items() if k not in ("time", "check")} for event in events if event["event"] in told
    ]


def read_events(study_dir: Path) -> list[Event]:
    return read_journal(study_dir).events
