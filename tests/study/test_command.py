"""Bad input ends in one line and exit code 2, before Ray starts; nothing is written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from driver import run_study as run_driver
from optuna.distributions import IntDistribution
from patience import wait_until
from rich.console import Console
from torchvision import datasets

from study.command import exit_code, prepare, run, start
from study.decisions.engine import StudyEngine
from study.display.live_report import ReportProcess
from study.record.journal import JOURNAL_NAME, Journal, read_study
from study.run import main
from study.spec import Budget, Factor, MoAsha, NoStopping, Plateau, RayAsha, Search, StudySpec
from study.spec.options import StudyCommand, requested_spec, study_parser
from study.workers.launch import Resources
from trainables.data.datasets import TrialData, load_data
from trainables.trial_config import TrialConfig

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "search_spaces" / "crops_vs_epochs.py"
Refuse = Callable[..., str]
MakeSpec = Callable[..., StudySpec]


@pytest.fixture
def refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Runs the command with ``options``, checks that it is refused in one line, and returns that line."""

    def run(*options: str, space: Path = SHIPPED) -> str:
        before = sorted(tmp_path.rglob("*"))
        code = main(["--space", str(space), "--output", str(tmp_path / "runs"), *options])
        captured = capsys.readouterr()
        assert code == 2, captured
        assert captured.err.startswith("error: ") and captured.err.endswith("\n")
        assert len(captured.err.splitlines()) == 1, captured.err
        assert sorted(tmp_path.rglob("*")) == before, "nothing may be written"
        return captured.err

    return run


def prepared_command(tmp_path: Path, *options: str) -> StudyCommand:
    arguments = ["--space", str(SHIPPED), "--output", str(tmp_path / "runs"), *options]
    return as_command(arguments)


def as_command(arguments: list[str]) -> StudyCommand:
    options = vars(study_parser().parse_args(arguments))
    assert not options.pop("list_spaces") and not options.pop("dry_run")
    return StudyCommand(**options)


def begin_study(tmp_path: Path, *options: str) -> Path:
    """A journal that holds no more than the beginning of the study that ``options`` describe."""
    prepared = prepare(prepared_command(tmp_path, *options), Console(quiet=True))
    identity = prepared.spec.model_dump(mode="json") | {
        "seed": prepared.command.seed,
        "data_checksum": prepared.data.checksum,
    }
    journal = Journal(prepared.study_dir)
    journal.write("created", study=prepared.study_dir.name, spec=identity, environment={})
    journal.close()
    return prepared.study_dir


def test_a_missing_space(refuse: Refuse, tmp_path: Path) -> None:
    assert f"no space file at {tmp_path / 'none.py'}" in refuse(space=tmp_path / "none.py")


def test_a_broken_space(refuse: Refuse, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(SHIPPED.read_text().replace("STUDY = StudySpec(", "STUDY = StudySpec(("))
    assert f"{path}, line " in refuse(space=path)
    path.write_text(SHIPPED.read_text().replace("design=Search(trials=60)", "design=Search(trials=0)"))
    line = 1 + SHIPPED.read_text().splitlines().index("    design=Search(trials=60),")
    assert f"{path}, line {line}: trials must be at least 1: trials=0" in refuse(space=path)


def test_an_unknown_objective(refuse: Refuse, tmp_path: Path) -> None:
    path = tmp_path / "space.py"
    text = SHIPPED.read_text().replace("StudySpec(\n", "StudySpec(\n    objectives=OBJECTIVES,\n", 1)
    objectives = 'OBJECTIVES = (Objective("val_cleen", "maximize"), Objective("val_pgd_8", "maximize"))\n\nSTUDY ='
    text = text.replace("import Comparison, ", "import Comparison, Objective, ").replace("STUDY =", objectives, 1)
    path.write_text(text)
    message = refuse(space=path)
    assert "unknown objective 'val_cleen'; trials report" in message and "val_clean" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "num_view=4"], "unknown field 'num_view'; did you mean num_views"),
        (["--set", "num_views"], "--set takes FIELD=VALUE, not 'num_views'"),
        (["--set", "batch_size=1"], "batch_size: Input should be greater than or equal to 2 (got 1)"),
        (["--set", "learning_rate=fast"], "learning_rate: "),
        (["--set", "batch_size=5000"], "batch_size must not exceed the training images: batch_size=5000"),
        (["--dataset", "mnist"], "dataset: "),
        (["--trials", "-1"], "trials must be at least 1: trials=-1"),
        (["--trials", "0"], "trials must be at least 1: trials=0"),
        (["--preset", "desktop"], "--preset must be one of laptop, mini, paper, authors: 'desktop'"),
        (["--at-least", "val_clean"], "--at-least takes OBJECTIVE=NUMBER, not 'val_clean'"),
        (
            ["--at-least", "val_cleen=80"],
            "--at-least val_cleen=80: no objective 'val_cleen'; there are val_clean, val_",
        ),
        (["--at-most", "val_clean=80"], "objective 'val_clean': maximize takes no at_most, got at_most=80"),
        (["--at-least", "val_clean=nan"], "a bound must be a finite number, got nan"),
        (["--plateau", "2.5"], "--plateau takes how many configurations and a share, not 2.5"),
        (["--plateau", "5", "0.1", "3"], "--plateau takes how many configurations and a share, not 5.0 0.1 3.0"),
        (["--plateau", "5", "2"], "gain: Input should be less than 1 (got 2.0)"),
        (["--sampler", "grid", "--plateau"], "--plateau and budgets are for a search; crops_vs_epochs is a Grid"),
        (["--budget", "train_pflop"], "--budget takes COST=NUMBER, not 'train_pflop'"),
        (["--budget", "train_pflop=much"], "--budget takes COST=NUMBER, not 'train_pflop=much'"),
        (["--budget", "train_pflop=0"], "a budget must be positive: train_pflop=0"),
        (["--budget", "hours=-1"], "a budget must be positive: hours=-1"),
        (["--budget", "pflop=3"], "unknown cost of a budget 'pflop'; trials report train_pflop, train_seconds, view_p"),
        (["--budget", "hours=1", "--deterministic"], "hours are clocked"),
        (["--stopping", "none", "--audit", "0.5"], "--audit needs early stopping, and --stopping none was given"),
        (["--audit", "2"], "audit: Input should be less than or equal to 1 (got 2.0)"),
        (["--sampler", "grid", "--trials", "9"], "are for a search; crops_vs_epochs is a Grid"),
        (["--seeds", "1", "1"], "seeds must be different, from 0 to 4294967295: (1, 1)"),
        (["--seeds", "4294967296"], "seeds must be different, from 0 to 4294967295: (4294967296,)"),
        (["--confirm", "-1"], "confirmations must not be negative: runs=-1"),
        (["--concurrency", "0"], "--concurrency must be positive: 0"),
        (["--cpus-per-trial", "-2"], "--cpus-per-trial must be positive: -2"),
        (["--gpus-per-trial", "-0.5"], "--gpus-per-trial must be positive: -0.5"),
        (["--processes-per-trial", "0"], "--processes-per-trial must be positive: 0"),
        (
            ["--processes-per-trial", "3"],
            "batch_size must be a multiple of the processes that train together: batch_size=50, processes=3",
        ),
        (["--set", "seed=7"], "--set seed: use --seed"),
        (["--seed", "-1"], "--seed must be from 0 to 4294967295: -1"),
        (["--seed", "100000000000000000000"], "--seed must be from 0 to 4294967295: 100000000000000000000"),
        (["--set", "epochs=1e17"], "whole numbers must not exceed 9007199254740992: epochs=100000000000000000"),
        (["--memory-per-trial", "nan"], "--memory-per-trial must be positive: nan"),
        (["--gpus-per-trial", "inf"], "--gpus-per-trial must be positive: inf"),
        (["--name", "."], "name is made of letters, digits"),
        (["--name", ".."], "name is made of letters, digits"),
        (
            ["--name", "encoders"],
            "a study's name is at most 100 characters and none of ('mlflow.db', 'mlflow_artifacts',",
        ),
        (["--name", "a" * 101], "a study's name is at most 100 characters"),
        (["--abort-after-failures", "0"], "--abort-after-failures must be positive: 0"),
        (["--trial-timeout", "-1"], "--trial-timeout must not be negative: -1.0"),
        (["--address", "127.0.0.1:9"], "no Ray cluster answers at 127.0.0.1:9 (--address): [Errno 111]"),
        (["--deterministic", "0"], "window must be at least 1: window=0"),
        (
            ["--address", "auto", "--device", "gpu"],
            "--device must be cpu or cuda (Ray assigns each trial its device)",
        ),
        (["--name", "a/b"], "name is made of letters, digits"),
        (["--device", "warp"], "--device must be cpu or cuda (Ray assigns each trial its device): 'warp'"),
        (["--device", "cpu", "--gpus-per-trial", "0.5"], "--gpus-per-trial needs a GPU"),
        (["--dataset", "imagefolder", "--data-root", "/nowhere/at/all"], "no image folder at /nowhere/at/all"),
    ],
)
def test_impossible_options(refuse: Refuse, options: list[str], message: str) -> None:
    assert message in refuse(*options)


OWN_SPACE = """from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel
from study import Factor, Metric, Objective, Search, StudySpec, as_trainable

class Config(BaseModel, frozen=True):
    rate: float = 0.1
    steps: int = 3
    seed: int = 0

@as_trainable(config=Config, metrics=[Metric("accuracy", unit="%")])
def fit(config, context):
    yield {"accuracy": 90 + config.rate}

RATE = Factor(name="rate", distribution=FloatDistribution(0, 1))
PARTS = dict(name="rates", question="Which rate?", base=Config(), factors=(RATE,), design=Search(trials=2))
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("raise SystemExit", "line 16: SystemExit"),
        ("class Odd(BaseException): pass\nraise Odd('why')", "Odd: why"),
        ("raise GeneratorExit", "line 16: GeneratorExit"),
        ("PARTS['name'] = 5", "name: Input should be a valid string (got 5)"),
        ("PARTS['question'] = None", "question: Input should be a valid string (got None)"),
        ("PARTS['question'] = ' '", "question must be a text of printable characters: ' '"),
        ("PARTS['question'] = 'Why\\udcff?'", "question must be a text of printable characters: 'Why\\udcff?'"),
        ("PARTS['stopping'] = 'none'", "stopping: Input should be a valid dictionary or object"),
        ("PARTS['design'] = 'grid'", "design: Input should be a valid dictionary or object"),
        ("PARTS['seeds'] = (0.5,)", "seeds.0: Input should be a valid integer"),
        ("PARTS['seeds'] = (10**20,)", "seeds must be different, from 0 to 4294967295"),
        ("PARTS['factors'] = 'rate'", "factors: Input should be a valid tuple (got 'rate')"),
        ("PARTS['factors'] *= 2", "factors must have different names: ['rate', 'rate']"),
        ("PARTS['factors'] = (Factor(name='rat', distribution=FloatDistribution(0, 1)),)", "did you mean rate?"),
        ("RATE.distribution.high = float('nan')", "a journal holds finite numbers only: rate=nan"),
        (
            "PARTS['factors'] = (Factor(name='steps', distribution=IntDistribution(1, 10**23)),)",
            "whole numbers must not exceed 9007199254740992: steps=100000000000000000000000",
        ),
        (
            "Factor(name='rate', distribution=CategoricalDistribution(((1,), (2,))))",
            "factor 'rate': choices are numbers and texts, not (1,); use levels",
        ),
        ("PARTS['objectives'] = {'accuracy': 'maximize'}", "objectives must be a tuple of names or Objective(...)"),
        (
            "PARTS['objectives'] = (Objective('accuracy', 'max'),)",
            "Input should be 'maximize' or 'minimize' (got 'max')",
        ),
        ("PARTS['references'] = ({'rat': 1},)", "a reference gives a value to 'rat', which is no factor: ['rate']"),
        ("PARTS['references'] = ({'rate': 7},)", "rate=7 is not in FloatDistribution"),
        ("PARTS['design'] = Search(trials=1.5)", "trials: Input should be a valid integer"),
        ("PARTS['excluded'] = ('open(1)',)", "excluded 'open(1)': names, numbers, texts and tuples"),
        ("PARTS['base'] = Config", "base: Input should be a valid dictionary or instance of BaseModel"),
        ("PARTS['base'] = Config(seed=3)", "the base must leave the seed to --seed: seed=3"),
        ("PARTS['warm_start'] = (1,)", "warm_start.0: Input should be a dictionary or an instance of PriorTrial"),
        ("PARTS['window'] = float('nan')", "window: Input should be a finite number (got nan)"),
        ("PARTS['colour'] = 1", "colour: Extra inputs are not permitted (got 1)"),
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("def again(): again()\nagain()", "RecursionError: "),
        ("PARTS = None", "TypeError: "),
    ],
)
@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_impossible_spaces(refuse: Refuse, tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "space.py"
    path.write_text(f"{OWN_SPACE}{line}\nSTUDY = StudySpec(**PARTS)\n")
    refused = refuse("--dry-run", space=path)
    assert message in refused, refused


def test_a_factor_whose_values_do_not_fit_the_images(refuse: Refuse, tmp_path: Path) -> None:
    path = tmp_path / "space.py"
    factor = 'Factor(name="batch_size", distribution=CategoricalDistribution([50, 5000])),\n        ADVERSARY,'
    path.write_text(SHIPPED.read_text().replace("ADVERSARY,", factor).replace("references=(", "references=() and ("))
    assert "batch_size must not exceed the training images: batch_size=5000" in refuse(space=path)


def test_an_address_that_is_none(refuse: Refuse) -> None:
    assert "Invalid address format: nowhere" in refuse("--address", "nowhere")


def test_an_unreadable_image(refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache = tmp_path / "cache" / "robust-ssl-studies" / "images"
    cache.mkdir(parents=True)
    (cache / "lock").touch()  # stays behind wherever images were decoded
    for split in ("train", "test"):
        for name in ("cats", "dogs"):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            (tmp_path / "photos" / split / name / "0.png").write_bytes(b"no image")
    message = refuse("--dataset", "imagefolder", "--data-root", str(tmp_path / "photos"))
    assert f"cannot read the image {tmp_path / 'photos' / 'train' / 'cats' / '0.png'}" in message


def test_cifar_without_network(refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/x")
    (tmp_path / "data").mkdir()
    message = refuse("--dataset", "cifar10", "--data-root", str(tmp_path / "data"))
    assert f"cifar10 is not in {tmp_path / 'data'} and could not be downloaded" in message
    assert "--dataset digits needs no download" in message


def test_an_unknown_sampler_is_refused_by_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--space", str(SHIPPED), "--sampler", "hyperband"])
    assert ended.value.code == 2
    assert "invalid choice: 'hyperband'" in capsys.readouterr().err


def test_the_same_study_is_gone_on_with(tmp_path: Path) -> None:
    study_dir = begin_study(tmp_path)
    for options in ((), ("--trials", "14"), ("--trials", "20"), ("--pairs", "7")):
        prepared = prepare(prepared_command(tmp_path, *options), Console(quiet=True))
        assert prepared.study_dir == study_dir


def test_a_study_is_gone_on_with_wherever_its_images_lie(tmp_path: Path) -> None:
    """They are known by their checksum, and digits lie nowhere."""
    study_dir = begin_study(tmp_path)
    prepared = prepare(prepared_command(tmp_path, "--data-root", str(tmp_path / "moved")), Console(quiet=True))
    assert prepared.study_dir == study_dir


def test_options_leave_the_rest_of_a_search_as_it_is(tmp_path: Path) -> None:
    space = tmp_path / "space.py"
    space.write_text(SHIPPED.read_text().replace("design=Search(", "design=Search(cheapest_of=1, "))
    spec = requested_spec(as_command(["--space", str(space), "--trials", "20", "--sampler", "gp"]))
    assert spec.design == Search(trials=20, sampler="gp", cheapest_of=1)


def test_budgets_are_added_to_those_of_the_space(tmp_path: Path) -> None:
    space = tmp_path / "space.py"
    text = SHIPPED.read_text().replace("import Comparison,", "import Budget, Comparison,")
    budget = 'Budget(spent={"train_pflop": 1, "view_passes": 9}, hours=5)'
    space.write_text(text.replace("design=Search(", f"design=Search(budget={budget}, "))
    spec = requested_spec(
        as_command(["--space", str(space), "--budget", "train_pflop=3", "--budget", "train_seconds=1e3"])
    )
    assert isinstance(spec.design, Search) and (spec.design.trials, spec.design.sampler) == (5, "ehvi")
    assert spec.design.budget == Budget(spent={"train_pflop": 3, "view_passes": 9, "train_seconds": 1000}, hours=5)


@pytest.mark.parametrize(
    ("stopping", "expected"),
    [
        ('MoAsha(first_rung=12, eta=2, audit=0.2)', RayAsha(first_rung=12, eta=2, audit=0.2, objective="val_pgd_8")),
        ('MoAsha(first_rung=12, objectives=("val_clean",))', RayAsha(first_rung=12, objective="val_clean")),
    ],
)  # fmt: skip
def test_another_rule_stops_at_the_same_rungs(tmp_path: Path, stopping: str, expected: RayAsha) -> None:
    """Ray's looks at the last of the objectives that were compared."""
    space = tmp_path / "space.py"
    space.write_text(SHIPPED.read_text().replace("MoAsha(first_rung=12)", stopping))
    assert requested_spec(as_command(["--space", str(space), "--stopping", "asha"])).stopping == expected
    assert requested_spec(as_command(["--space", str(space), "--stopping", "none"])).stopping == NoStopping()
    kept = requested_spec(as_command(["--space", str(space), "--stopping", "moasha", "--audit", "0.4"])).stopping
    assert isinstance(kept, MoAsha) and kept.audit == 0.4 and kept.eta == expected.eta


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (["--seed", "1"], "seed: 0 there, 1 now"),
        (["--trials", "4"], "design.trials: 5 there, 4 now"),
        (["--pairs", "5"], "compares.pairs: 6 there, 5 now"),
        (["--sampler", "random"], "design.sampler: 'ehvi' there, 'random' now"),
        (["--set", "momentum=0.5"], "base.momentum: 0.9 there, 0.5 now"),
        (["--stopping", "none"], "stopping.kind: 'MoAsha' there, 'NoStopping' now"),
        (["--set", "train_images=300"], "base.train_images: None there, 300 now"),
        (["--preset", "laptop", "--set", "image_size=8"], "data_checksum: "),
    ],
)
def test_another_study_in_the_folder_is_refused(
    refuse: Refuse, tmp_path: Path, options: list[str], difference: str
) -> None:
    study_dir = begin_study(tmp_path)
    before = (study_dir / JOURNAL_NAME).read_bytes()
    message = refuse(*options)
    assert f"{study_dir} holds a different study" in message and difference in message
    assert (study_dir / JOURNAL_NAME).read_bytes() == before


def test_a_search_in_the_folder_of_a_grid_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    study_dir = begin_study(tmp_path)
    path = study_dir / JOURNAL_NAME
    created = json.loads(path.read_text())
    assert created["spec"]["design"]["kind"] == "Search"
    created["spec"]["design"] = {"kind": "Grid"}
    del created["check"]  # as of an earlier version
    path.write_text(json.dumps(created) + "\n")
    assert "design.kind: 'Grid' there, 'Search' now" in refuse()


def test_a_folder_that_holds_something_else_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "crops_vs_epochs"
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("do not touch")
    assert f"{folder} is not empty and holds no study" in refuse()


@pytest.mark.parametrize("name", ["runs", "runs/crops_vs_epochs"])
def test_a_file_in_the_place_of_the_folder_is_refused(refuse: Refuse, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file")
    assert str(path) in refuse()


def test_a_damaged_journal_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    path = begin_study(tmp_path) / JOURNAL_NAME
    path.write_text("damaged\n" + path.read_text())
    assert f"{path}, line 1: not JSON; the file was changed or damaged" in refuse()


def test_a_study_that_is_being_run_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    journal = Journal(begin_study(tmp_path))
    assert "is being run by another process" in refuse()
    journal.close()


def test_the_option_dataset_is_the_setting_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/x")
    for options in (("--dataset", "cifar10"), ("--set", "dataset=cifar10")):
        with pytest.raises(ValueError, match="cifar10 is not in"):
            prepare(prepared_command(tmp_path, *options, "--data-root", str(tmp_path)), Console(quiet=True))


def test_levels_with_several_values_survive_the_journal(tmp_path: Path) -> None:
    """Sequences in levels come back from JSON as lists; that must not look like another study."""
    path = tmp_path / "space.py"
    factor = 'Factor(name="eval", levels={"a": {"eval_radii_255": (4.0, 8.0)}, "b": {"eval_radii_255": (8.0,)}})'
    text = (
        "from study.spec import Factor, Search, StudySpec\nfrom trainables.trial_config import TrialConfig\n"
        f'STUDY = StudySpec(name="s", question="?", base=TrialConfig(), factors=({factor},), design=Search(trials=2))\n'
    )
    path.write_text(text)
    begin_study(tmp_path, "--space", str(path))
    prepare(prepared_command(tmp_path, "--space", str(path)), Console(quiet=True))


def test_bad_input_does_not_wait_for_ray() -> None:
    """Neither Ray nor MLflow is imported before the input was found good."""
    code = (
        "import sys; from study.run import main; code = main(['--space', 'none.py']); "
        "print(code, [name for name in ('ray', 'mlflow', 'plotly') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "2 []"
    assert (
        ended.stderr
        == "error: no space file at none.py, and no packaged space of that name (--list-spaces names them)\n"
    )


def test_data_are_those_of_the_base_config(tmp_path: Path) -> None:
    prepared = prepare(prepared_command(tmp_path, "--set", "train_images=100"), Console(quiet=True))
    assert prepared.data.checksum == load_data(prepared.spec.base).checksum
    assert len(prepared.data.train.labels) == 100 and not prepared.study_dir.exists()


METRICS = {"view_passes": 600, "val_clean": 51.0, "val_pgd_8": 20.0, "train_pflop": 0.5, "train_seconds": 2.0}


@pytest.mark.parametrize("problem", [None, "no space left"])
@pytest.mark.slow
def test_the_report_is_refreshed_while_the_study_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str | None
) -> None:
    """Everything but Ray: one trial ends, one is at work until the report was written, or was found impossible."""
    shown = StringIO()
    seen: list[str] = []

    def logged() -> list[str]:
        return [path.read_text() for path in (tmp_path / "runs" / "mlflow_artifacts").rglob("index.html")]

    def run_trials(
        engine: StudyEngine, data: TrialData, study_dir: Path, resources: Resources, timeout: float | None
    ) -> None:
        first, second = engine.next_assignment(), engine.next_assignment()
        assert first is not None and second is not None
        engine.complete(first.uid, METRICS)
        wait_until(lambda: any("</html>" in page for page in logged()) or "warning" in shown.getvalue())
        seen.extend(logged())

    monkeypatch.setattr("study.workers.launch.run_trials", run_trials)
    monkeypatch.setattr("study.command._available_resources", lambda *_: Resources("cpu", 1, 0.0, 2))
    if problem:  # while the study runs; the report at the end is written
        build = ReportProcess.build
        told = iter([problem])
        monkeypatch.setattr(ReportProcess, "build", lambda process: next(told, None) or build(process))
    console = Console(file=shown, width=200)
    study = start(prepare(prepared_command(tmp_path), console), console)
    assert run(study, console) == 130
    (final,) = logged()
    assert "Interrupted: the study has not ended (trials: 1 unfinished" in final
    if problem is None:
        assert len(seen) == 1 and "The study was running" in seen[0] and "at work: " in seen[0]
        assert "warning" not in shown.getvalue()
    else:
        warning = "warning: the report was not refreshed, the study goes on: no space left\n"
        assert seen == [] and shown.getvalue().count(warning) == 1


def test_a_region_is_set_on_the_command_line_and_taken_back() -> None:
    region = ["--at-least", "val_clean=80", "--at-most", "train_pflop=0.5", "--at-least", "val_pgd_8=20"]
    spec = requested_spec(as_command(["--space", str(SHIPPED), *region]))
    assert {one.name: one.bound for one in spec.objectives} == {"val_clean": 80, "val_pgd_8": 20, "train_pflop": 0.5}
    again = requested_spec(StudyCommand(space=spec, set=[], budget=[], at_least=["val_clean=none"]))
    assert {one.name: one.bound for one in again.objectives} == {"val_clean": None, "val_pgd_8": 20, "train_pflop": 0.5}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], Plateau()),
        (["15"], Plateau(configurations=15)),
        (["15", "0.05"], Plateau(configurations=15, gain=0.05)),
        (["0"], None),
    ],
)
def test_a_plateau_is_set_on_the_command_line(given: list[str], expected: Plateau | None) -> None:
    limits = ["--budget", "train_pflop=3"]
    design = requested_spec(as_command(["--space", str(SHIPPED), "--plateau", *given, *limits])).design
    assert isinstance(design, Search) and design.budget == Budget(spent={"train_pflop": 3}, plateau=expected)


def with_ineffective_factor(tmp_path: Path) -> Path:
    """The shipped space with replays that are drawn for other adversaries, too."""
    text = SHIPPED.read_text()
    path = tmp_path / "space.py"
    text = text.replace(', when={"adversary": ("free",)}', "")
    path.write_text(text.replace('"adversary": "none",', '"adversary": "none", "replays": 3,'))
    return path


def test_an_ineffective_factor_is_refused_with_what_mends_it(refuse: Refuse, tmp_path: Path) -> None:
    message = refuse(space=with_ineffective_factor(tmp_path))
    assert "factor 'replays' changes nothing where adversary is" in message
    assert "give it when={'adversary': ('free',)}" in message


def test_a_study_that_has_such_a_factor_already_resumes_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = replace(prepared_command(tmp_path), space=with_ineffective_factor(tmp_path))
    with monkeypatch.context() as earlier:
        earlier.setattr("study.command.ineffective_factor", lambda spec: None)
        prepared = prepare(command, Console(quiet=True))
        journal = Journal(prepared.study_dir)
        journal.write("created", study=prepared.study_dir.name, spec=prepared.recorded, environment={})
        journal.close()
    assert prepare(command, Console()).recorded == prepared.recorded
    assert "warning: factor 'replays' changes nothing" in capsys.readouterr().out


def test_a_dry_run_says_what_would_run_and_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "space.py"
    text = SHIPPED.read_text().replace("StudySpec(\n", 'StudySpec(\n    excluded=("num_views * epochs > 4",),\n', 1)
    path.write_text(text)
    arguments = ["--space", str(path), "--output", str(tmp_path / "runs"), "--dry-run"]
    before = sorted(tmp_path.rglob("*"))
    assert main([*arguments, "--trials", "7"]) == 2, "an arm of the comparison is excluded"
    assert "reference or arm" in capsys.readouterr().err
    path.write_text(text.replace("epochs > 4", "epochs > 16"))
    assert main([*arguments, "--sampler", "grid"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Excluded: num_views * epochs > 16 (" in out and "combinations)" in out
    assert "trials, 0 of them done. Nothing was started" in out
    assert main([*arguments, "--trials", "7"]) == 0
    assert "% of the space)" in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before


def test_nobody_needs_to_read_what_is_printed(tmp_path: Path) -> None:
    """As behind ``| head``; and whatever is printed: a name that is not UTF-8, a sign that the terminal has not."""
    command = ["-m", "study.run", "--space", str(SHIPPED), "--output", str(tmp_path / "runs"), "--dry-run"]
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (run.returncode, run.stderr) == (0, "")
    code = "from study.display.console import StudyConsole; StudyConsole().print('caf\\udce9 \u2260 0')"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "caf\\udce9 \\u2260 0\n"), run.stderr


def test_a_study_of_which_every_trial_failed_does_not_end_well(tmp_path: Path, make_spec: MakeSpec) -> None:
    diverged = {"val_clean": 1.0, "diverged": True}
    driver = run_driver(tmp_path, make_spec(), made_up=lambda config, milestone: diverged)
    out = StringIO()
    assert driver.engine.record.ended and exit_code(driver.engine, Console(file=out)) == 1
    assert "--retry-failed" in out.getvalue()
    driver = run_driver(tmp_path / "well", make_spec())
    assert exit_code(driver.engine, Console(file=out)) == 0


def test_another_region_is_taken_even_if_nothing_is_left_to_run(tmp_path: Path, make_spec: MakeSpec) -> None:
    """The journal then holds it, so that the report goes by it; and a search that had found all goes on for it."""
    factors = (Factor(name="epochs", distribution=IntDistribution(1, 60)),)
    budget = Budget(plateau=Plateau(configurations=4, gain=0.01))
    for name, design in (("done", Search(trials=3)), ("plateau", Search(trials=9, sampler="random", budget=budget))):
        space = make_spec(name=name, factors=factors, design=design)
        command = StudyCommand(space=space, preset="", set=[], budget=[], output=tmp_path)
        prepared = prepare(command, Console(quiet=True))
        journal = Journal(prepared.study_dir)
        journal.write("created", study=name, spec=prepared.recorded, environment={})
        journal.close()
        run_driver(prepared.study_dir, prepared.spec, made_up=equal)
        before = read_study(prepared.study_dir)
        assert before.ended and len(before.trials) == (3 if name == "done" else 5)
        again = prepare(replace(command, at_least=["val_clean=99"]), Console(quiet=True))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("study.command._available_resources", lambda *arguments: SimpleNamespace(describe=dict))
            study = start(again, Console(quiet=True))
        assert (study.resources is None) == (study.engine.next_assignment() is None) == (name == "done")
        study.engine.journal.close()
        after = read_study(prepared.study_dir)
        assert after.spec["objectives"][0]["at_least"] == 99 and len(after.environments) > len(before.environments)
        if name == "done":
            start(again, Console(quiet=True)).engine.journal.close()
            assert len(read_study(prepared.study_dir).environments) == len(after.environments), "it is the same now"


def equal(config: TrialConfig, milestone: int) -> dict[str, Any]:
    numbers = {"milestone": milestone, "view_passes": milestone, "val_pgd_8": 1.0, "val_n": 500}
    return numbers | {"val_clean": 70.0, "train_pflop": 1.0}
