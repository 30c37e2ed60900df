"""Where does the time of a laptop study go? One study is run with the usual command and its journal read.

    python -m benchmarks.trial --output /tmp/overhead
    python -m benchmarks.trial --output /tmp/overhead --trials 12

Time inside a trial is what its worker spends on pretraining, probing and attacks; the rest is start-up of Python, Ray
and workers, data, decisions, MLflow and the report. Trials that share cores slow each other down, so the shares are of
the total wall time of all places for trials.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from study.record.environment import git_revision
from study.record.journal import StudyRecord, read_study

STUDY_NAME = "overhead"


@dataclass(frozen=True)
class Shares:
    """Seconds of wall time of a study, and of its trials."""

    wall: float
    until_first_launch: float  # imports, data, Ray
    after_last_end: float  # report, MLflow, Ray's end
    places: int  # trials at a time
    busy: float  # inside trials: pretraining, rungs and evaluation
    workers_start: float  # for the first trial in each place: until its worker starts on it, and what follows its end
    idle_at_end: float  # of places with nothing left to start
    num_trials: int

    def describe(self) -> list[str]:
        """Lines of Markdown."""
        available = self.places * (self.wall - self.until_first_launch - self.after_last_end)
        between = available - self.busy - self.workers_start - self.idle_at_end
        total = self.places * self.wall
        outside = total - self.busy
        rows = {
            "inside trials": self.busy,
            "start: Python, data, Ray, until the first trial is handed out": self.places * self.until_first_launch,
            "start of the workers: Python and PyTorch, once per place": self.workers_start,
            "between trials: hand-over, decisions, MLflow": between,
            "places with nothing left to start": self.idle_at_end,
            "end: report, MLflow, Ray": self.places * self.after_last_end,
        }
        lines = [f"{self.num_trials} trials, {self.places} at a time, {self.wall:.0f} s", "",
                 "| part | seconds, all places together | share |", "|---|---|---|"]  # fmt: skip
        lines += [f"| {name} | {seconds:.1f} | {100 * seconds / total:.1f}% |" for name, seconds in rows.items()]
        each = between / (self.num_trials - self.places)
        return [*lines, "", f"Outside of trials: {100 * outside / total:.1f}%; {each:.2f} s between two trials."]


def read_shares(study: StudyRecord, began: float, ended: float) -> Shares:
    """Shares from the journal of a finished study whose command ``began`` and ``ended`` at these epoch seconds."""
    trials = sorted(study.trials.values(), key=lambda trial: trial.launched_at or ended)
    ends = sorted(trial.ended_at or ended for trial in trials)
    places = study.environments[-1]["concurrency"]
    idle = sum(ends[-1] - end for end in ends[-places:])
    busy = busy_seconds(study)
    waits = [(trial.ended_at or ended) - (trial.launched_at or ended) - busy[trial.uid] for trial in trials[:places]]
    launched = trials[0].launched_at or ended
    return Shares(
        ended - began, launched - began, ended - ends[-1], places, sum(busy.values()), sum(waits), idle, len(trials)
    )


def busy_seconds(study: StudyRecord) -> dict[str, float]:
    """Seconds inside each trial, by uid, from its worker's own clock; up to its last report if it was stopped."""
    last = {uid: trial.metrics or trial.reports[-1] for uid, trial in study.trials.items()}
    return {uid: metrics["worker_seconds"] for uid, metrics in last.items()}


def main() -> None:
    """Command line: runs the study, prints where its time went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="an empty or missing folder")
    parser.add_argument("--space", default="search_spaces/crops_vs_epochs.py")
    parser.add_argument("--trials", type=int)
    options = parser.parse_args()
    command = [sys.executable, "-m", "study.run", "--space", options.space, "--output", str(options.output)]
    command += ["--name", STUDY_NAME] + ([] if options.trials is None else ["--trials", str(options.trials)])
    began = time.time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    ended = time.time()
    study = read_study(options.output / STUDY_NAME)
    print(f"revision {git_revision()}, {options.space}: ", end="")
    print("\n".join(read_shares(study, began, ended).describe()))


if __name__ == "__main__":
    main()
