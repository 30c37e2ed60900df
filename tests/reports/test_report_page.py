"""The page as a file: whole, alone, escaped, and plain about what is missing."""

import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from reports.build import build_report, main
from reports.front.front_sections import front_sections
from reports.page.page import Section, write_page
from reports.page.rerun import rerun_command
from reports.page.tables import MANY_ROWS
from study.record.trials import TrialTable, tabulate
from trainables.robust_ssl import ROBUST_SSL

NewStudy = Callable[..., Any]
FIGURE = 'class="figure-data"'
REPOSITORY = Path(__file__).parents[2]


class Page(HTMLParser):
    """A page's loads, text outside scripts, uids of the front table, and rows of the table of all trials."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.front: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._inside: str | None = None
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self._inside = tag
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag == "tbody" and values.get("data-uid"):
            self.front.append(values["data-uid"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data


def page_of(study: Any) -> Page:
    return Page(build_report(study.study_dir))


def fill(study: Any) -> None:
    """Two on the front, one behind, one stopped, one failed."""
    study.complete(90.0, 20.0, 1.0, {"num_views": 4})
    study.complete(80.0, 40.0, 30.0, {"num_views": 8})
    study.complete(70.0, 30.0, 40.0, {"num_views": 16})
    report = {"milestone": 10, "view_passes": 10, "val_clean": 50.0, "val_pgd_8": 9.0}
    study.finish(study.start([report]), "stopped", reason="rung 10: rank 4 of 4")
    study.finish(study.start(), "failed", reason="diverged")


def test_nothing_is_loaded_from_outside(new_study: NewStudy) -> None:
    study = new_study()
    fill(study)
    page = page_of(study)
    assert [load for load in page.loads if not load.startswith("#")] == ["data:,"]
    assert set(re.findall('href="#([^"=]*)"', page.source)) <= set(re.findall(' id="([^"]*)"', page.source))
    assert "@import" not in page.source.partition("<body>")[0].partition("</style>")[0]
    assert page.source.count("plotly.js v") == 1
    assert page.source.count(FIGURE) == 7 and '"showSendToCloud": false' in page.source


def test_front_table_is_the_front(new_study: NewStudy) -> None:
    study = new_study()
    fill(study)
    page = page_of(study)
    assert page.front == tabulate(study.read()).front["uid"].tolist() == ["t000", "t001"]
    command = rerun_command(tabulate(study.read()), "t001")
    assert command is not None and "--set num_views=8" in command and command in page.text
    assert f'data-copy="{command}"' in page.source and '<a href="#trial=t001">t001</a>' in page.source
    budgets = page.source.partition('<table id="best_within_budget_train_pflop">')[2]
    assert re.findall('<tr data-uid="(t[0-9]+)">', budgets.partition("</table>")[0]) == ["t000", "t001"]
    assert "79.0" in page.text and "74.4 to 82.8" in page.text and "n = 360" in page.text
    assert "the best validation clean accuracy (%) first" in page.text
    heads = re.findall('<th scope="col"([^>]*)>([^<]*)<', page.source.partition('<table id="front">')[2])
    assert [name for attributes, name in heads if "aria-sort" in attributes] == ["val clean (%)"]


def test_every_trial_is_listed_with_state_and_reason(new_study: NewStudy) -> None:
    study = new_study()
    fill(study)
    page = page_of(study)
    for text in ("t003", "rung 10: rank 4 of 4", "t004", "diverged", "complete, front", "3 complete", "1 stopped"):
        assert text in page.text
    assert "selected on val_clean, val_pgd_8, train_pflop" in page.text
    assert "python 3.12.3" in page.text and "git revision 0123abc" in page.text


def test_the_script_stands_behind_the_first_figure(new_study: NewStudy) -> None:
    study = new_study()
    fill(study)
    source = page_of(study).source
    first, second = source.index(FIGURE), source.index(FIGURE, source.index(FIGURE) + 1)
    assert first < source.index('id="plotly"') < source.index("const figureConfig") < second


def test_a_table_of_many_rows_is_laid_out_when_it_is_near(new_study: NewStudy) -> None:
    study = new_study()
    for _ in range(MANY_ROWS - 1):
        study.finish(study.start(), "failed", reason="out of memory")
    assert '<div class="scroll tall"><table id="trials">' in page_of(study).source
    study.finish(study.start(), "failed", reason="out of memory")
    assert '<div class="scroll tall long"><table id="trials">' in page_of(study).source


def test_a_page_that_cannot_be_written_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    write_page("earlier", path)
    with pytest.raises(UnicodeEncodeError):
        write_page("half of it \ud800", path)
    assert path.read_text() == "earlier" and list(tmp_path.iterdir()) == [path]


def test_all_text_is_escaped(new_study: NewStudy) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    study = new_study(name=evil, question=evil, preset=evil, factors=[{"name": evil}])
    study.complete(90.0, 20.0, 1.0, {evil: evil}, validity=[evil])
    study.complete(90.0, 20.0, 1.0, {evil: f"{evil}!"})
    report = {"milestone": 10, "view_passes": 10, "val_clean": 50.0, "val_pgd_8": 9.0}
    study.finish(study.start([report], **{evil: evil}), "stopped", reason=evil)
    page = page_of(study)
    assert "img" not in page.tags and "onerror=alert(1)>" not in re.sub(
        r"<script>.*?</script>", "", page.source, flags=re.S
    )
    assert evil in page.text
    assert page.source.count(FIGURE) >= 4  # three fronts and the growth


def test_a_doubtful_trial_carries_a_sign(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 20.0, 1.0)
    assert "⚠" not in page_of(study).text
    study.complete(91.0, 20.0, 1.0, validity=["gradients may be masked"])
    text = page_of(study).text
    assert "t001 ⚠" in text and "gradients may be masked" in text


def test_a_study_without_trials(new_study: NewStudy) -> None:
    page = page_of(new_study())
    assert "No trial has been proposed yet" in page.text
    assert "plotly.js v" not in page.source and page.front == []


def test_a_study_whose_trials_all_failed(new_study: NewStudy) -> None:
    study = new_study()
    for _ in range(3):
        study.finish(study.start(), "failed", reason="out of memory")
    page = page_of(study)
    assert "All 3 trials failed" in page.text and page.text.count("out of memory") == 3
    assert FIGURE not in page.source and "plotly.js v" not in page.source


def test_a_study_of_one_complete_trial(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 20.0, 1.0)
    page = page_of(study)
    assert page.front == ["t000"] and "lone configuration compares nothing" in page.text


@pytest.mark.parametrize("missing", ["val_clean", "val_pgd_8", "train_pflop"])
def test_complete_trials_without_a_finite_objective(new_study: NewStudy, missing: str) -> None:
    study = new_study()
    study.complete(90.0, 20.0, 1.0, **{missing: float("nan")})
    page = page_of(study)
    assert page.front == [] and "there is no front" in page.text


def test_two_objectives_without_cost(new_study: NewStudy) -> None:
    objectives = [{"name": "val_clean", "direction": "maximize"}, {"name": "val_pgd_4", "direction": "maximize"}]
    study = new_study(objectives=objectives)
    study.complete(90.0, 20.0, 1.0, train_pflop=None, train_seconds=None, view_passes=None)
    page = page_of(study)
    assert page.front == ["t000"]
    assert page.source.count(FIGURE) == 0
    assert "only one configuration has a result; a front compares two or more." in page.text
    study.complete(80.0, 30.0, 1.0, train_pflop=None, train_seconds=None, view_passes=None)
    study.complete(70.0, 40.0, 1.0, train_pflop=None, train_seconds=None, view_passes=None)
    figures = [name for section in front_sections(tabulate(study.read())) for name in section.figures]
    assert figures == ["front_val_clean_val_pgd_4", "hypervolume"]


def test_a_config_of_another_version_has_no_command(new_study: NewStudy) -> None:
    study = new_study()
    study.complete(90.0, 20.0, 1.0)
    table = tabulate(study.read())
    assert rerun_command(table, "t000") is not None
    table.study.trials["t000"].config["field_of_another_version"] = 1
    assert rerun_command(table, "t000") is None


SQUARE = """
from pydantic import BaseModel

from study.trainable import Metric, as_trainable


class Config(BaseModel, frozen=True):
    x: float = 1.0
    seed: int = 0


METRICS = [Metric("error", "minimize", label="squared error", unit="m2"), Metric("hits", kind="share", unit="%"),
           Metric("trace", "minimize")]


@as_trainable(config=Config, metrics=METRICS)
def square(config, context):
    yield {"error": config.x**2, "hits": 50.0}
"""


def one_objective(new_study: NewStudy, trainable: str) -> Any:
    """A study of another training: one objective, no test metrics, costs or counts; two seeds each, one under way."""
    error = {"name": "error", "direction": "minimize"}
    study = new_study(trainable=trainable, objectives=[error], factors=[{"name": "x"}], base={"x": 1.0}, seeds=[0, 1])
    for number, (x, seed) in enumerate([(1.0, 0), (1.0, 1), (2.0, 0), (2.0, 1), (3.0, 0)]):
        uid, config = f"t{number:03d}", {"x": x, "seed": seed}
        study.journal.write("proposed", uid=uid, number=number, params={"x": x}, config=config)
        study.journal.write("launched", uid=uid, attempt=1)
        study.journal.write("reported", uid=uid, metrics={"milestone": 1, "steps": 1, "error": 2 * x})
        if number < 4:
            study.finish(uid, "complete", {"steps": 2, "error": x**2 + seed / 10, "hits": 50.0})
    return study


def test_one_objective_of_another_training(new_study: NewStudy, tmp_path: Path) -> None:
    (tmp_path / "square.py").write_text(SQUARE)
    study = one_objective(new_study, f"{tmp_path / 'square.py'}:square")
    page = page_of(study)
    assert page.front == ["t000"] and "squared error (m2)" in page.text and "1.05" in page.text
    assert "± 0.07071, 2 seeds" in page.text
    assert "error (minimised)" in page.text and "trace" not in page.text
    assert 'class="command"' not in page.source and "val_*" not in page.text and "test_*" not in page.text


def test_a_trainable_that_is_not_here(new_study: NewStudy) -> None:
    page = page_of(one_objective(new_study, "nowhere:NOTHING"))
    assert page.front == ["t000"] and 'class="command"' not in page.source and "hits" not in page.text


def test_sections_of_the_trainable_are_before_all_trials(new_study: NewStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(ROBUST_SSL), "sections", {"own": f"{__name__}:own_sections"})
    monkeypatch.setattr(type(ROBUST_SSL), "asked_sections", {"more": f"{__name__}:own_sections"})
    study = new_study()
    fill(study)
    titles = re.findall("<section[^>]*><h2>(.*?)</h2>", build_report(study.study_dir).read_text(encoding="utf-8"))
    last = [f"Own of {study.study_dir.name}", "All trials", "How to read this", "About this study"]
    assert titles[-5:] == [*last, "Not enough evidence yet"] and len(set(titles)) == len(titles)
    asked = build_report(study.study_dir, asked=["more"]).read_text(encoding="utf-8")
    assert asked.count("<h2>Own of") == 2
    with pytest.raises(ValueError, match="no sections 'other' for this study's trials; there are: more"):
        build_report(study.study_dir, asked=["more", "other"])


def own_sections(table: TrialTable, study_dir: Path) -> list[Section]:
    """What a trainable would add."""
    return [Section(f"Own of {study_dir.name}", f"{len(table.frame)} trials")]


def test_the_command_prints_the_path(new_study: NewStudy) -> None:
    study = new_study()
    fill(study)
    command = [sys.executable, "-m", "reports.build", str(study.study_dir)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()) == study.study_dir / "report" / "index.html"
    assert {path.name for path in (study.study_dir / "report").iterdir()} == {"answer.txt", "index.html"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no study in "),
        (["--with", "nothing"], "no sections 'nothing'"),
        (["--paper"], "the paper prints no recipe of 'constructed'"),
    ],
)
def test_what_cannot_be_built_is_said_in_a_line(
    new_study: NewStudy,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    study = new_study()
    if not words:
        study.journal.path.write_text("")
    monkeypatch.setattr(sys, "argv", ["reports.build", str(study.study_dir), *words])
    assert main() == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("reports.build: ") and printed.err.count("\n") == 1
    assert message in printed.err and not (study.study_dir / "report").exists()


def test_a_disk_that_takes_no_report_is_said_in_a_line(
    new_study: NewStudy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_study()
    (study.study_dir / "report").touch()  # a file where the folder should be, for root, too
    monkeypatch.setattr(sys, "argv", ["reports.build", str(study.study_dir)])
    assert main() == 2
    assert capsys.readouterr().err.startswith("reports.build: [Errno 17] File exists")


def test_help_is_quick() -> None:
    run = "import sys, reports.build; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert not {"pandas", "plotly", "scipy", "torch", "pydantic", "jinja2"} & set(done.stdout.split())
