"""What do a thousand trials cost the driver of a study? Near-empty real trials on Ray, the driver watched from outside.

    python -m benchmarks.many_trials --output /tmp/many
    python -m benchmarks.many_trials --output /tmp/many_tpe --sampler tpe
    python -m benchmarks.many_trials --output /tmp/constructed --constructed 1000 10000 100000

The driver is ``python -m study.run`` itself. Its CPU time per trial is measured over the 50 trials up to the 100th,
300th and 1,000th one, and its memory after them; then the journal is read and the report built.

With ``--constructed``, nothing is trained: studies of so many trials are written (``benchmarks.constructed_study``);
each command that reads them runs in a process of its own, of which CPU time, wall time and peak memory are measured.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from reports.build import build_report
from study.record.environment import git_revision
from study.record.journal import FINISHED, JOURNAL_NAME, read_study

MARKS = (100, 300, 1000)
WINDOW = 50
POLL_SECONDS = 0.1
SPACE = """
from optuna.distributions import CategoricalDistribution, FloatDistribution

from study.spec import Factor, MoAsha, Search, StudySpec
from trainables.trial_config import TrialConfig

STUDY = StudySpec(
    name="many",
    question="What does a trial cost the driver?",
    base=TrialConfig(
        dataset="digits", image_size=8, train_images=100, encoder="resnet_narrow", projector_hidden_dim=32,
        projector_dim=16, batch_size=25, epochs=2, adversary="none", probe="central", probe_epochs=1,
        rung_probe_epochs=1, eval_samples=40, rung_images=40, eval_pgd_steps=1, eval_radii_255=(8.0,),
    ),
    factors=(
        Factor(name="num_views", distribution=CategoricalDistribution([2, 3])),
        Factor(name="learning_rate", distribution=FloatDistribution(0.01, 1.0, log=True)),
        Factor(name="view_scale_min", distribution=FloatDistribution(0.1, 0.9)),
    ),
    design=Search(trials=1000),
    stopping=MoAsha(first_rung=2, eta=3),
)
"""

RESUME = """
import sys
from pathlib import Path
from benchmarks.constructed_study import NUM_IMAGES
from study.decisions.engine import StudyEngine
from study.decisions.planning import search_of
from study.record.journal import Journal
from study.spec import StudySpec

journal = Journal(Path(sys.argv[1]))
spec = StudySpec.recorded(journal.record.spec)
StudyEngine(journal, spec, 0, NUM_IMAGES)
"""
COMMANDS = {
    "status": ("-m", "study.status"),
    "status, again": ("-m", "study.status"),
    "resume": ("-c", RESUME),
    "resume and first proposal": ("-c", f"{RESUME}search_of(spec, 0, NUM_IMAGES).propose(journal.record)"),
    "verify": ("-m", "study.verify"),
    "report": ("-m", "reports.build"),
}


@dataclass(frozen=True)
class Sample:
    """The driver at one moment."""

    num_finished: int
    at: float  # seconds
    cpu_seconds: float
    mib: float  # resident


def watch(process: subprocess.Popen[bytes], journal: Path) -> list[Sample]:
    """Samples of the driver ``process``, one each time that a trial is seen to have ended, until the driver ends."""
    samples: list[Sample] = []
    num_finished, offset = 0, 0
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        if not journal.exists():
            continue
        with journal.open("rb") as file:
            file.seek(offset)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]
        offset += len(text)
        finished = text.count(b'{"event": "finished"')
        if finished and (sample := _sample(process.pid, num_finished + finished)) is not None:
            num_finished += finished
            samples.append(sample)
    return samples


def _sample(pid: int, num_finished: int) -> Sample | None:
    folder = Path("/proc") / str(pid)
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        status = (folder / "status").read_text().splitlines()
    except OSError:
        return None
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return Sample(num_finished, time.monotonic(), cpu, resident / 1024)


def summarise(samples: list[Sample], marks: tuple[int, ...] = MARKS) -> list[str]:
    """Rows of a Markdown table, one for each mark that was reached; ratios are to the first of them.

    Raises:
        ValueError: if no mark was reached.
    """
    rows, first = [], None
    for mark in marks:
        window = [sample for sample in samples if mark - WINDOW <= sample.num_finished <= mark]
        if len(window) < 2 or samples[-1].num_finished < mark:
            continue
        begin, end = window[0], window[-1]
        count = end.num_finished - begin.num_finished
        cpu, wall = (end.cpu_seconds - begin.cpu_seconds) / count, (end.at - begin.at) / count
        first = first or cpu
        rows.append(f"| {mark} | {1000 * cpu:.0f} ms | {cpu / first:.2f} | {wall:.2f} s | {end.mib:.0f} MiB |")
    if not rows:
        raise ValueError(f"fewer trials than {marks[0]}")
    header = "| up to trial | driver's CPU time per trial | ratio | wall time per trial | driver's memory |"
    return [header, "|---|---|---|---|---|", *rows]


def measure(command: tuple[str, str], study_dir: Path) -> str:
    """CPU time, wall time and peak memory of a command that reads a study, as cells of a table.

    Raises:
        RuntimeError: if it fails.
    """
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *command, str(study_dir)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command[1]} failed: status {status}")
    cpu, gigabytes = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9
    return f"{cpu:.1f} s | {time.monotonic() - started:.1f} s | {gigabytes:.1f} GB"


def measure_constructed(output: Path, sizes: list[int]) -> None:
    """Prints rows of a Markdown table, one for each command that has ended and size of study."""
    print(
        f"revision {git_revision()}\n\n| trials | command | CPU time | wall time | peak memory |\n|---|---|---|---|---|"
    )
    for size in sizes:
        study_dir = output / f"{size}"
        # In a process of its own, as the peak memory of a child is at least that of its parent.
        written = ["-m", "benchmarks.constructed_study", str(study_dir), "--trials", f"{size}", "--seeds", "1"]
        subprocess.run([sys.executable, *written], check=True)
        for name, command in COMMANDS.items():
            print(f"| {size:,} | {name} | {measure(command, study_dir)} |", flush=True)
        megabytes = [(study_dir / name).stat().st_size / 1e6 for name in (JOURNAL_NAME, "report/index.html")]
        print(f"{size:,} trials: journal {megabytes[0]:.0f} MB, page {megabytes[1]:.1f} MB", file=sys.stderr)


def main() -> None:
    """Command line: runs the study, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="an empty or missing folder")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--constructed", type=int, nargs="+", default=[], metavar="TRIALS", help="sizes of studies")
    options = parser.parse_args()
    options.output.mkdir(parents=True)
    if options.constructed:
        measure_constructed(options.output, options.constructed)
        return
    space = options.output / "many.py"
    space.write_text(SPACE)
    study_dir = options.output / "runs" / "many"
    command = [sys.executable, "-m", "study.run", "--preset", "paper", "--space", str(space), "--output"]
    command += [str(study_dir.parent), "--trials", str(options.trials), "--sampler", options.sampler]
    with (options.output / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        samples = watch(process, study_dir / JOURNAL_NAME)
    if process.returncode != 0:
        sys.exit((options.output / "log").read_text())
    print("\n".join(summarise(samples)))
    started = time.monotonic()
    study = read_study(study_dir)
    read_seconds, started = time.monotonic() - started, time.monotonic()
    page = build_report(study_dir)
    built_seconds = time.monotonic() - started
    counts = ", ".join(f"{len(study.with_state(state))} {state}" for state in FINISHED)
    size, total = page.stat().st_size / 1e6, _megabytes(options.output)
    print(
        f"{counts}; journal read in {read_seconds:.2f} s; report of {size:.1f} MB built in {built_seconds:.1f} s; ",
        end="",
    )
    print(f"{total:.0f} MB on disk")


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
