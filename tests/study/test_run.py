"""Real runs through the command line: Ray, Optuna, MLflow and tiny trials. One story, told in the order of the tests.

Interrupted with Ctrl-C, resumed to its end, run once more; test_crash.py kills a study. The slow part can be left out:
no part counts on another one but on the end of the study, whenever it came.
"""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_run import CommandRun
from patience import wait_until

from study.record.answer import read_answer
from study.record.journal import FINISHED, JOURNAL_NAME, StudyRecord, read_study
from study.run import main
from trainables.trial_config import TrialConfig

SPACE = """
from optuna.distributions import CategoricalDistribution

from study.spec import Factor, MoAsha, Search, StudySpec
from trainables.trial_config import TrialConfig

STUDY = StudySpec(
    name="tiny",
    question="Does a study survive?",
    base=TrialConfig(
        dataset="digits", image_size=8, train_images=100, encoder="resnet_narrow", projector_hidden_dim=32,
        projector_dim=16, batch_size=50, adversary="none", probe="central", probe_epochs=1, rung_probe_epochs=1,
        eval_samples=40, rung_images=40, eval_pgd_steps=2, eval_radii_255=(8.0,), lr_schedule="cooldown",
    ),
    factors=(
        Factor(name="num_views", distribution=CategoricalDistribution([2, 3])),
        Factor(name="epochs", distribution=CategoricalDistribution([1, 2])),
        Factor(name="learning_rate", distribution=CategoricalDistribution([0.3, 1e30])),
    ),
    references=(
        {"num_views": 2, "epochs": 2, "learning_rate": 0.3},
        {"num_views": 2, "epochs": 2, "learning_rate": 1e30},
    ),
    design=Search(trials=5, sampler="random"),
    stopping=MoAsha(first_rung=2, eta=3),
)
"""


class Story:
    """The study that all tests of this file look at, step by step."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "runs"
        self.journal_path = self.output / "tiny" / JOURNAL_NAME
        self.space = folder / "tiny.py"
        self.space.write_text(SPACE)
        self.texts: list[str] = []  # of the journal after each run

    def count(self, event: str) -> int:
        if not self.journal_path.exists():
            return 0
        return self.journal_path.read_text().count(f'"event": "{event}"')

    def keep(self) -> None:
        """Adds the journal to ``texts``; what happened before stays as it was."""
        text = self.journal_path.read_text()
        assert text.startswith(self.texts[-1] if self.texts else "")
        self.texts.append(text)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal_path.read_text().splitlines()]

    def record(self) -> StudyRecord:
        return read_study(self.output / "tiny")

    def call(self) -> int:
        """The same command in this process, for a study that has nothing left to run."""
        return main(["--preset", "paper", "--space", str(self.space), "--output", str(self.output)])

    def mlflow_runs(self) -> dict[str, Any]:
        """Status by uid; the parent is under ''. Fails where a trial has two runs."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.output}/mlflow.db")
        (experiment,) = client.search_experiments(filter_string="name = 'tiny'")
        runs = client.search_runs([experiment.experiment_id])
        found = {run.data.tags.get("trial.uid", ""): run for run in runs}
        assert len(found) == len(runs)
        return found


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("story"))


@pytest.fixture
def start(story: Story) -> Iterator[Callable[..., CommandRun]]:
    """Starts the command; whatever is left of it is killed at the end of the test."""
    runs: list[CommandRun] = []

    def start_run(*options: str) -> CommandRun:
        runs.append(CommandRun(story.space, story.output, *options))
        return runs[-1]

    yield start_run
    for run in runs:
        run.kill()


@pytest.mark.slow
def test_ctrl_c_ends_cleanly(story: Story, start: Callable[..., CommandRun]) -> None:
    run = start("--processes-per-trial", "2")
    run.wait_until(lambda: story.count("finished") >= 1)
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 130, run.log
    story.keep()
    assert story.events()[-1]["event"] == "interrupted"
    assert "the same command resumes" in run.log and "Traceback" not in run.log
    assert (story.output / "tiny" / "report" / "index.html").is_file()
    wait_until(lambda: run.living() == {})
    assert story.record().trials["t0000"].metrics["hardware"].startswith("2 x ")
    statuses = {uid: found.info.status for uid, found in story.mlflow_runs().items()}
    assert statuses[""] == "KILLED"
    for trial in story.record().trials.values():
        assert (statuses[trial.uid] == "KILLED") == (trial.state not in FINISHED)


def test_the_same_command_goes_on_to_the_end(story: Story, start: Callable[..., CommandRun]) -> None:
    num_runs = len(story.texts)
    run = start()
    assert run.wait() == 0, run.log
    story.keep()
    record = story.record()
    assert record.ended and len(record.trials) == 5
    assert [event["event"] for event in story.events()].count("resumed") == num_runs
    finished = [event["uid"] for event in story.events() if event["event"] == "finished"]
    assert sorted(finished) == list(record.trials), "each trial ends exactly once"
    assert (story.output / "tiny" / "report" / "index.html").stat().st_size > 1000
    answer = read_answer(story.output / "tiny")
    assert answer.startswith("Does a study survive?\n\n"), "the run ends with it, before the paths"
    assert 0 < run.log.index(answer) < run.log.index("Report:  ")


def test_a_trial_that_diverges_is_recorded_and_the_study_goes_on(story: Story) -> None:
    trials = story.record().trials
    diverged = [trial for trial in trials.values() if trial.params["learning_rate"] == 1e30]
    assert diverged and diverged[0].state == "failed"
    assert diverged[0].reason.startswith("TrialDiverged: the training loss is") and diverged[0].metrics == {}
    for trial in trials.values():
        assert trial.state in FINISHED
        if trial.params["learning_rate"] == 0.3 and trial.state == "complete":
            assert {"val_clean", "val_pgd_8", "train_pflop", "test_clean"} <= set(trial.metrics)
            saved = json.loads((story.output / "tiny" / "trials" / trial.uid / "result.json").read_text())
            assert saved["metrics"]["test_clean"] == trial.metrics["test_clean"]


def test_mlflow_has_one_child_per_trial(story: Story) -> None:
    runs, record = story.mlflow_runs(), story.record()
    assert set(runs) == {"", *record.trials}
    assert runs[""].info.status == "FINISHED"
    for trial in record.trials.values():
        run = runs[trial.uid]
        assert run.data.tags["mlflow.parentRunId"] == runs[""].info.run_id
        assert run.data.tags["trial.state"] == trial.state
        assert run.info.status == ("FAILED" if trial.state == "failed" else "FINISHED")
        if trial.state == "complete":
            assert run.data.metrics["test_clean"] == trial.metrics["test_clean"]


def test_a_finished_study_is_left_alone_and_no_answer_of_an_earlier_report_is_printed(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    page = story.output / "tiny" / "report" / "index.html"
    kept = page.rename(page.with_name("kept"))
    page.mkdir()  # no page can take its place
    try:
        assert story.call() == 0
        said = capsys.readouterr().out
        assert "the report could not be written" in said and "Does a study survive?" not in said
        story.keep()
        assert story.texts[-1] == story.texts[-2]
    finally:
        page.rmdir()
        kept.rename(page)


def test_a_kill_just_before_the_end_is_made_good(story: Story) -> None:
    """All trials had ended, the last event had not been written."""
    *lines, last = story.journal_path.read_text().splitlines(keepends=True)
    assert json.loads(last)["event"] == "ended"
    story.journal_path.write_text("".join(lines))
    trunks = story.output / "encoders" / "trunks"
    assert trunks.is_dir() and not [*trunks.glob("*.pt")], "removed before that event"
    trained = TrialConfig(**story.record().with_state("complete")[0].config)
    own, others = trunks / f"{trained.trunk_hash()}-0-1.pt", trunks / f"{trained.pretraining_hash()}-0-1.pt"
    own.touch()
    others.touch()
    try:
        assert story.call() == 0
        assert story.record().ended
        assert others.exists() and not own.exists()
    finally:
        story.journal_path.write_text("".join([*lines, last]))
