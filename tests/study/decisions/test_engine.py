"""The engine's decisions, and that every prefix of its journal leads on to the same study. Metrics are made up."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from driver import NUM_TRAIN_IMAGES, Driver, made_up_numbers, read_events, run_study, story
from optuna.distributions import CategoricalDistribution

from study.checks.journal_checks import order_disagreements
from study.checks.projection_checks import optuna_disagreements, rung_disagreements
from study.decisions.engine import StudyEngine
from study.record.journal import FINISHED, JOURNAL_NAME, Journal, read_study, replay
from study.spec import Factor, Grid, MoAsha, Search, StudySpec
from study.trainable import CHECKPOINT_NAME
from study.workers.launch import discard_leftovers
from trainables.trial_config import TrialConfig

MakeSpec = Callable[..., StudySpec]
REFERENCES = (
    {"num_views": 2, "epochs": 3, "adversary": "none", "view_scale_min": 0.08},
    {"num_views": 8, "epochs": 3, "adversary": "none", "view_scale_min": 0.08},
)


@pytest.fixture
def spec(make_spec: MakeSpec) -> StudySpec:
    return make_spec(
        stopping=MoAsha(first_rung=2, eta=2), references=REFERENCES, design=Search(trials=10, sampler="random")
    )


@pytest.mark.parametrize("first_rung", [1, 2, 3, 7])
@pytest.mark.parametrize("eta", [2, 3])
def test_milestones_are_exact_and_within_the_budget(
    make_spec: MakeSpec, tmp_path: Path, first_rung: int, eta: int
) -> None:
    spec = make_spec(stopping=MoAsha(first_rung=first_rung, eta=eta))
    num_images = 1294  # no round number
    engine = StudyEngine(Journal(tmp_path), spec, 0, num_images)
    for config in (spec.base, spec.base.replace(adversary="pgd", epochs=30), spec.base.replace(num_views=81, epochs=1)):
        total = config.epochs * num_images * config.view_passes_per_image()
        milestones = engine.milestones(config)
        assert milestones == [first_rung * num_images * eta**k for k in range(len(milestones))]
        assert all(type(milestone) is int and milestone < total for milestone in milestones)
        assert first_rung * num_images * eta ** len(milestones) >= total, "every rung within the budget is one"


def test_a_rung_at_the_very_end_is_none(make_spec: MakeSpec, tmp_path: Path) -> None:
    engine = StudyEngine(Journal(tmp_path), make_spec(stopping=MoAsha(first_rung=2, eta=2)), 0, 100)
    config = TrialConfig(num_views=4, epochs=2, adversary="none")
    assert engine.milestones(config) == [200, 400]  # and not 800, the whole of it


def test_without_stopping_there_are_no_milestones(make_spec: MakeSpec, tmp_path: Path) -> None:
    engine = StudyEngine(Journal(tmp_path), make_spec(), 0, 100)
    assert engine.milestones(TrialConfig()) == []


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_whole_study(spec: StudySpec, tmp_path: Path, concurrency: int) -> None:
    driver = run_study(tmp_path, spec, concurrency=concurrency)
    record = read_study(tmp_path)
    assert driver.engine.is_complete() and record.ended
    assert list(record.trials) == [f"t{number:04d}" for number in range(10)]
    assert {trial.state for trial in record.trials.values()} == {"complete", "stopped", "failed"}
    for trial in record.trials.values():
        config = TrialConfig(**trial.config)
        assert config == spec.config(trial.params, seed=0)
        decisions = [decision["decision"] for decision in trial.decisions]
        milestones = driver.engine.milestones(config)
        assert [report["milestone"] for report in trial.reports] == milestones[: len(decisions)]
        if trial.state == "stopped":
            assert decisions == ["continue"] * (len(decisions) - 1) + ["stop"]
            assert trial.reason == trial.decisions[-1]["reason"] and trial.metrics == {}
        else:
            assert decisions == ["continue"] * len(milestones)
        if trial.state == "failed":
            assert trial.reason == "TrialDiverged: the training loss is nan" and trial.metrics == {}
        if trial.state == "complete":
            assert trial.metrics["test_clean"] == 1.0
    assert read_events(tmp_path)[1:] == driver.events, "every event is shown after it was written"


def test_references_come_first_and_are_never_stopped(spec: StudySpec, tmp_path: Path) -> None:
    run_study(tmp_path, spec)
    trials = list(read_study(tmp_path).trials.values())
    assert tuple(trial.params for trial in trials[:2]) == REFERENCES
    for trial in trials[:2]:
        assert trial.state == "complete"
        assert all(decision["reason"].startswith("reference, ") for decision in trial.decisions)


def test_a_reference_goes_on_where_another_would_be_stopped(spec: StudySpec, tmp_path: Path) -> None:
    engine = StudyEngine(Journal(tmp_path), spec, 0, NUM_TRAIN_IMAGES)
    assignments = [engine.next_assignment() for _ in range(4)]
    best = {"milestone": 2000, "view_passes": 2000, "val_clean": 90.0, "val_pgd_8": 50.0}
    answers = []
    for assignment, clean in zip(assignments, (90.0, 1.0, 0.5, float("nan")), strict=True):
        assert assignment is not None
        answers.append(engine.report(assignment.uid, best | {"val_clean": clean, "val_pgd_8": clean}))
    assert answers == [True, True, False, False]
    assert engine.record.trials["t0003"].decisions[-1]["reason"].startswith("not finite at 2,000 view passes")


def test_a_repeated_report_changes_nothing(spec: StudySpec, tmp_path: Path) -> None:
    engine = StudyEngine(Journal(tmp_path), spec, 0, NUM_TRAIN_IMAGES)
    report = {"milestone": 2000, "view_passes": 2000, "val_clean": 50.0, "val_pgd_8": 20.0}
    for clean in (50.0, 60.0, 40.0):
        assignment = engine.next_assignment()
        assert assignment is not None
        first = engine.report(assignment.uid, report | {"val_clean": clean, "val_pgd_8": clean})
        before = (tmp_path / JOURNAL_NAME).read_bytes()
        assert engine.report(assignment.uid, report | {"val_clean": clean, "val_pgd_8": clean}) is first
        assert engine.report(assignment.uid, report | {"val_clean": 99.0, "val_pgd_8": 99.0}) is first
        assert (tmp_path / JOURNAL_NAME).read_bytes() == before
    assert not first
    engine.stop("t0002")
    before = (tmp_path / JOURNAL_NAME).read_bytes()
    engine.stop("t0002")
    engine.fail("t0002", "late news")
    engine.complete("t0002", report)
    assert (tmp_path / JOURNAL_NAME).read_bytes() == before, "a trial ends once"


def test_a_failed_trial_does_not_end_the_study(make_spec: MakeSpec, tmp_path: Path) -> None:
    factors = (Factor(name="epochs", distribution=CategoricalDistribution([1, 2, 3])),)
    engine = StudyEngine(
        Journal(tmp_path), make_spec(factors=factors, design=Search(trials=3, sampler="tpe")), 0, NUM_TRAIN_IMAGES
    )
    for number in range(3):
        assignment = engine.next_assignment()
        assert assignment is not None and assignment.uid == f"t{number:04d}"
        engine.fail(assignment.uid, f"OutOfMemoryError: {number}")
    assert engine.next_assignment() is None
    assert engine.is_complete()
    assert [trial.reason for trial in engine.record.with_state("failed")] == [
        f"OutOfMemoryError: {n}" for n in range(3)
    ]


def test_a_grid_runs_in_full(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(factors=make_spec().factors[:4], design=Grid())
    driver = run_study(tmp_path, spec, concurrency=2)
    proposed = [trial.params for trial in read_study(tmp_path).trials.values()]
    assert driver.engine.num_planned == len(proposed) == 3 * 3 * 3
    assert len({tuple(params.items()) for params in proposed}) == 27


def test_an_exhausted_space_ends_the_search(make_spec: MakeSpec, tmp_path: Path) -> None:
    factors = (Factor(name="epochs", distribution=CategoricalDistribution([1, 2, 3])),)
    spec = make_spec(factors=factors, design=Search(trials=50, sampler="tpe"))
    driver = run_study(tmp_path, spec)
    assert (driver.engine.num_planned, len(driver.assigned), driver.engine.record.ended) == (3, 3, True)
    again = run_study(tmp_path, spec)
    assert again.assigned == [] and again.engine.is_complete()


def test_more_trials_extend_a_study(spec: StudySpec, make_spec: MakeSpec, tmp_path: Path) -> None:
    run_study(tmp_path / "extended", spec)
    before = read_events(tmp_path / "extended")
    more = make_spec(stopping=spec.stopping, references=REFERENCES, design=Search(trials=14, sampler="random"))
    driver = Driver(tmp_path / "extended", more)
    assert not driver.engine.is_complete()
    driver.run()
    driver.close()
    assert [assignment.uid for assignment in driver.assigned] == [f"t{number:04d}" for number in range(10, 14)]
    after = read_events(tmp_path / "extended")
    assert after[: len(before)] == before
    run_study(tmp_path / "at once", more)
    assert story(after) == story(read_events(tmp_path / "at once"))


def test_interrupted_is_not_ended(spec: StudySpec, tmp_path: Path) -> None:
    driver = Driver(tmp_path, spec)
    driver.engine.next_assignment()
    driver.engine.close()
    driver.close()
    assert read_events(tmp_path)[-1]["event"] == "interrupted"
    assert not read_study(tmp_path).ended


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_every_prefix_of_a_journal_leads_to_the_same_study(make_spec: MakeSpec, tmp_path: Path, sampler: str) -> None:
    """A kill -9 between any two lines: nothing is lost, nothing is done twice, nothing turns out otherwise."""
    design = Search(trials=12 if sampler == "tpe" else 10, sampler=sampler)  # type: ignore[arg-type]
    spec = make_spec(stopping=MoAsha(first_rung=2, eta=2), references=REFERENCES, design=design)
    run_study(tmp_path / "whole", spec)
    lines = (tmp_path / "whole" / JOURNAL_NAME).read_text().splitlines(keepends=True)
    whole = story(read_events(tmp_path / "whole"))
    assert {event["state"] for event in whole if event["event"] == "finished"} == set(FINISHED)
    # TPE takes its time: its prefixes are thinned out.
    for count in range(1, len(lines) + 1, 1 if sampler == "random" else 7):
        study_dir = tmp_path / f"cut{count}"
        resume_from(study_dir, lines[:count], spec)
        assert story(read_events(study_dir)) == whole, f"after {lines[count - 1]}"


def test_every_prefix_of_a_journal_of_parallel_trials_goes_on(spec: StudySpec, tmp_path: Path) -> None:
    run_study(tmp_path / "whole", spec, concurrency=3)
    lines = (tmp_path / "whole" / JOURNAL_NAME).read_text().splitlines(keepends=True)
    for count in range(1, len(lines) + 1):
        resume_from(tmp_path / f"cut{count}", lines[:count], spec, concurrency=3)


def resume_from(study_dir: Path, lines: list[str], spec: StudySpec, *, concurrency: int = 1) -> None:
    """Goes on from a journal cut behind ``lines`` and checks what must hold wherever the cut is."""
    study_dir.mkdir()
    (study_dir / JOURNAL_NAME).write_text("".join(lines))
    cut = replay(json.loads(line) for line in lines)
    driver = Driver(study_dir, spec, concurrency=concurrency)
    stopped = [t.uid for t in cut.trials.values() if t.decisions and t.decisions[-1]["decision"] == "stop"]
    unfinished = [uid for uid, trial in cut.trials.items() if trial.state not in FINISHED and uid not in stopped]
    driver.run()
    driver.close()
    assert set(stopped) <= {trial.uid for trial in driver.engine.record.with_state("stopped")}
    assert driver.engine.is_complete()
    assert [assignment.uid for assignment in driver.assigned[: len(unfinished)]] == unfinished
    for assignment in driver.assigned[: len(unfinished)]:
        decided = [decision["milestone"] for decision in cut.trials[assignment.uid].decisions]
        assert decided + assignment.milestones == driver.engine.milestones(assignment.config)
        assert driver.engine.record.trials[assignment.uid].attempts == cut.trials[assignment.uid].attempts + 1
    assert all(int(assignment.uid[1:]) >= len(cut.trials) for assignment in driver.assigned[len(unfinished) :])
    text = (study_dir / JOURNAL_NAME).read_text()
    assert text.startswith("".join(lines))
    record = read_study(study_dir)
    assert len(record.trials) == 10 or spec.design != Search(trials=10, sampler="random")
    for trial in record.trials.values():
        milestones = [decision["milestone"] for decision in trial.decisions]
        assert len(set(milestones)) == len(milestones) == len(trial.reports)
    finished = [event["uid"] for event in read_events(study_dir) if event["event"] == "finished"]
    assert sorted(finished) == list(record.trials)


def test_ties_at_a_rung_fall_the_same_way_after_a_restart(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Equally good ones stand in the order in which they reported, which is not that of their numbers."""
    spec = make_spec(stopping=MoAsha(first_rung=2, eta=2), design=Search(trials=4, sampler="random"))
    journal = Journal(tmp_path)
    journal.write("created", study="s", spec={}, environment={})
    engine = StudyEngine(journal, spec, 0, NUM_TRAIN_IMAGES)
    for _ in range(4):
        engine.next_assignment()

    def report(to: StudyEngine, uid: str, clean: float, pgd_8: float) -> bool:
        return to.report(uid, {"milestone": 2000, "view_passes": 2000, "val_clean": clean, "val_pgd_8": pgd_8})

    report(engine, "t0001", 80.0, 40.0)
    report(engine, "t0000", 40.0, 80.0)
    report(engine, "t0002", 0.0, 100.0)
    lines = (tmp_path / JOURNAL_NAME).read_text()
    (tmp_path / "restarted").mkdir()
    (tmp_path / "restarted" / JOURNAL_NAME).write_text(lines)
    restarted = StudyEngine(Journal(tmp_path / "restarted"), spec, 0, NUM_TRAIN_IMAGES)
    assert report(restarted, "t0003", 100.0, 0.0) == report(engine, "t0003", 100.0, 0.0)


def test_the_recorded_report_counts_after_a_crash_before_its_decision(spec: StudySpec, tmp_path: Path) -> None:
    """A trial that runs again may report other numbers (a GPU is not exact); the journal's are those that stand."""
    journal = Journal(tmp_path)
    journal.write("created", study="s", spec={}, environment={})
    engine = StudyEngine(journal, spec, 0, NUM_TRAIN_IMAGES)
    for _ in range(4):
        engine.next_assignment()
    numbers = {"milestone": 2000, "view_passes": 2000, "val_clean": 50.0, "val_pgd_8": 20.0}
    engine.report("t0000", numbers)
    engine.report("t0001", numbers | {"val_clean": 40.0, "val_pgd_8": 10.0})
    journal.write("reported", uid="t0002", metrics=numbers | {"val_clean": 10.0, "val_pgd_8": 5.0})
    journal.close()
    engine = StudyEngine(Journal(tmp_path), spec, 0, NUM_TRAIN_IMAGES)
    assert not engine.report("t0002", numbers | {"val_clean": 99.0, "val_pgd_8": 99.0})


def test_what_an_earlier_driver_was_killed_before_ending_leaves_no_checkpoint(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    """The decision to stop a trial was the last that it wrote: the trial ends, and others keep their checkpoints."""
    spec = make_spec(stopping=MoAsha(first_rung=2, eta=2), design=Search(trials=10, sampler="random"))
    run_study(tmp_path / "whole", spec, concurrency=3)
    lines = (tmp_path / "whole" / JOURNAL_NAME).read_text().splitlines(keepends=True)
    cut = 1 + next(number for number, line in enumerate(lines) if json.loads(line).get("decision") == "stop")
    study_dir = tmp_path / "cut"
    study_dir.mkdir()
    (study_dir / JOURNAL_NAME).write_text("".join(lines[:cut]))
    stopped = json.loads(lines[cut - 1])["uid"]
    engine = StudyEngine(Journal(study_dir), spec, 0, NUM_TRAIN_IMAGES)
    for uid in engine.record.trials:
        (study_dir / "trials" / uid).mkdir(parents=True)
        (study_dir / "trials" / uid / CHECKPOINT_NAME).touch()
    discard_leftovers(engine, study_dir)
    assert engine.record.trials[stopped].state == "stopped"
    unfinished = {trial.uid for trial in engine.record.trials.values() if trial.state not in FINISHED}
    assert {path.parent.name for path in study_dir.glob("trials/*/*")} == unfinished
    engine.journal.close()


def test_failed_trials_run_again_where_asked_to(make_spec: MakeSpec, tmp_path: Path) -> None:
    """What was proposed and decided stays; the journal keeps that they had failed."""
    spec = make_spec(stopping=MoAsha(first_rung=2, eta=2), design=Search(trials=10, sampler="tpe"))
    run_study(tmp_path, spec)
    before = read_events(tmp_path)
    failed = [trial.uid for trial in read_study(tmp_path).with_state("failed")]
    assert failed
    mended = {"diverged": False}
    driver = Driver(tmp_path, spec, made_up=lambda config, milestone: made_up_numbers(config, milestone) | mended)
    driver.engine.reopen_failed()
    assert not driver.engine.is_complete()
    driver.run()
    driver.close()
    assert [assignment.uid for assignment in driver.assigned] == failed
    after, record = read_events(tmp_path), read_study(tmp_path)
    assert after[: len(before)] == before and order_disagreements(after) == []
    assert record.ended and {record.trials[uid].state for uid in failed} <= {"complete", "stopped"}
    assert all(record.trials[uid].attempts == 2 and len(record.trials[uid].jobs) == 2 for uid in failed)
    assert optuna_disagreements(record, spec) == [] and rung_disagreements(record, spec) == []
